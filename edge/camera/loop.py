"""Takes a fresh snapshot every so often, whatever the camera, the disk or the clock do."""

from __future__ import annotations

import logging
from collections import Counter, deque
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from edge.errors import LesionEdgeError
from edge.picture.decode import Picture

from .clock import SystemClock
from .frames import FrameJudge
from .interfaces import EndOfSourceError
from .reader import Ended, Reader
from .settings import Settings
from .snapshot import Snapshot, Status
from .supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .frames import Frame, FrameState
    from .interfaces import Camera, Clock, Notifier, PictureAnalyzer, SnapshotStore, Viewer

_LOG = logging.getLogger("edge.camera")
_REOPEN_FOR = {
    "damaged": "damaged frames: fewer pixels or a better connection may help",
    "stale": "the picture doesn't change, or is too old",
}
"""The frames of which three in a row mean that the camera must be opened anew, and why."""
_IN_A_ROW = 3
_REMIND_S = 3600.0


@dataclass(frozen=True, slots=True)
class _Stop:
    """End the iteration."""


@dataclass(frozen=True, slots=True)
class _Reopen:
    """Close the camera and open it again."""


@dataclass(frozen=True, slots=True)
class _Capture:
    """Analyse the next frame for somebody who waits."""

    answer: Future[Snapshot]


class SnapshotLoop:
    """An iterator of snapshots.

    Args:
        camera: where frames come from; used on a thread of its own.
        analyzer: an :class:`edge.Analyzer`.
        settings: how it runs.
        clock: the time; a test hands in its own.
        store: saves each snapshot; None saves nothing.
        notifiers: each is told of each finished cycle.
        viewer: is shown frames between the snapshots, if it wants any.

    Iterating raises:
        CameraError: the camera can't be opened at the start (unless ``wait_for_camera``), or an
            outage is longer than it may be.
        CameraStuckError: the camera's driver hangs, and the process should end.

    """

    def __init__(
        self,
        camera: Camera,
        analyzer: PictureAnalyzer,
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        store: SnapshotStore | None = None,
        notifiers: Sequence[Notifier] = (),
        viewer: Viewer | None = None,
    ) -> None:
        self._camera, self._analyzer = camera, analyzer
        self._settings = settings or Settings()
        self._clock = clock or SystemClock()
        self._store, self._notifiers, self._viewer = store, notifiers, viewer
        self._inbox = self._clock.mailbox()
        self._judge = FrameJudge(max_age_s=self._settings.max_age_s, fixed_size=camera.fixed_size)
        self._supervisor = Supervisor(
            self._make_reader,
            self._settings.patience,
            wait_for_camera=self._settings.wait_for_camera,
        )
        self._counts: Counter[str] = Counter()
        self._captures: deque[Future[Snapshot]] = deque()
        self._last_good: Snapshot | None = None
        self._frame_state: FrameState | None = None
        self._useless = 0
        self._told_s = float("-inf")

    @property
    def status(self) -> Status:
        """How it is doing now."""
        camera = self._supervisor
        return Status(
            camera=camera.state,
            failed_tries=camera.failed_tries,
            failures=camera.failures,
            reason=camera.reason,
            counts=dict(self._counts),
            last_good=self._last_good,
            frame_state=self._frame_state,
        )

    def stop(self) -> None:
        """End the iteration, soon; from any thread or a signal handler."""
        self._inbox.put(_Stop())

    def reopen(self) -> None:
        """Close the camera and open it again; from any thread or a signal handler."""
        self._inbox.put(_Reopen())

    def capture(self) -> Future[Snapshot]:
        """Ask for the next frame, analysed at once, from any thread; the cadence stays as it is.

        The snapshot isn't saved, and isn't one that the iteration yields.  Whoever waits for the
        answer no more cancels it; where the loop ends first, the loop does.
        """
        answer: Future[Snapshot] = Future()
        self._inbox.put(_Capture(answer))
        return answer

    def __iter__(self) -> Iterator[Snapshot]:
        """Yield snapshots; the camera is released when the iteration ends, however it ends."""
        count, due = self._settings.count, self._clock.monotonic()
        if self._settings.interval_s == float("inf"):
            due = float("inf")
        try:
            while count is None or self._counts["snapshots"] < count:
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
        failures = self._supervisor.failures
        owed = False
        while True:
            now = self._clock.monotonic()
            while self._captures and self._captures[0].cancelled():
                self._captures.popleft()
            self._supervisor.tick(now, wanted=now >= due or bool(self._captures))
            if self._supervisor.failures > failures:
                failures = self._supervisor.failures
                self._finish_cycle()
            wake = self._supervisor.deadline_s
            wake = min(wake, due) if now < due else wake
            message = self._inbox.get(wake - now if wake < float("inf") else None)
            now = self._clock.monotonic()
            match message:
                case None:
                    continue
                case _Stop():
                    return None
                case _Reopen():
                    self._supervisor.reopen(now)
                case _Capture(answer=answer):
                    self._captures.append(answer)
                case _:
                    frame = self._supervisor.handle(message, now)
                    if frame is not None and self._captures and not owed:
                        self._answer(frame)
                        owed = now >= due  # or who captures all the time would stop the cadence
                    elif frame is not None and now >= due:
                        return frame

    def _answer(self, frame: Frame) -> None:
        waiting = [each for each in self._captures if each.set_running_or_notify_cancel()]
        self._captures.clear()
        if waiting:
            snapshot = self._look(frame)
            self._count(snapshot, "captures")
            for each in waiting:
                each.set_result(snapshot)

    def _take(self, frame: Frame) -> Snapshot:
        snapshot = self._look(frame)
        if self._store is not None:
            snapshot = replace(snapshot, saved=self._store.save(snapshot))
        self._count(snapshot, "snapshots")
        return snapshot

    def _look(self, frame: Frame) -> Snapshot:
        now = self._clock.monotonic()
        age_s = now - frame.captured_s
        state = self._judge.judge(frame, now)
        analysis, error = None, None
        if state in ("ok", "blurred"):
            picture = Picture(
                frame.image_bgr, frame.warnings, frame.decode_ms, name=self._camera.name
            )
            try:
                analysis = self._analyzer.analyze(picture)
            except LesionEdgeError as raised:
                error = raised
        # The wall clock may have jumped since the frame was captured, but not the frame's age.
        since = timedelta(seconds=self._clock.monotonic() - frame.captured_s)
        return Snapshot(
            source=self._camera.name,
            captured_at=self._clock.utc() - since,
            age_ms=age_s * 1e3,
            frame_state=state,
            frame=frame,
            analysis=analysis,
            error=error,
        )

    def _count(self, snapshot: Snapshot, kind: str) -> None:
        now, state = self._clock.monotonic(), snapshot.frame_state
        self._frame_state = state
        self._counts.update((kind, state))
        if snapshot.analysis is not None:
            self._last_good = snapshot
        if state == "damaged" and now - self._told_s >= _REMIND_S:
            self._told_s = now
            _LOG.warning("a damaged frame, not analysed: %s", snapshot.frame.damage)
        self._useless = self._useless + 1 if state in _REOPEN_FOR else 0
        if state == "wrong_size":
            self._supervisor.reopen(now, "the frames' size has changed")
        elif self._useless >= _IN_A_ROW:
            self._useless = 0
            self._supervisor.reopen(now, _REOPEN_FOR[state])
        elif not self._useless:
            self._supervisor.good(now)

    def _next_due(self, due: float) -> float:
        """Return the next place of the cadence that isn't past; those missed are skipped."""
        interval = self._settings.interval_s
        now = self._clock.monotonic()
        if interval <= 0:
            return now
        missed = max(0, -int(-(now - due - interval) // interval))
        self._counts["skipped"] += missed
        return due + (missed + 1) * interval

    def _make_reader(self) -> Reader:
        self._judge.forget_size()
        warmup, warmup_s = self._settings.warmup, self._settings.patience.read_s
        return Reader(
            self._camera,
            self._clock,
            self._inbox,
            warmup=warmup,
            warmup_s=warmup_s,
            viewer=self._viewer,
        )

    def _finish_cycle(self) -> None:
        for notifier in self._notifiers:
            notifier.cycle(self.status)

    def _release(self) -> None:
        """Give the reader the time of one read to close the camera; nobody waits in vain."""
        for answer in self._captures:
            answer.cancel()
        reader = self._supervisor.close()
        until = self._clock.monotonic() + self._settings.patience.read_s
        while reader is not None and (now := self._clock.monotonic()) < until:
            match self._inbox.get(until - now):
                case Ended(reader=ended) if ended is reader:
                    return
