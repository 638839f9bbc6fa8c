"""From a map of P(lesion) to one lesion with its outline, in pixels of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Polygon: TypeAlias = tuple[tuple[int, int], ...]

MIN_SHARE = 0.001
"""What covers less of the picture is no lesion."""
CUT_OFF_FROM = 0.3
"""The lesion is cut off where this part of its outline, or more, runs along the picture's border.
Of 600 masks that experts drew (ISIC 2017) 0.5 % are; of outlines by the dermoscopy model 3.1 % of
498 whole pictures, 5.2 % of 500 crops (HAM10000), 23 % of 123 that lost their sides (ISIC 2018)."""
_LONGER_SIDE = 1024
"""The map has far fewer places: what a larger grid adds is bends of a line between them."""
_SIMPLIFY = 1 / 800


@dataclass(frozen=True, slots=True)
class Lesion:
    """The lesion as a network outlines it, in pixels of the upright picture."""

    x: int
    y: int
    width: int
    height: int
    """The outline's upright bounding rectangle."""
    area: int
    """How many pixels the outline encloses, its own among them."""
    share: float
    """Which part of the picture they are, 0..1."""
    outline: tuple[Polygon, ...]
    """One polygon, as a tuple of polygons: its corners (x, y) are pixels that belong to it."""

    def polygons(
        self, size_wh: tuple[int, int], drawn_wh: tuple[int, int]
    ) -> list[NDArray[np.int32]]:
        """Return the outline for :mod:`cv2` to draw on a copy, (corners, 2) int32 each.

        Args:
            size_wh: width and height of the whole picture, in pixels.
            drawn_wh: those of the copy.

        """
        return [_rescale(np.array(polygon), size_wh, drawn_wh) for polygon in self.outline]

    def share_on_border(self, size_wh: tuple[int, int]) -> float:
        """Return which part of the outline's length runs along the picture's border, 0..1.

        Args:
            size_wh: width and height of the whole picture, in pixels.

        """
        (corners,) = map(np.array, self.outline)
        following = np.roll(corners, -1, axis=0)
        lengths = np.hypot(*(following - corners).T)
        last = np.array(size_wh) - 1
        along = (corners == following) & ((corners == 0) | (corners == last))
        return float(lengths[along.any(axis=1)].sum() / lengths.sum())

    def to_dict(self) -> dict[str, Any]:
        """Return the lesion as plain JSON types."""
        return {
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
            "area": self.area,
            "share": self.share,
            "outline": [[list(corner) for corner in polygon] for polygon in self.outline],
        }


def find_lesion(
    probabilities: NDArray[np.float32], threshold: float, size_wh: tuple[int, int]
) -> Lesion | None:
    """Find the lesion in a map that covers the whole picture.

    The map is resized bilinearly to the picture, or to 1024 pixels along the picture's longer side
    where that has more.  Lesion is where it is ``threshold`` or more; of its connected parts (by
    sides or corners) the one with the largest contour is taken, its holes filled.  Its contour is
    simplified (Douglas and Peucker's algorithm, ``cv2.approxPolyDP``) by at most 1/800 of the
    longer side.

    Args:
        probabilities: P(lesion), (rows, columns) float32, 0..1.
        threshold: 0..1.
        size_wh: width and height of the upright picture, in pixels.

    Returns:
        The lesion; None where it would be under 0.1 % of the picture, or have no three corners.

    """
    across, down = size_wh
    shrink = min(1.0, _LONGER_SIDE / max(size_wh))
    grid_wh = (max(1, round(across * shrink)), max(1, round(down * shrink)))
    resized = cv2.resize(probabilities, grid_wh, interpolation=cv2.INTER_LINEAR)
    mask = (resized >= threshold).view(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return None
    largest = max(contours, key=cv2.contourArea)
    corners = cv2.approxPolyDP(largest, max(grid_wh) * _SIMPLIFY, closed=True)[:, 0]
    corners = _rescale(corners, grid_wh, size_wh)
    x, y, width, height = cv2.boundingRect(corners)
    filled = cv2.fillPoly(np.zeros((height, width), np.uint8), [corners - (x, y)], 1)
    area = cv2.countNonZero(filled)
    share = area / (across * down)
    if len(corners) < 3 or share < MIN_SHARE:
        return None
    polygon = tuple((column, row) for column, row in corners.tolist())
    return Lesion(x, y, width, height, area, share, (polygon,))


def doubts(lesion: Lesion | None, size_wh: tuple[int, int]) -> tuple[str, ...]:
    """Return what a person should know of a lesion that was looked for, in words.

    Args:
        lesion: what was found.
        size_wh: width and height of the whole picture, in pixels.

    """
    if lesion is None:
        return ("no lesion found: is there one in the picture?",)
    if lesion.share_on_border(size_wh) >= CUT_OFF_FROM:
        return ("the lesion is cut off at the picture's edge",)
    return ()


def _rescale(
    corners: NDArray[Any], from_wh: tuple[int, int], to_wh: tuple[int, int]
) -> NDArray[np.int32]:
    """Return the pixels, (n, 2), in a grid of another size that the pixels' middles lie in.

    What is at the border stays at the border.
    """
    old, new = np.array(from_wh), np.array(to_wh)
    middles = np.floor((corners + 0.5) * (new / old))
    ends = np.where(corners == old - 1, new - 1, middles)
    return np.where(corners == 0, 0, ends).astype(np.int32)
