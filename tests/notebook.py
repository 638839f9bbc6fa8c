"""The notebook's segmentation, line by line, as the independent statement of the rule.

It shares nothing with :mod:`edge.segmentation`: two colour conversions, the threshold of 50 that
Otsu's method overrides, no special case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Box = tuple[int, int, int, int]


def imread(path: Path) -> NDArray[np.uint8]:
    """Read a picture as the notebook does: (height, width, 3) uint8, BGR."""
    image = cv2.imread(str(path))
    assert image is not None, path
    return image.astype(np.uint8, copy=False)


def boxes(image_bgr: NDArray[np.uint8]) -> list[Box]:
    """Return (x, y, width, height) of every region that the notebook draws, sorted."""
    image_rgb = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB)
    gray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    blurred = cv2.GaussianBlur(gray, (5, 5), 0)
    _, mask = cv2.threshold(blurred, 50, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = []
    for contour in contours:
        if cv2.contourArea(contour) > 100:
            x, y, width, height = cv2.boundingRect(contour)
            found.append((x, y, width, height))
    return sorted(found)


def is_blank(image_bgr: NDArray[np.uint8]) -> bool:
    """Tell whether nothing is left to threshold: one gray value after the blur."""
    gray = cv2.cvtColor(cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB), cv2.COLOR_RGB2GRAY)
    low, high, _, _ = cv2.minMaxLoc(cv2.GaussianBlur(gray, (5, 5), 0))
    return low == high
