"""How much a picture may ask for: what is looked at before anything of it is decoded.

OpenCV has limits of its own, far higher.  They are lowered to these, as a second line of defence
behind the checks of :mod:`edge.picture.header`, in a process of ours: they belong to the whole
process, so a program that only imports the package keeps its own.
"""

from __future__ import annotations

import os

MAX_BYTES = 64 << 20
"""The largest picture file that is read, in bytes."""
MAX_PIXELS = 64_000_000
"""The largest picture that is decoded, in pixels: 192 MB once decoded."""
MAX_SCANS = 100
"""The most scans of a progressive JPEG.  Cameras write about ten; each takes a pass to decode."""
MAX_SCANNED_PIXELS = 20 * MAX_PIXELS
"""The most pixels times scans of a JPEG: the time that its decoding may take, known beforehand."""
MAX_PARTS = 100_000
"""The most segments of a JPEG or chunks of a PNG that are looked at; a PNG of 64 MB has 8,192."""


def limit_opencv() -> None:
    """Lower OpenCV's own limit on pixels, unless the environment sets one.

    OpenCV reads it once, as it is loaded: call this before anything imports ``cv2``.
    """
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
