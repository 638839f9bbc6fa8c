"""Where an answer comes from: the parts of a picture without which it would be another.

Occlusion, after M. D. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks"
(2014): a part of the picture is covered, and the model is asked again.  It works with any model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.model.preprocess import place, resize_into

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.classifier import Classifier

SIDE = 11
"""How many places a patch has along a side: it is a sixth of the side and moves by half of that."""
LEAST = 0.01
"""Where the probability falls by less, whatever is covered, no part alone decides."""
_WARM, _DARK = (0, 190, 255), (40, 40, 40)  # amber: as bright to eyes that see no red or no green
_MOST_OPAQUE, _EDGE = 0.45, 0.5


@dataclass(frozen=True, slots=True)
class Explanation:
    """How much P(positive) falls without each part of a picture, by occlusion.

    The part of row r and column c, counted from 0 at the upper left, begins at
    ``y + r * height / (rows + 1)`` and ``x + c * width / (columns + 1)`` and has a height of
    ``2 * height / (rows + 1)`` and a width of ``2 * width / (columns + 1)``.
    """

    x: int
    y: int
    width: int
    height: int
    """What of the picture the model sees, in pixels of the upright picture."""
    fall: tuple[tuple[float, ...], ...]
    """P(positive) of the picture less that without the part, -1..1, by row and column; below 0
    where the part speaks against the positive label."""

    @property
    def most(self) -> float:
        """How far P(positive) falls at most."""
        return max(map(max, self.fall))

    @property
    def decides(self) -> bool:
        """Whether there is a part without which P(positive) falls by 0.01 or more."""
        return self.most >= LEAST

    def tell(self, positive: str) -> str:
        """Say what is drawn: "warm: P(malignant) falls most without it, by 0.12", or that none is.

        Args:
            positive: the model's positive label.

        """
        if self.decides:
            return f"warm: P({positive}) falls most without it, by {self.most:.2f}"
        return f"no part alone decides: P({positive}) falls by less than {LEAST}"

    def draw(self, canvas: NDArray[Any], size_wh: tuple[int, int]) -> None:
        """Make warm, on a copy of the picture, where P(positive) falls; nothing if no part decides.

        A pixel's fall is the mean of the parts that cover it, interpolated.  The largest is the
        warmest, whatever its size; a line goes around what has at least half of that.

        Args:
            canvas: (height, width, 3) uint8, BGR, of any size.
            size_wh: width and height of the upright picture.

        """
        if not self.decides:
            return
        across, down = canvas.shape[1] / size_wh[0], canvas.shape[0] / size_wh[1]
        left, right = round(self.x * across), round((self.x + self.width) * across)
        top, bottom = round(self.y * down), round((self.y + self.height) * down)
        seen = canvas[top:bottom, left:right]
        if not seen.size:  # a copy so small that nothing is left of it
            return
        cells = _spread(np.array(self.fall, np.float32).clip(0, None))
        heat = cv2.resize(cells / cells.max(), seen.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        opaque = (heat * _MOST_OPAQUE)[:, :, None]
        seen[:] = np.rint(seen * (1 - opaque) + opaque * np.array(_WARM, np.float32))
        edges, _ = cv2.findContours(
            (heat >= _EDGE).view(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        thickness = max(2, round(max(canvas.shape) / 400))
        for colour, line in ((_DARK, thickness + 2), (_WARM, thickness)):
            cv2.drawContours(seen, edges, -1, colour, line, cv2.LINE_AA)

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as plain JSON types, ``fall`` rounded to 6 digits."""
        return {
            "method": "occlusion",
            "x": self.x,
            "y": self.y,
            "width": self.width,
            "height": self.height,
            "rows": len(self.fall),
            "columns": len(self.fall[0]),
            "fall": [[round(each, 6) for each in row] for row in self.fall],
        }


def explain(
    image_bgr: NDArray[np.uint8],
    classifier: Classifier,
    probability: float,
    size_wh: tuple[int, int],
) -> Explanation:
    """Cover each part of a picture in turn, and ask again how probable the positive label is.

    What the model sees of the picture is resized once.  A patch of its mean colour, a sixth as
    high and as wide, covers it at 11 x 11 places, half a patch apart: one invoke each.  Of an input
    of fewer than 12 pixels along a side there are as many places as there are pixels, less one.

    Args:
        image_bgr: (height, width, 3) uint8, BGR, 0..255, as decoded, at its size or reduced.
        classifier: the model.
        probability: its P(positive) for the whole picture, 0..1.
        size_wh: width and height of the upright picture, in pixels.

    Raises:
        PredictionError: the model's output is no probability.

    """
    spec = classifier.contract.input
    width, height = spec.size_wh
    pixels = np.empty((height, width, 3), np.uint8)
    resize_into(image_bgr, pixels, spec)
    seen, (left, top, width, height) = place(image_bgr.shape[1::-1], spec)
    part = pixels[top : top + height, left : left + width]
    mean = np.rint(cv2.mean(part)[:3])
    downs, acrosses = _steps(height), _steps(width)
    fall = []
    for above, below in zip(downs, downs[2:], strict=False):
        row = []
        for begin, end in zip(acrosses, acrosses[2:], strict=False):
            patch = part[above:below, begin:end]
            kept = patch.copy()
            patch[:] = mean
            # A picture of the input's own size is copied, not resized.
            covered = classifier.predict(pixels)[classifier.contract.positive_index]
            row.append(probability - float(covered))
            patch[:] = kept
        fall.append(tuple(row))
    scales = (size_wh[0] / image_bgr.shape[1], size_wh[1] / image_bgr.shape[0]) * 2
    x, y, wide, high = (round(each * scale) for each, scale in zip(seen, scales, strict=True))
    return Explanation(x, y, wide, high, tuple(fall))


def _steps(side: int) -> list[int]:
    """Return where along a side, in pixels, patches begin, and two further on end."""
    parts = max(2, min(SIDE + 1, side))
    return [step * side // parts for step in range(parts + 1)]


def _spread(fall: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of the patches over each step of the grid, one more along each side."""
    rows, columns = fall.shape
    total = np.zeros((rows + 1, columns + 1), np.float32)
    covers = np.zeros_like(total)
    for down in (0, 1):
        for across in (0, 1):
            total[down : down + rows, across : across + columns] += fall
            covers[down : down + rows, across : across + columns] += 1
    np.divide(total, covers, out=total)
    return total
