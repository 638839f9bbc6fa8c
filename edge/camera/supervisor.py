"""Keeps one camera going: opens it, times it out, backs off, opens it again.  A state machine.

It is driven by the loop's messages and the time, and has no thread and no waiting of its own.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.camera.sources.camera import EndOfSourceError
from edge.errors import CameraError

from .reader import Ended, Got, Message, Opened, Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from .frames import Frame

_LOG = logging.getLogger("edge.camera")
_REMIND_S = 3600.0


class CameraStuckError(CameraError):
    """A call into the camera's driver doesn't return: only ending the process gets rid of it."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a camera, in seconds."""

    open_s: float = 15.0
    """Until it is open and warm."""
    read_s: float = 5.0
    """Until a frame came that was asked for."""
    stuck_s: float = 60.0
    """Until a call that was given up has come back; then the process must end."""
    retry_s: float = 1.0
    """Before the first try to open it again; each further wait is twice as long ..."""
    retry_most_s: float = 30.0
    """... up to this."""
    give_up_s: float | None = None
    """How long an outage may last; None is for ever."""


class Supervisor:
    """One camera, and at most one thread that touches it.

    Args:
        make_reader: starts a reader.
        patience: the time limits.
        wait_for_camera: whether to back off, too, if the very first opening fails.

    """

    def __init__(
        self, make_reader: Callable[[], Reader], patience: Patience, *, wait_for_camera: bool
    ) -> None:
        self._make_reader, self._patience = make_reader, patience
        self._tolerant = wait_for_camera
        self._reader: Reader | None = None
        self._ready = self._asked = self._abandoned = False
        self._deadline = self._retry_at = float("-inf")
        self._lost_at: float | None = None
        self._logged_at = 0.0
        self.attempts = 0
        """Failed tries since the last good frame."""
        self.failures = 0
        """Failures since the start."""
        self.reason = ""

    @property
    def state(self) -> str:
        """``running``, ``opening``, ``waiting`` (to try again) or ``stuck``."""
        if self._abandoned:
            return "stuck"
        if self._reader is None:
            return "waiting"
        return "running" if self._ready else "opening"

    @property
    def wake_at_s(self) -> float:
        """When :meth:`tick` must be called next, at the latest."""
        idle = self._ready and not self._asked and not self._abandoned
        return float("inf") if idle else self._deadline

    def tick(self, now: float, *, wanted: bool) -> None:
        """Do what is due.

        Args:
            now: monotonic seconds.
            wanted: a frame is due: ask for one as soon as the camera is open.

        Raises:
            CameraStuckError: a call into the driver hasn't come back in time.
            CameraError: the outage is longer than it may be.

        """
        if self._abandoned:
            if now >= self._deadline:
                raise CameraStuckError(f"{self.reason}; restart the process")
        elif self._reader is None:
            if now >= self._deadline:
                self._reader = self._make_reader()
                self._ready = self._asked = False
                self._deadline = now + self._patience.open_s
        elif self._ready and wanted and not self._asked:
            self._reader.request()
            self._asked = True
            self._deadline = now + self._patience.read_s
        elif (self._asked or not self._ready) and now >= self._deadline:
            what = "a read" if self._ready else "opening it"
            self._abandon(now, f"{what} doesn't return")

    def handle(self, message: Message, now: float) -> Frame | None:
        """Take a reader's message; return the frame if it is one.

        Raises:
            CameraError: the first opening failed, or the outage is longer than it may be.
            EndOfSourceError: a file has come to its end.

        """
        if message.reader is not self._reader:
            return None
        if isinstance(message, Ended):
            self._reader = None
            abandoned, self._abandoned, self._ready = self._abandoned, False, False
            if isinstance(message.error, EndOfSourceError):
                raise message.error
            if abandoned:  # it came back: counted as failed already
                self._deadline = max(now, self._retry_at)
            elif message.error is not None:
                self._fail(now, message.error)
            else:
                self._deadline = now
        elif self._abandoned:
            return None  # too late: the frame is old
        elif isinstance(message, Opened):
            self._ready = True
        elif isinstance(message, Got):
            self._asked = False
            self._tolerant = True  # the camera is there, whatever it shows
            return message.frame
        return None

    def good(self, now: float) -> None:
        """Note that a frame was worth something: an outage is over."""
        if self._lost_at is not None:
            _LOG.warning(
                "camera is back after %.0f s and %d tries", now - self._lost_at, self.attempts
            )
        self._lost_at, self.attempts, self.reason = None, 0, ""

    def reopen(self, now: float, reason: str = "") -> None:
        """Close the camera and open it again; with a reason, that counts as a failure."""
        if reason:
            self._abandon(now, reason)
        elif self._reader is not None and not self._abandoned:
            self._abandoned = True
            self._deadline = now + self._patience.stuck_s
            self._reader.stop()

    def close(self) -> bool:
        """Ask the reader to end; return whether there is one to wait for."""
        if self._reader is not None:
            self._reader.stop()
        return self._reader is not None

    def has_ended(self, message: object) -> bool:
        """Tell whether a message says that the reader to wait for is over."""
        return isinstance(message, Ended) and message.reader is self._reader

    def _abandon(self, now: float, reason: str) -> None:
        if self._reader is not None:
            self._reader.stop()
        reader = self._reader
        self._fail(now, CameraError(reason))
        if reader is not None:
            self._reader, self._abandoned = reader, True
            self._deadline = now + self._patience.stuck_s

    def _fail(self, now: float, error: CameraError) -> None:
        if not self._tolerant:
            raise error
        self._reader, self._ready, self._asked = None, False, False
        wait_s = min(
            self._patience.retry_s * 2.0 ** min(self.attempts, 60), self._patience.retry_most_s
        )
        self.attempts += 1
        self.failures += 1
        self._deadline = self._retry_at = now + wait_s
        self.reason = str(error)
        if self._lost_at is None:
            self._lost_at = self._logged_at = now
            _LOG.warning(
                "camera lost: %s; trying again every %g to %g s",
                error, self._patience.retry_s, self._patience.retry_most_s,
            )  # fmt: skip
        elif now - self._logged_at >= _REMIND_S:
            self._logged_at = now
            _LOG.warning("camera still lost: %s; %d tries", error, self.attempts)
        give_up_s = self._patience.give_up_s
        if give_up_s is not None and now - self._lost_at >= give_up_s:
            raise CameraError(f"gave up after {now - self._lost_at:.0f} s: {error}")
