"""Loads one peer, answers one picture and prints the process' peak memory in kB.

``python -m benchmarks.one FOLDER PICTURES.npy NAME``.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np

from .peers import PEERS


def main() -> None:
    """Run it."""
    folder, pictures, name = sys.argv[1:]
    peer = next(peer for peer in PEERS if peer.name == name)
    image = np.array(np.load(pictures, mmap_mode="r")[0])
    route = peer.open(Path(folder), 1)
    route.load(image)
    route.invoke()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    close = getattr(route, "close", None)
    if close is not None:  # the work was in another process
        close()
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(peak)


if __name__ == "__main__":
    main()
