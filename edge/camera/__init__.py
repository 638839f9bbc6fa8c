"""A camera that is looked at every few seconds, for months: only fresh, whole frames are news.

    from edge import Analyzer
    from edge.camera import Settings, SnapshotLoop, open_source

    camera = open_source("/dev/video0", interval_s=10, timeout_s=10)
    loop = SnapshotLoop(camera, Analyzer(), Settings(interval_s=10, warmup=10))
    for snapshot in loop:  # loop.stop() ends it
        if snapshot.analysis:
            print(snapshot.captured_at, snapshot.analysis.label, snapshot.analysis.probability)
        else:
            print(snapshot.captured_at, snapshot.frame_state)

:mod:`edge.camera.simulation` has a scripted camera and a simulated clock, to test a handler with.
Research and education only, not a diagnosis.
"""

from edge.camera.sources.camera import Camera, EndOfSourceError
from edge.camera.sources.choose import open_source

from .clock import Clock, SystemClock
from .frames import Frame, FrameState, look
from .loop import Settings, SnapshotLoop
from .snapshot import Snapshot
from .supervisor import CameraStuckError, Patience

__all__ = [
    "Camera",
    "CameraStuckError",
    "Clock",
    "EndOfSourceError",
    "Frame",
    "FrameState",
    "Patience",
    "Settings",
    "Snapshot",
    "SnapshotLoop",
    "SystemClock",
    "look",
    "open_source",
]
