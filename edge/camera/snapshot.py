"""What the loop hands out: a snapshot each time, and how it is doing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from edge.errors import LesionEdgeError
    from edge.results import Analysis

    from .frames import Frame, FrameState
    from .supervisor import State


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One look through the camera.  Research and education, not diagnosis."""

    source: str
    captured_at: datetime
    """UTC, by the wall clock."""
    age_ms: float
    """How old the frame was when it was judged, in milliseconds."""
    frame_state: FrameState
    frame: Frame
    analysis: Analysis | None
    """None unless the frame is ok or blurred, or if the model failed on it."""
    error: LesionEdgeError | None = None
    """What the model failed with on the frame."""
    saved: str | None = None
    """The path of the annotated picture, once it is safely on the disk."""
    note: str = ""
    """What a person says about it."""
    place: str = ""
    """Where on the body it is, in a person's words."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types: the keys of ``edge.run --json``, and more."""
        line: dict[str, Any] = {
            "image": self.source,
            "captured_at": self.captured_at.isoformat(timespec="milliseconds"),
            "age_ms": round(self.age_ms, 1),
            "frame_state": self.frame_state,
        }
        if self.analysis is not None:
            line |= self.analysis.to_dict() | {"image": self.source}
        if self.frame.damage is not None:
            line["damage"] = self.frame.damage
        if self.error is not None:
            line["error"] = self.error.to_dict()
        line |= {key: said for key in ("note", "place") if (said := getattr(self, key))}
        if self.saved is not None:
            line["saved"] = self.saved
        return line


@dataclass(frozen=True, slots=True)
class Status:
    """How the loop is doing: what a notifier is told."""

    camera: State
    failed_tries: int
    """To open the camera or to read from it, since the last good frame."""
    failures: int
    """Since the start."""
    reason: str
    """What the last of them was, as long as no good frame came; or empty."""
    counts: Mapping[str, int]
    """Snapshots, and of each frame state, and ``skipped`` places of the cadence."""
    last_good: Snapshot | None
    frame_state: FrameState | None = None
    """Of the last snapshot or capture, good or not."""
