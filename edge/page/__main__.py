"""Look through a camera in a browser: a live picture, capture, upload, history; here or beside it.

Takes the options of edge.camera.  With --interval snapshots are taken, too, as edge.camera does;
without it only what is captured is analysed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge.camera import __main__ as camera

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None, prog: str = "python -m edge.page") -> int:
    """Run the command and return its exit status."""
    defaults = {"page": ("127.0.0.1", 8080), "interval": float("inf")}
    return camera.main(arguments, prog, __doc__, **defaults)


if __name__ == "__main__":
    os._exit(main())
