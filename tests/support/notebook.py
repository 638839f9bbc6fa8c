"""The notebook's segmentation, as the independent statement of the rule, in the tests' order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from benchmarks.notebook import Box, segment

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def imread(path: Path) -> NDArray[np.uint8]:
    """Read a picture as the notebook does: (height, width, 3) uint8, BGR."""
    image = cv2.imread(str(path))
    assert image is not None, path
    return image.astype(np.uint8, copy=False)


def boxes(image_bgr: NDArray[np.uint8]) -> list[Box]:
    """Return (x, y, width, height) of every region that the notebook draws, sorted."""
    return sorted(segment(image_bgr))


def is_blank(image_bgr: NDArray[np.uint8]) -> bool:
    """Tell whether nothing is left to threshold: one gray value after the blur."""
    gray = cv2.cvtColor(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB), cv2.COLOR_RGB2GRAY)
    low, high, _, _ = cv2.minMaxLoc(cv2.GaussianBlur(gray, (5, 5), 0))
    return low == high
