"""The notebook's rule for lesion regions, exactly, on the picture at its full size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_AREA = 100.0
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

    def to_dict(self) -> dict[str, float]:
        """Return the region as plain JSON types."""
        # Not asdict(), which takes seconds for the 300,000 regions that 64 megapixels can hold.
        return {
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
            "area": self.area,
        }


def find_regions(image_bgr: NDArray[np.uint8], *, min_area: float = MIN_AREA) -> tuple[Region, ...]:
    """Find dark regions: gray, Gaussian blur 5 x 5, Otsu's threshold, external contours.

    Args:
        image_bgr: (height, width, 3) uint8, BGR, 0..255.
        min_area: in square pixels; the notebook's, unless ``image_bgr`` is a reduced copy.

    Returns:
        Regions of an area over ``min_area``, the largest first; none for a picture of a
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
        if area > min_area:
            x, y, width, height = cv2.boundingRect(contour)
            regions.append(Region(x, y, width, height, area))
    # A stable order, whatever order findContours found them in.
    return tuple(sorted(regions, key=lambda region: (-region.area, region.y, region.x)))


def enlarge(
    regions: tuple[Region, ...], scale: int, size_wh: tuple[int, int]
) -> tuple[Region, ...]:
    """Return the regions of a reduced copy in pixels of the whole picture, within its bounds.

    Args:
        regions: in pixels of the copy.
        scale: 1 / ``scale`` is the copy's size.
        size_wh: width and height of the whole picture, in pixels; the copy's are these divided
            by ``scale`` and rounded up, so its last row and column may reach over the edge.

    """
    width, height = size_wh
    return tuple(
        Region(
            x=region.x * scale,
            y=region.y * scale,
            width=min(region.width * scale, width - region.x * scale),
            height=min(region.height * scale, height - region.y * scale),
            area=region.area * scale**2,
        )
        for region in regions
    )
