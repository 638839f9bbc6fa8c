"""The notebook's rule for lesion regions, exactly, on the picture at its full size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MIN_AREA = 100
"""The notebook keeps contours of an area over 100 square pixels."""


@dataclass(frozen=True, slots=True)
class Region:
    """The upright bounding rectangle of a region, in pixels of the picture, and its area."""

    x: int
    y: int
    width: int
    height: int
    area: float
    """The contour's area in square pixels (Green's formula, ``cv2.contourArea``)."""


def find_regions(image_bgr: NDArray[np.uint8]) -> tuple[Region, ...]:
    """Find dark regions: gray, Gaussian blur 5 x 5, Otsu's threshold, external contours.

    Args:
        image_bgr: (height, width, 3) uint8, BGR, 0..255.

    Returns:
        Regions of an area over 100 square pixels, the largest first; none for a picture of a
        single colour, of which the rule as written would mark all if that colour is black.

    """
    # One conversion does what the notebook's two (BGR to RGB to gray) do, to the bit.
    gray = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    blurred = cv2.GaussianBlur(gray, (5, 5), 0)
    # Otsu's method overrides the threshold that is passed (Otsu 1979, as in cv2.threshold).
    threshold, mask = cv2.threshold(blurred, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    if threshold == 0 and cv2.countNonZero(mask) == mask.size:
        return ()
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    regions = []
    for contour in contours:
        area = cv2.contourArea(contour)
        if area > _MIN_AREA:
            x, y, width, height = cv2.boundingRect(contour)
            regions.append(Region(x, y, width, height, area))
    # A stable order, whatever order findContours found them in.
    return tuple(sorted(regions, key=lambda region: (-region.area, region.y, region.x)))
