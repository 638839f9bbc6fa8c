"""Keeps one camera going: opens it, times it out, waits, opens it again.

A state machine: it is driven by messages and the time, and has no thread and no waiting of its own.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING

from edge.errors import CameraError

from .interfaces import EndOfSourceError
from .reader import Ended, Got, Message, Opened, Reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from .frames import Frame
    from .settings import Patience

_LOG = logging.getLogger("edge.camera")
_REMIND_S = 3600.0
_NEVER = float("inf")


class CameraStuckError(CameraError):
    """A call into the camera's driver doesn't return: only ending the process gets rid of it."""

    exit_status = 3


class State(Enum):
    """What a camera is doing."""

    WAITING = "waiting"
    """Closed, until the next try."""
    OPENING = "opening"
    RUNNING = "running"
    STUCK = "stuck"
    """Given up and told to close; as yet the call that its thread is in hasn't returned."""


class Supervisor:
    """One camera, and at most one thread that touches it.

    Without ``wait_for_camera`` it raises what the very first opening fails with.
    """

    def __init__(
        self, make_reader: Callable[[], Reader], patience: Patience, *, wait_for_camera: bool
    ) -> None:
        self._make_reader, self._patience = make_reader, patience
        self._tolerant = wait_for_camera
        self._reader: Reader | None = None
        self._retry_at = -_NEVER
        self._lost_at: float | None = None
        self._logged_at = 0.0
        self.state = State.WAITING
        self.deadline_s = -_NEVER
        """When the state has lasted too long; of a camera that runs, since a frame was asked for.
        :meth:`tick` must be called then, at the latest."""
        self.failed_tries = 0
        """Since the last good frame."""
        self.failures = 0
        """Since the start."""
        self.reason = ""

    def tick(self, now: float, *, wanted: bool) -> None:
        """Do what is due; where a frame is wanted, ask for it as soon as the camera is open.

        Raises:
            CameraStuckError: a call into the driver hasn't come back in time.
            CameraError: the outage is longer than it may be.

        """
        if self.state is State.RUNNING and self.deadline_s == _NEVER:
            if wanted and self._reader is not None:
                self._reader.request()
                self.deadline_s = now + self._patience.read_s
        elif now < self.deadline_s:
            return
        elif self.state is State.WAITING:
            self._reader = self._make_reader()
            self.state, self.deadline_s = State.OPENING, now + self._patience.open_s
        elif self.state is State.STUCK:
            raise CameraStuckError(f"{self.reason or 'it is not closed'}; restart the process")
        else:
            what = "opening it" if self.state is State.OPENING else "a read"
            self.reopen(now, f"{what} doesn't return")

    def handle(self, message: Message, now: float) -> Frame | None:
        """Take a reader's message; return the frame if it is one.

        Raises:
            CameraError: the first opening failed, or the outage is longer than it may be.
            EndOfSourceError: a file has come to its end.

        """
        if message.reader is not self._reader:
            return None
        match message:
            case Ended(error=error):
                self._reader = None
                if isinstance(error, EndOfSourceError):
                    raise error
                if error is not None and self.state is not State.STUCK:  # else it is counted
                    self._fail(now, error)
                self.state, self.deadline_s = State.WAITING, max(now, self._retry_at)
            case Opened() if self.state is State.OPENING:
                self.state, self.deadline_s = State.RUNNING, _NEVER
            case Got(frame=frame) if self.state is State.RUNNING:  # else too late: it is old
                self.deadline_s = _NEVER
                self._tolerant = True  # the camera is there, whatever it shows
                return frame
        return None

    def good(self, now: float) -> None:
        """Note that a frame was worth something: an outage is over."""
        if self._lost_at is not None:
            _LOG.warning(
                "camera is back after %.0f s and %d tries", now - self._lost_at, self.failed_tries
            )
        self._lost_at, self.failed_tries, self.reason = None, 0, ""

    def reopen(self, now: float, reason: str = "") -> None:
        """Close the camera and open it again; with a reason, that counts as a failure.

        Raises:
            CameraError: the outage is longer than it may be, or it is the first opening.

        """
        if self._reader is None or self.state is State.STUCK:
            return
        self._reader.stop()
        if reason:
            self._fail(now, CameraError(reason))
        self.state, self.deadline_s = State.STUCK, now + self._patience.stuck_s

    def close(self) -> Reader | None:
        """Ask the reader to end; return it, if there is one to wait for."""
        if self._reader is not None:
            self._reader.stop()
        return self._reader

    def _fail(self, now: float, error: CameraError) -> None:
        if not self._tolerant:
            raise error
        patience = self._patience
        wait_s = min(patience.retry_s * 2.0 ** min(self.failed_tries, 60), patience.retry_most_s)
        self.failed_tries += 1
        self.failures += 1
        self._retry_at = now + wait_s
        self.reason = str(error)
        if self._lost_at is None:
            self._lost_at = self._logged_at = now
            waits = f"{patience.retry_s:g} to {patience.retry_most_s:g} s"
            _LOG.warning("camera lost: %s; trying again every %s", error, waits)
        elif now - self._logged_at >= _REMIND_S:
            self._logged_at = now
            _LOG.warning("camera still lost: %s; %d tries", error, self.failed_tries)
        if patience.give_up_s is not None and now - self._lost_at >= patience.give_up_s:
            raise CameraError(f"gave up after {now - self._lost_at:.0f} s: {error}")
