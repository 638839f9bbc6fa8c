"""Loads one peer, answers one picture and prints the process' peak memory in kB.

``python -m benchmarks.one FOLDER PICTURES.npy NAME``.
"""

from __future__ import annotations

import re
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
    print(peak_kb(getattr(route, "pid", "self")))  # a worker's, where the work was done


def peak_kb(process: int | str) -> int:
    """Return a process' peak memory.

    Not ``ru_maxrss``, which starts at the memory of the process that this one was forked from.
    """
    status = Path(f"/proc/{process}/status").read_text()
    (kilobytes,) = re.findall(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(kilobytes)


if __name__ == "__main__":
    main()
