"""The loop: a fresh snapshot every so often, whatever the camera, the disk or the clock do."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from edge.camera.sources.camera import EndOfSourceError
from edge.errors import LesionEdgeError
from edge.picture.decode import Picture

from .clock import SystemClock
from .frames import FrameJudge
from .reader import Reader
from .snapshot import Snapshot
from .supervisor import Patience, Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.camera.sources.camera import Camera
    from edge.results import Analysis

    from .clock import Clock
    from .frames import Frame

    class AnyAnalyzer(Protocol):
        """What the loop needs of an analyzer."""

        def analyze(self, picture: Picture, /) -> Analysis:
            """Analyse a picture."""

    class AnyStore(Protocol):
        """What the loop needs of a store."""

        def save(self, snapshot: Snapshot) -> str | None:
            """Save a snapshot, or not, without raising; return the picture's path or None."""

    class AnyNotifier(Protocol):
        """What the loop needs of a notifier."""

        def cycle(self, loop: SnapshotLoop, /) -> None:
            """Be told that a cycle, good or bad, is finished."""


_LOG = logging.getLogger("edge.camera")
_USELESS_TO_REOPEN = {
    "damaged": "damaged frames: fewer pixels or a better connection may help",
    "stale": "the picture doesn't change, or is too old",
}
"""The frames of which three in a row mean that the camera must be opened anew, and why."""
_IN_A_ROW = 3
_REMIND_S = 3600.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How the loop runs."""

    interval_s: float = 10.0
    """Between snapshots, in seconds; 0 is as fast as it goes."""
    count: int | None = None
    """How many snapshots; None is for ever."""
    warmup: int | None = None
    """How many frames to discard after each opening; None is the camera's own number."""
    max_age_s: float = 2.0
    """A frame older than this, in seconds, is stale and never analysed."""
    wait_for_camera: bool = False
    """Back off, too, if the camera can't be opened at the very start."""
    patience: Patience = field(default_factory=Patience)


class SnapshotLoop:
    """An iterator of snapshots.

    Args:
        camera: where frames come from; used on a thread of its own.
        analyzer: an :class:`edge.Analyzer`.
        settings: how it runs.
        clock: the time; a test hands in its own.
        store: saves each snapshot; None saves nothing.
        notifier: told of each finished cycle; None tells nobody.

    Iterating raises:
        CameraError: the camera can't be opened at the start (unless ``wait_for_camera``), or an
            outage is longer than it may be.
        CameraStuckError: the camera's driver hangs, and the process should end.

    """

    def __init__(
        self,
        camera: Camera,
        analyzer: AnyAnalyzer,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        store: AnyStore | None = None,
        notifier: AnyNotifier | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self._camera, self._analyzer = camera, analyzer
        self._clock = clock or SystemClock()
        self._store, self._notifier = store, notifier
        self._inbox = self._clock.mailbox()
        self._judge = FrameJudge(max_age_s=self.settings.max_age_s, fixed_size=camera.fixed_size)
        self.supervisor = Supervisor(
            self._make_reader,
            self.settings.patience,
            wait_for_camera=self.settings.wait_for_camera,
        )
        self.counts: Counter[str] = Counter()
        """Snapshots by frame state, and ``skipped`` places of the cadence."""
        self.last_good: Snapshot | None = None
        self._useless = 0
        self._told_s = float("-inf")

    def stop(self) -> None:
        """End the iteration, soon; from any thread or a signal handler."""
        self._inbox.put("stop")

    def reopen(self) -> None:
        """Close the camera and open it again; from any thread or a signal handler."""
        self._inbox.put("reopen")

    def __iter__(self) -> Iterator[Snapshot]:
        """Yield snapshots; the camera is released when the iteration ends, however it ends."""
        due = self._clock.monotonic()
        try:
            while self.settings.count is None or self.counts["snapshots"] < self.settings.count:
                frame = self._next_frame(due)
                if frame is None:
                    return
                yield self._take(frame)
                self._finish_cycle()
                due = self._next_due(due)
        except EndOfSourceError as end:
            _LOG.info("%s", end)
        finally:
            self._release()

    def _next_frame(self, due: float) -> Frame | None:
        """Wait for a frame that was asked for at ``due`` or later; None if told to stop."""
        failures = self.supervisor.failures
        while True:
            now = self._clock.monotonic()
            self.supervisor.tick(now, wanted=now >= due)
            if self.supervisor.failures > failures:
                failures = self.supervisor.failures
                self._finish_cycle()
            wake = self.supervisor.wake_at_s
            wake = min(wake, due) if now < due else wake
            message = self._inbox.get(wake - now if wake < float("inf") else None)
            now = self._clock.monotonic()
            if message == "stop":
                return None
            if message == "reopen":
                self.supervisor.reopen(now)
            elif message is not None:
                frame = self.supervisor.handle(message, now)
                if frame is not None:
                    return frame

    def _take(self, frame: Frame) -> Snapshot:
        now = self._clock.monotonic()
        age_s = now - frame.captured_s
        state = self._judge.judge(frame, now)
        analysis, error = None, None
        if state in ("ok", "blurred"):
            try:
                analysis = self._analyzer.analyze(
                    Picture(frame.image_bgr, frame.warnings, frame.decode_ms)
                )
            except LesionEdgeError as raised:
                error = raised
        snapshot = Snapshot(
            source=self._camera.name,
            # The wall clock may have jumped since, but not the frame's age.
            captured_at=self._clock.utc()
            - timedelta(seconds=self._clock.monotonic() - frame.captured_s),
            age_ms=age_s * 1e3,
            frame_state=state,
            frame=frame,
            analysis=analysis,
            error=error,
        )
        if self._store is not None:
            snapshot = replace(snapshot, saved=self._store.save(snapshot))
        self._count(snapshot)
        return snapshot

    def _count(self, snapshot: Snapshot) -> None:
        now = self._clock.monotonic()
        self.counts["snapshots"] += 1
        self.counts[snapshot.frame_state] += 1
        useless = snapshot.frame_state in _USELESS_TO_REOPEN
        self._useless = self._useless + 1 if useless else 0
        if snapshot.frame_state == "damaged" and now - self._told_s >= _REMIND_S:
            self._told_s = now
            _LOG.warning("a damaged frame, not analysed: %s", snapshot.frame.damage)
        if snapshot.frame_state == "wrong_size":
            self.supervisor.reopen(now, "the frames' size has changed")
        elif self._useless >= _IN_A_ROW:
            self._useless = 0
            self.supervisor.reopen(now, _USELESS_TO_REOPEN[snapshot.frame_state])
        elif not useless:
            self.supervisor.good(now)
        if snapshot.analysis is not None:
            self.last_good = snapshot

    def _next_due(self, due: float) -> float:
        """Return the next place of the cadence that isn't past; those missed are skipped."""
        interval = self.settings.interval_s
        now = self._clock.monotonic()
        if interval <= 0:
            return now
        missed = max(0, -int(-(now - due - interval) // interval))
        self.counts["skipped"] += missed
        return due + (missed + 1) * interval

    def _make_reader(self) -> Reader:
        self._judge.forget_size()
        return Reader(
            self._camera, self._clock, self._inbox,
            warmup=self.settings.warmup, warmup_s=self.settings.patience.read_s,
        )  # fmt: skip

    def _finish_cycle(self) -> None:
        if self._notifier is not None:
            self._notifier.cycle(self)

    def _release(self) -> None:
        """Give the reader the time of one read to close the camera."""
        if not self.supervisor.close():
            return
        until = self._clock.monotonic() + self.settings.patience.read_s
        while (now := self._clock.monotonic()) < until:
            if self.supervisor.has_ended(self._inbox.get(until - now)):
                return
