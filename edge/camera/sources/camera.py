"""What a camera is to the loop: the one interface that each of them has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edge.errors import CameraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Camera(Protocol):
    """A source of frames.  All calls come from one thread; any of them may hang or raise."""

    name: str
    live: bool
    """Frames come by themselves and old ones queue up: they must be grabbed all the time.
    A camera may find that out as it is opened."""
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
