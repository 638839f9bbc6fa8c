"""What the loop is made of that a user may write: camera, clock, analyzer, store, notifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from edge.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from edge.picture.decode import Picture
    from edge.results import Analysis

    from .frames import Frame
    from .snapshot import Snapshot, Status


class Camera(Protocol):
    """A source of frames.  All calls come from one thread; any of them may hang or raise."""

    name: str
    live: bool
    """Frames come by themselves and old ones queue up: they must be grabbed all the time.
    A camera may find that out as it is opened."""
    recorded: bool = False
    """Frames lie in files, and each is there once: none is spent on somebody who only looks."""
    fixed_size: bool
    """All frames are of one size."""
    warmup: int = 0
    """How many frames to discard after each opening, if nobody says otherwise."""
    warnings: tuple[str, ...] = ()
    """What seemed odd about the frame decoded last, as of a file."""

    def open(self) -> None:
        """Open it, or raise a :class:`CameraError` that says how to mend it."""

    def grab(self) -> bool:
        """Move on to the next frame without decoding it; False if none came."""

    def arrived_s(self) -> float | None:
        """Return when the frame grabbed last came, on Python's monotonic clock, in seconds.

        None, unless a camera has its own way: it may be as old as the call of :meth:`grab`.
        """
        return None

    def stream_s(self) -> float | None:
        """Return when the frame grabbed last was captured, by the source's own clock, in seconds.

        Its zero may lie anywhere.  None, unless a camera has its own way: the source doesn't
        say, or can't fall behind.
        """
        return None

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Decode the frame grabbed last: (height, width, 3) uint8 BGR; None if that failed.

        Raises:
            PictureError: the frame is damaged; the camera goes on.

        """

    def close(self) -> None:
        """Release it; harmless if it isn't open."""


class EndOfSourceError(CameraError):
    """A file that is played as a camera has come to its end."""


class Mailbox(Protocol):
    """What one thread waits on and others, signal handlers among them, put messages into."""

    def put(self, message: Any) -> None:
        """Add a message; never waits, and may be called from a signal handler."""

    def get(self, timeout_s: float | None) -> Any:
        """Return the oldest message, or None after ``timeout_s`` seconds (None: wait for ever)."""


class Clock(Protocol):
    """Time as the loop sees it."""

    def monotonic(self) -> float:
        """Return seconds that never jump."""

    def utc(self) -> datetime:
        """Return the wall clock's time, which may jump."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""

    def mailbox(self) -> Mailbox:
        """Return a new mailbox whose time-outs are this clock's."""

    def start(self, work: Callable[[], None]) -> None:
        """Run ``work`` on a daemon thread of its own."""


class PictureAnalyzer(Protocol):
    """What the loop needs of an analyzer; :class:`edge.Analyzer` is one."""

    def analyze(self, picture: Picture, /) -> Analysis:
        """Analyse a picture, or raise a :class:`LesionEdgeError`, which the snapshot then has."""


class SnapshotStore(Protocol):
    """What saves snapshots; :class:`edge.camera.store.Store` is one."""

    def save(self, snapshot: Snapshot, /) -> str | None:
        """Save a snapshot, or not, without raising; return the picture's path or None."""


class Viewer(Protocol):
    """What looks on between snapshots; :class:`edge.page.live.Live` is one."""

    def wants(self, now_s: float, /) -> bool:
        """Tell whether a frame is wanted now, on the loop's monotonic clock; never waits."""

    def show(self, frame: Frame, /) -> None:
        """Take a frame, wanted or of a snapshot; never waits or raises, nor changes its pixels."""


class Notifier(Protocol):
    """What is told how the loop is doing; :mod:`edge.camera.notify` has some."""

    def cycle(self, status: Status, /) -> None:
        """Be told that a cycle, good or bad, is finished; never raises."""
