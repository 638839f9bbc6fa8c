"""The newest frame for any number who look: decoded and encoded while someone does, and once."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.camera.frames import inspect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from edge.camera.frames import Frame

RATE = 8.0
"""Pictures a second, at most."""
_SIDE = 1024
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 80)
_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class View:
    """A frame as it is shown."""

    jpeg: bytes
    """Its longer side has 1024 pixels at most; empty if the frame can't be decoded."""
    state: str
    """As of a snapshot, but for ``stale`` and ``wrong_size``, which one frame alone can't be."""
    sharpness: float
    """0..1, see :func:`edge.camera.frames.inspect`."""
    size_wh: tuple[int, int]
    """Width and height of the frame, in pixels."""


class Live:
    """What the camera's thread shows, and what browsers get of it (:class:`Viewer` of a loop).

    Nothing here waits for the other side: one puts a frame down, the other looks what lies there.
    """

    def __init__(self) -> None:
        self.lookers = 0
        """How many look now."""
        self._wanted_s = _NEVER
        self._frame: Frame | None = None
        self._changed_s = _NEVER
        self._viewed: Frame | None = None
        self._viewing: asyncio.Future[View] | None = None

    def wants(self, now_s: float, /) -> bool:
        """Tell whether someone looks and it is time for another frame."""
        if self.lookers == 0 or now_s - self._wanted_s < 1 / RATE:
            return False
        self._wanted_s = now_s
        return True

    def show(self, frame: Frame, /) -> None:
        """Put the newest frame down."""
        if self.lookers == 0:
            self._frame = None
            return
        before = self._frame
        if before is None or not np.array_equal(before.image_bgr, frame.image_bgr):
            self._changed_s = frame.captured_s
        self._frame = frame

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Be someone who looks, for as long as the block lasts."""
        self.lookers += 1
        try:
            yield
        finally:
            self.lookers -= 1
            if self.lookers == 0:
                self._frame = self._viewed = self._viewing = None

    @property
    def age_s(self) -> float | None:
        """How long ago the picture was captured that is seen, in seconds; None without one.

        The same picture again, byte for byte, is a frozen camera's and gets no younger.
        """
        return None if self._frame is None else time.monotonic() - self._changed_s

    async def view(self) -> View | None:
        """Return the newest frame, encoded once whoever asks; None if there is none."""
        frame = self._frame
        if frame is None:
            return None
        if frame is not self._viewed or self._viewing is None:
            self._viewed = frame
            self._viewing = asyncio.ensure_future(asyncio.to_thread(_render, frame))
        return await asyncio.shield(self._viewing)

    async def pictures(self) -> AsyncIterator[bytes]:
        """Yield each new picture as a JPEG; one who is slow gets the newest next."""
        last = None
        while True:
            view = await self.view()
            if view is not None and view is not last and view.jpeg:
                last = view
                yield view.jpeg
            await asyncio.sleep(1 / RATE)


def _render(frame: Frame) -> View:
    height, width = frame.image_bgr.shape[:2]
    if not height:
        return View(b"", "damaged", 0.0, (0, 0))
    state, sharpness = inspect(frame.image_bgr)
    scale = _SIDE / max(height, width)
    image: cv2.typing.MatLike = frame.image_bgr
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode(".jpg", image, _JPEG)[1].tobytes()
    return View(jpeg, "damaged" if frame.damage else state, sharpness, (width, height))
