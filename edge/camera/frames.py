"""Judges a frame of a camera: is it fresh and whole, and does it show anything?"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import cv2
import numpy as np

from edge.picture.decode import find_damage
from edge.picture.sharpness import BLURRED_BELOW, sharpness

if TYPE_CHECKING:
    from numpy.typing import NDArray

FrameState: TypeAlias = Literal[
    "ok", "blurred", "damaged", "stale", "black", "saturated", "wrong_size"
]

BLACK_BELOW = 32
"""Black if 99 of 100 pixels are darker, of 0..255.  Of 2,800 dermoscopic pictures (ISIC) this
percentile is 106 or more."""
SATURATED_SHARE = 0.5
"""Saturated if a larger share of pixels has all three channels at 250 or more.  Of those
pictures the largest share is 0.38, of 99 in 100 it is below 0.03."""
_SIDE = 500
_GLARE = 250


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a camera."""

    image_bgr: NDArray[np.uint8]
    """(height, width, 3) uint8, BGR, 0..255, contiguous; (0, 0, 3) if it can't be decoded."""
    captured_s: float
    """When it was captured, on the loop's monotonic clock, in seconds; never too late."""
    decode_ms: float = 0.0
    damage: str | None = None
    """What is damaged about it."""
    warnings: tuple[str, ...] = ()
    """What seems odd about it, as of a file."""


class FrameJudge:
    """Tells the state of frame after frame: it remembers the last one, and the size.

    A frame older than ``max_age_s`` is stale, and with ``fixed_size`` all must be of one size.
    """

    def __init__(self, *, max_age_s: float, fixed_size: bool = True) -> None:
        self._max_age_s, self._fixed_size = max_age_s, fixed_size
        self._digest = b""
        self._size: tuple[int, ...] | None = None

    def forget_size(self) -> None:
        """Take the size of the next frame for the right one: the camera was opened anew."""
        self._size = None

    def judge(self, frame: Frame, now_s: float) -> FrameState:
        """Return the state of a frame; only those that are ok or blurred are worth analysing.

        A sensor's noise makes no two frames alike: one that is the same, byte for byte, as
        the one before is a frozen camera's, and stale like one that is too old.
        """
        if frame.damage is not None:
            return "damaged"
        if now_s - frame.captured_s > self._max_age_s:
            return "stale"
        digest = hashlib.blake2b(frame.image_bgr.data, digest_size=16).digest()
        if digest == self._digest:
            return "stale"
        self._digest = digest
        size = frame.image_bgr.shape
        if self._fixed_size and self._size not in (None, size):
            return "wrong_size"
        self._size = size
        return look(frame.image_bgr)


def damage_of(image_bgr: NDArray[np.uint8]) -> str | None:
    """Say what a decoder seems to have filled in of a frame, or None.

    What it fills in is one colour: gray (libjpeg) or green (FFmpeg) rows at the bottom, or all of
    the frame.  Black is a dermatoscope's edge or a bar, and white is glare.

    Args:
        image_bgr: (height, width, 3) uint8, BGR, 0..255.

    """
    last = image_bgr[-1, -1]
    if (image_bgr[-1] != last).any() or (last < BLACK_BELOW).all() or (last >= _GLARE).all():
        return None
    if (image_bgr == last).all():
        return "all of it is one colour"
    return next(iter(find_damage(image_bgr)), None)


def look(image_bgr: NDArray[np.uint8]) -> Literal["ok", "blurred", "black", "saturated"]:
    """Tell whether a picture shows anything: the state that :func:`inspect` finds."""
    return inspect(image_bgr)[0]


def inspect(
    image_bgr: NDArray[np.uint8],
) -> tuple[Literal["ok", "blurred", "black", "saturated"], float]:
    """Return what a picture shows, and how sharp it is.

    The sharpness is 0..1 and a logarithm of what BLURRED_BELOW bounds: 0.5 is that bound, and ten
    times as much is 0.25 more.

    Args:
        image_bgr: (height, width, 3) uint8, BGR, 0..255.

    """
    measured = sharpness(image_bgr)
    rated = 0.5 + 0.25 * math.log10(max(measured, 1e-9) / BLURRED_BELOW)
    rated = min(max(rated, 0.0), 1.0)
    scale = _SIDE / max(image_bgr.shape[:2])
    if scale < 1:
        image_bgr = cv2.resize(  # type: ignore[assignment] # uint8 stays uint8
            image_bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
        )
    gray = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    if np.percentile(gray, 99) < BLACK_BELOW:
        return "black", rated
    if float((image_bgr.min(axis=2) >= _GLARE).mean()) > SATURATED_SHARE:
        return "saturated", rated
    return "blurred" if measured < BLURRED_BELOW else "ok", rated
