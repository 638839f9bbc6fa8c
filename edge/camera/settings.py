"""How the loop runs, and how long it waits for a camera."""

from __future__ import annotations

from dataclasses import dataclass, field


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


@dataclass(frozen=True, slots=True)
class Settings:
    """How the loop runs."""

    interval_s: float = 10.0
    """Between snapshots, in seconds; 0 is as fast as it goes, infinity none but those that are
    asked for (:meth:`SnapshotLoop.capture`)."""
    count: int | None = None
    """How many snapshots; None is for ever."""
    warmup: int | None = None
    """How many frames to discard after each opening; None is the camera's own number."""
    max_age_s: float = 2.0
    """A frame older than this, in seconds, is stale and never analysed."""
    wait_for_camera: bool = False
    """Back off, too, if the camera can't be opened at the very start."""
    patience: Patience = field(default_factory=Patience)
