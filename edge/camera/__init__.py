"""Looks through a camera every few seconds, for months, and analyses only fresh, whole frames.

    from edge import Analyzer
    from edge.camera import Settings, SnapshotLoop, open_source

    camera = open_source("/dev/video0", interval_s=10, timeout_s=10)
    loop = SnapshotLoop(camera, Analyzer(), Settings(interval_s=10, warmup=10))
    for snapshot in loop:  # loop.stop() ends it
        if snapshot.analysis:
            print(snapshot.captured_at, snapshot.analysis.label, snapshot.analysis.probability)
        else:
            print(snapshot.captured_at, snapshot.frame_state)

A camera, clock, analyzer, store or notifier of your own has the methods of the class of that name
in :mod:`edge.camera.interfaces`: Camera, Clock, PictureAnalyzer, SnapshotStore, Notifier.
:mod:`edge.camera.simulation` has a scripted camera and a simulated clock, to test a handler with.
Research and education only, not a diagnosis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.lazy import attach as _attach

if TYPE_CHECKING:
    from .clock import SystemClock as SystemClock
    from .frames import Frame as Frame
    from .frames import FrameState as FrameState
    from .frames import look as look
    from .interfaces import Camera as Camera
    from .interfaces import Clock as Clock
    from .interfaces import EndOfSourceError as EndOfSourceError
    from .interfaces import Notifier as Notifier
    from .interfaces import PictureAnalyzer as PictureAnalyzer
    from .interfaces import SnapshotStore as SnapshotStore
    from .loop import SnapshotLoop as SnapshotLoop
    from .settings import Patience as Patience
    from .settings import Settings as Settings
    from .snapshot import Snapshot as Snapshot
    from .snapshot import Status as Status
    from .sources.choose import open_source as open_source
    from .supervisor import CameraStuckError as CameraStuckError
    from .supervisor import State as State
else:
    __getattr__, __dir__, __all__ = _attach(
        __name__,
        {
            "clock": "SystemClock",
            "frames": "Frame FrameState look",
            "interfaces": "Camera Clock EndOfSourceError Notifier PictureAnalyzer SnapshotStore",
            "loop": "SnapshotLoop",
            "settings": "Patience Settings",
            "snapshot": "Snapshot Status",
            "sources.choose": "open_source",
            "supervisor": "CameraStuckError State",
        },
    )
