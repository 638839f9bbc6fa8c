"""Reads a camera on a thread of its own, so that a read that never returns blocks nobody else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from edge.errors import CameraError, PictureError
from edge.picture.decode import check_image, find_damage

from .frames import Frame, damage_of

if TYPE_CHECKING:
    from .interfaces import Camera, Clock, Mailbox, Viewer

_FASTEST_S = 1 / 250
"""A live camera that is quicker than this is no camera; a grab that fails to wait must not spin."""
_LOOK_S = 0.1
"""How often a camera that isn't live is read for somebody who looks, at most."""
_DRIFT = 2e-4
"""How much faster or slower than ours a camera's clock may run, as a share: quartz is better."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The camera is open and warm."""

    reader: Reader


@dataclass(frozen=True, slots=True)
class Got:
    """A frame that was asked for, grabbed after it was."""

    reader: Reader
    frame: Frame


@dataclass(frozen=True, slots=True)
class Ended:
    """The thread is over and the camera closed; ``error`` says why, unless it was told to."""

    reader: Reader
    error: CameraError | None


Message: TypeAlias = Opened | Got | Ended


class _Ask(Enum):
    FRAME = auto()
    STOP = auto()


class Reader:
    """Opens a camera, keeps it fresh, hands out a frame when asked, closes it.

    A live camera is grabbed all the time and decoded only when a frame is wanted: nothing old can
    queue up, and nothing is kept.  Everything that happens goes to ``inbox``: :class:`Opened`,
    :class:`Got` and, last and always, :class:`Ended`.

    Args:
        warmup: how many frames to discard first; None is the camera's own number.
        warmup_s: when no more are discarded, in seconds: a slow stream's camera has settled.
        viewer: gets each frame that was asked for and, of a camera that isn't recorded, those
            that it wants between them.

    """

    def __init__(
        self,
        camera: Camera,
        clock: Clock,
        inbox: Mailbox,
        *,
        warmup: int | None,
        warmup_s: float = 5.0,
        viewer: Viewer | None = None,
    ) -> None:
        self._camera, self._clock, self._inbox = camera, clock, inbox
        self._warmup, self._warmup_s = warmup, warmup_s
        self._viewer = viewer
        self._asked = clock.mailbox()
        self._least_s, self._behind_s, self._before_s = float("inf"), 0.0, 0.0
        clock.start(self._run)

    def request(self) -> None:
        """Ask for a frame."""
        self._asked.put(_Ask.FRAME)

    def stop(self) -> None:
        """Ask the thread to close the camera and end, as soon as the call it is in returns."""
        self._asked.put(_Ask.STOP)

    def _run(self) -> None:
        error: CameraError | None = None
        try:
            self._camera.open()
            self._warm_up()
            self._inbox.put(Opened(self))
            self._serve()
        except CameraError as raised:
            error = raised
        except Exception as raised:  # noqa: BLE001 - a driver may raise anything
            # An address in somebody else's message may hold a password.
            text = "" if "://" in str(raised) else f": {raised}"
            error = CameraError(f"{self._camera.name}: {type(raised).__name__}{text}")
        finally:
            try:
                self._camera.close()
            except (OSError, RuntimeError, cv2.error) as raised:
                error = error or CameraError(f"{self._camera.name}: can't be closed: {raised}")
            self._inbox.put(Ended(self, error))

    def _warm_up(self) -> None:
        until = self._clock.monotonic() + self._warmup_s
        for _ in range(self._camera.warmup if self._warmup is None else self._warmup):
            if self._clock.monotonic() > until:
                return
            self._grab()

    def _serve(self) -> None:
        # A live camera is drained meanwhile; what is asked is seen before the grab, so that the
        # frame is younger than it.
        while (asked := self._asked.get(self._pause_s())) is not _Ask.STOP:
            started = self._clock.monotonic()
            looks = asked is None and self._is_wanted(started)
            if asked is None and not self._camera.live and not looks:
                continue
            self._grab()
            if asked is None and self._camera.arrived_s() is not None:
                asked = self._asked.get(0.0)  # meanwhile, and the frame's age is known
            if asked is _Ask.STOP:
                return
            if asked is _Ask.FRAME:
                frame = self._retrieve(started)
                self._inbox.put(Got(self, frame))
                if self._viewer is not None:
                    self._viewer.show(frame)
            elif looks and self._viewer is not None:
                with suppress(CameraError):  # what only somebody who looks misses is no failure
                    self._viewer.show(self._retrieve(started))
            elif self._clock.monotonic() - started < _FASTEST_S:
                self._clock.sleep(_FASTEST_S)

    def _pause_s(self) -> float | None:
        """Return how long to wait for what is asked; a camera may cease to be live."""
        if self._camera.live:
            return 0.0
        return None if self._viewer is None else _LOOK_S

    def _is_wanted(self, now: float) -> bool:
        viewer = self._viewer
        return viewer is not None and not self._camera.recorded and viewer.wants(now)

    def _grab(self) -> None:
        if not self._camera.grab():
            raise CameraError(f"{self._camera.name}: gives no more frames")
        stream_s = self._camera.stream_s()
        if stream_s is None:
            return
        # What is decoded too slowly piles up: how much later than at its best does the stream
        # come?  The two clocks' zeros are unknown, and so is the delay on the way: the least
        # difference since the opening stands for both.  It grows a little, or a camera's clock
        # that runs slow would look like a stream that falls behind, in a day.
        now = self._clock.monotonic()
        grown_s = self._least_s + (now - self._before_s) * _DRIFT
        self._least_s, self._before_s = min(grown_s, now - stream_s), now
        self._behind_s = now - stream_s - self._least_s

    def _retrieve(self, captured_s: float) -> Frame:
        started = self._clock.monotonic()
        arrived_s = self._camera.arrived_s()
        if arrived_s is not None:  # waiting for it didn't make it older
            captured_s = arrived_s
        captured_s = min(captured_s, started - self._behind_s)
        try:
            image = self._camera.retrieve()
        except PictureError as error:
            return Frame(np.empty((0, 0, 3), np.uint8), captured_s, damage=str(error))
        if image is None:
            raise CameraError(f"{self._camera.name}: a frame can't be decoded")
        try:
            image = check_image(image)
        except PictureError as error:
            raise CameraError(f"{self._camera.name}: {error}") from error
        decode_ms = (self._clock.monotonic() - started) * 1e3
        warnings = dict.fromkeys((*self._camera.warnings, *find_damage(image)))
        return Frame(image, captured_s, decode_ms, damage_of(image), tuple(warnings))
