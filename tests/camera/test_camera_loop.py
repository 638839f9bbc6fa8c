"""The snapshot loop on a scripted camera, by a clock that jumps: nothing here waits."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import pytest

from edge import Analysis, PredictionError, Timings
from edge.camera import (
    CameraStuckError,
    Patience,
    Settings,
    Snapshot,
    SnapshotLoop,
    Status,
    open_source,
)
from edge.camera.simulation import ScriptedCamera, SimulatedClock
from edge.camera.sources.opencv import OpenCVCamera
from edge.camera.store import Store
from edge.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge import Picture
    from edge.camera import Frame


class _Analyzer:
    def __init__(self, clock: SimulatedClock, slow_s: float = 0.0) -> None:
        self.seen: list[NDArray[np.uint8]] = []
        self._clock, self._slow_s = clock, slow_s

    def analyze(self, picture: Picture) -> Analysis:
        self._clock.sleep(self._slow_s)
        self.seen.append(picture.image_bgr)
        timings = Timings(0, 0, 0, 0, 0)
        return Analysis(picture.size_wh, "benign", 0.1, 0.5, (), timings, (), "malignant")


class _Pings:
    def __init__(self, clock: SimulatedClock) -> None:
        self.times: list[float] = []
        self._clock = clock

    def cycle(self, _status: Status) -> None:
        self.times.append(self._clock.monotonic())


def _picture(seed: int = 0, height: int = 120) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed + 1000)
    return rng.integers(60, 200, (height, 160, 3), dtype=np.uint8)


class _Made(NamedTuple):
    clock: SimulatedClock
    camera: ScriptedCamera
    analyzer: _Analyzer
    loop: SnapshotLoop


def _make(
    steps: Sequence[Any], *, slow_s: float = 0.0, analysis_s: float = 0.0, **settings: Any
) -> _Made:
    clock = SimulatedClock()
    camera = ScriptedCamera(clock, steps, slow_s=slow_s)
    analyzer = _Analyzer(clock, analysis_s)
    return _Made(
        clock, camera, analyzer, SnapshotLoop(camera, analyzer, Settings(**settings), clock=clock)
    )


@contextmanager
def _watching(
    camera: ScriptedCamera, clock: SimulatedClock, **parts: Any
) -> Iterator[tuple[SnapshotLoop, Iterator[Snapshot], Snapshot]]:
    """Give a loop of ten seconds that has taken its first snapshot; stop it, and see it end."""
    loop = SnapshotLoop(camera, _Analyzer(clock), Settings(interval_s=10), clock=clock, **parts)
    snapshots = iter(loop)
    yield loop, snapshots, next(snapshots)
    loop.stop()
    assert list(snapshots) == []


def _later(clock: SimulatedClock, seconds: float, action: Callable[[], None]) -> None:
    def run() -> None:
        clock.sleep(seconds)
        action()

    clock.start(run)


def test_snapshots_come_at_the_interval_and_the_camera_is_closed_at_the_end() -> None:
    clock, camera, _analyzer, loop = _make([], interval_s=10, count=4)
    taken = [(clock.monotonic(), s.frame_state) for s in loop]
    assert taken == [(0, "ok"), (10, "ok"), (20, "ok"), (30, "ok")]
    assert (camera.opened, camera.closed, camera.is_open) == (1, 1, False)


def test_fault_33_an_absent_camera_is_an_error_at_once_or_backed_off_from() -> None:
    clock = SimulatedClock()
    camera = ScriptedCamera(clock)
    camera.absent = True
    with pytest.raises(CameraError, match="absent"):
        next(iter(SnapshotLoop(camera, _Analyzer(clock), clock=clock)))
    assert clock.monotonic() == 0
    settings = Settings(wait_for_camera=True, patience=Patience(give_up_s=100))
    with pytest.raises(CameraError, match=r"gave up after 1\d\d s"):
        next(iter(SnapshotLoop(camera, _Analyzer(clock), settings, clock=clock)))
    # 0, 1, 3, 7, 15, 31, 61, 91, 121
    assert camera.opened == 1 + 9


def test_fault_33_a_device_that_is_absent_or_no_camera_names_the_fix(tmp_path: object) -> None:
    with pytest.raises(CameraError, match=r"no such camera.*ls /dev/video"):
        OpenCVCamera("/dev/video97").open()
    with pytest.raises(CameraError, match="not a camera"):
        OpenCVCamera(str(tmp_path)).open()
    with pytest.raises(CameraError, match="fuser -v /dev/null"):
        OpenCVCamera("/dev/null").open()


def test_fault_33_a_device_that_is_not_permitted_names_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(CameraError, match="usermod -aG video"):
        OpenCVCamera("/dev/null").open()


def test_fault_34_a_read_that_never_returns_is_given_up_in_time() -> None:
    patience = Patience(read_s=5, stuck_s=60)
    before = threading.active_count()
    clock, camera, _analyzer, loop = _make([_picture(), "hang"], interval_s=10, patience=patience)
    snapshots = iter(loop)
    next(snapshots)
    with pytest.raises(CameraStuckError, match="doesn't return"):
        next(snapshots)
    assert clock.monotonic() == pytest.approx(10 + 5 + 60 + 5)  # and a read's time to close it
    assert camera.opened == 1  # never a second thread beside the one that hangs
    assert threading.active_count() <= before + 1
    camera.release()


def test_fault_34_a_read_that_comes_back_late_is_dropped_and_the_camera_opened_again() -> None:
    clock = SimulatedClock()
    camera = ScriptedCamera(clock, [_picture(), "hang"])
    with _watching(camera, clock) as (_loop, snapshots, _):
        _later(clock, 30, camera.release)
        assert next(snapshots).frame_state == "ok"
        assert clock.monotonic() == pytest.approx(30)
        assert (camera.opened, camera.closed) == (2, 1)


@pytest.mark.parametrize("fault", ["fail", "none", "raise"])
def test_fault_35_a_read_that_gives_nothing_is_a_failure(fault: str) -> None:
    _clock, camera, _analyzer, loop = _make([_picture(), fault], interval_s=10, count=2)
    assert [s.frame_state for s in loop] == ["ok", "ok"]
    assert (loop.status.failures, camera.opened) == (1, 2)


def test_fault_35_an_old_frame_is_never_analysed_and_reopens_the_camera() -> None:
    frozen = _picture()
    _clock, camera, analyzer, loop = _make([frozen] * 4, interval_s=10, count=5)
    assert [s.frame_state for s in loop] == ["ok", "stale", "stale", "stale", "ok"]
    assert len(analyzer.seen) == 2
    assert (loop.status.failures, camera.opened) == (1, 2)


def test_fault_59_damaged_frames_are_counted_told_once_and_reopen_the_camera(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _clock, camera, analyzer, loop = _make(
        [_picture(), "damaged", "damaged", "damaged", "damaged", _picture(1), "damaged"],
        interval_s=10,
        count=8,
    )
    with caplog.at_level(logging.WARNING, "edge.camera"):
        snapshots = list(loop)
    states = [s.frame_state for s in snapshots]
    assert states == ["ok", *["damaged"] * 4, "ok", "damaged", "ok"]
    assert len(analyzer.seen) == 3
    assert loop.status.counts["damaged"] == 5
    assert (loop.status.failures, camera.opened) == (1, 2)
    assert snapshots[1].to_dict()["damage"] == "scripted: damaged, as told"
    assert "label" not in snapshots[1].to_dict()
    assert [text.split(":")[0] for text in caplog.messages] == [
        *("a damaged frame, not analysed", "camera lost", "camera is back after 20 s and 1 tries")
    ]


def test_fault_59_a_camera_that_gives_nothing_but_damage_is_looked_at_for_as_long_as_asked() -> (
    None
):
    _clock, camera, _analyzer, loop = _make(["damaged"] * 1000, interval_s=60, count=600)
    assert {s.frame_state for s in loop} == {"damaged"}
    assert loop.status.counts["damaged"] == 600
    assert camera.opened == 600 // 3  # not once more than every third frame


@pytest.mark.parametrize("fill", [(0, 135, 0), (128, 128, 128), (77, 80, 83)])
@pytest.mark.parametrize("share", [0.06, 0.5, 1.0])
def test_fault_59_rows_that_a_decoder_filled_in_are_damage(
    fill: tuple[int, int, int], share: float
) -> None:
    image = _picture()
    image[round(120 * (1 - share)) :] = fill
    _clock, _camera, analyzer, loop = _make([image], count=1)
    (snapshot,) = loop
    assert snapshot.frame_state == "damaged"
    assert "one colour" in snapshot.to_dict()["damage"]
    assert analyzer.seen == []


@pytest.mark.parametrize("fill", [(255, 255, 255), (252, 251, 250), (0, 0, 0), (9, 3, 3)])
def test_fault_59_a_black_or_white_bottom_is_a_warning_and_no_damage(
    fill: tuple[int, int, int],
) -> None:
    clock = SimulatedClock()
    image = _picture()
    image[84:] = fill
    analyzer = _Analyzer(clock)
    loop = SnapshotLoop(ScriptedCamera(clock, [image]), analyzer, Settings(count=1), clock=clock)
    (snapshot,) = loop
    assert snapshot.frame_state == "ok"
    assert snapshot.frame.warnings == (
        "the last 36 of 120 rows are one colour: the file may be damaged",
    )
    assert snapshot.frame.damage is None


def test_bars_above_and_below_darkness_and_glare_are_no_damage() -> None:
    bars = _picture()
    bars[:20] = bars[-20:] = 16
    black, white = np.zeros((120, 160, 3), np.uint8), np.full((120, 160, 3), 255, np.uint8)
    loop = _make([bars, black, white], interval_s=1, count=3).loop
    assert [s.frame_state for s in loop] == ["ok", "black", "saturated"]


def test_fault_66_a_slow_stream_is_not_warmed_up_for_longer_than_a_read_may_take() -> None:
    clock = SimulatedClock()
    camera = ScriptedCamera(clock, slow_s=2)
    settings = Settings(count=1, warmup=10, max_age_s=3, patience=Patience(open_s=15, read_s=5))
    loop = SnapshotLoop(camera, _Analyzer(clock), settings, clock=clock)
    assert [s.frame_state for s in loop] == ["ok"]
    assert clock.monotonic() == 3 * 2 + 2


def test_a_damaged_picture_of_a_folder_is_a_damaged_frame(tmp_path: Path) -> None:
    for number in range(2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), _picture(number))
    jpeg = cv2.imencode(".jpg", _picture(2))[1].tobytes()
    (tmp_path / "a.JFIF").write_bytes(jpeg[: len(jpeg) // 2])
    clock = SimulatedClock()
    camera = open_source(str(tmp_path), interval_s=1, timeout_s=1)
    loop = SnapshotLoop(camera, _Analyzer(clock), Settings(interval_s=1, count=3), clock=clock)
    assert [s.frame_state for s in loop] == ["ok", "ok", "damaged"]


def test_fault_36_a_camera_unplugged_five_times_leaves_no_threads_or_files() -> None:
    clock = SimulatedClock()
    camera = ScriptedCamera(clock)
    with _watching(camera, clock) as (_loop, snapshots, _):
        threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            camera.absent = True
            _later(clock, 100, camera.plug_in)
            assert next(snapshots).frame_state == "ok"
        assert threading.active_count() <= threads + 1
        assert len(os.listdir("/proc/self/fd")) == files
    assert camera.opened >= 6
    assert not camera.is_open


@pytest.mark.parametrize("outage_s", [0.5, 100.0, 3600.0, 86400.0])
def test_the_next_snapshot_comes_within_a_retry_interval_of_the_cameras_return(
    outage_s: float,
) -> None:
    clock = SimulatedClock()
    camera = ScriptedCamera(clock)
    with _watching(camera, clock) as (_loop, snapshots, _):
        camera.absent = True
        back = 10 + outage_s
        _later(clock, back, camera.plug_in)
        next(snapshots)
        assert back <= clock.monotonic() <= back + Patience().retry_most_s


def test_fault_37_a_camera_gone_for_a_day_costs_bounded_retries_and_log_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = SimulatedClock()
    camera = ScriptedCamera(clock)
    with _watching(camera, clock) as (_loop, snapshots, _):
        camera.absent = True
        _later(clock, 86400, camera.plug_in)
        with caplog.at_level(logging.INFO, "edge.camera"):
            next(snapshots)
        assert camera.opened <= 86400 / 30 + 10
        assert 2 <= len(caplog.records) <= 26  # lost, once an hour, back
        assert "camera lost" in caplog.messages[0]
        assert "camera is back" in caplog.messages[-1]


def test_fault_38_a_frame_of_another_size_is_not_analysed_and_reopens_the_camera() -> None:
    _clock, camera, analyzer, loop = _make(
        [_picture(), _picture(1, 60), _picture(2, 60)], interval_s=10, count=3
    )
    assert [s.frame_state for s in loop] == ["ok", "wrong_size", "ok"]
    assert [seen.shape[0] for seen in analyzer.seen] == [120, 60]
    assert camera.opened == 2


def test_fault_38_black_frames_while_it_warms_up_are_discarded() -> None:
    black = np.zeros((120, 160, 3), np.uint8)
    loop = _make([black, black, black, _picture(), black], interval_s=10, count=2, warmup=3).loop
    assert [(s.frame_state, s.analysis is None) for s in loop] == [("ok", False), ("black", True)]


def test_fault_39_the_cadence_takes_no_notice_of_the_wall_clock() -> None:
    clock = SimulatedClock()
    with _watching(ScriptedCamera(clock), clock) as (_loop, snapshots, first):
        clock.set_wall_clock(datetime(2001, 1, 1, tzinfo=timezone.utc))
        second = next(snapshots)
        assert clock.monotonic() == 10
        assert first.captured_at - second.captured_at > timedelta(days=365)


def test_fault_40_a_capture_slower_than_the_interval_skips_and_never_lags() -> None:
    clock, _camera, _analyzer, loop = _make([], slow_s=1, analysis_s=23, interval_s=10, count=4)
    taken = [(clock.monotonic(), s.age_ms) for s in loop]
    assert taken == [(24, 1000), (54, 1000), (84, 1000), (114, 1000)]
    assert loop.status.counts["skipped"] == 12 - 4  # of the places at 0, 10, ... 110


def test_fault_40_a_frame_that_took_too_long_to_come_is_stale() -> None:
    _clock, _camera, analyzer, loop = _make([], slow_s=3, count=1, max_age_s=2)
    assert [s.frame_state for s in loop] == ["stale"]
    assert analyzer.seen == []


class _Stream(ScriptedCamera):
    """A stream with time stamps of its own, of which each frame comes ``late`` later."""

    def __init__(self, clock: SimulatedClock, *, late: float, rate: float = 1.0) -> None:
        super().__init__(clock)
        self._time, self._late, self._rate, self._frames = clock, late, rate, 0

    def stream_s(self) -> float | None:
        self._frames += 1
        return 1e6 + self._time.monotonic() * self._rate - self._frames * self._late


def test_fault_40_a_stream_that_falls_behind_is_stale_however_new_its_frames_look() -> None:
    clock = SimulatedClock()
    analyzer = _Analyzer(clock)
    loop = SnapshotLoop(
        _Stream(clock, late=0.7), analyzer, Settings(interval_s=10, count=5), clock=clock
    )
    taken = [(round(s.age_ms, -2), s.frame_state) for s in loop]
    assert taken == [(0, "ok"), (700, "ok"), (1400, "ok"), (2100, "stale"), (2800, "stale")]
    assert len(analyzer.seen) == 3


@pytest.mark.parametrize("rate", [1 - 1e-4, 1 + 1e-4])
def test_a_cameras_clock_that_runs_wrong_for_a_month_makes_no_frame_stale(rate: float) -> None:
    clock = SimulatedClock()
    loop = SnapshotLoop(
        _Stream(clock, late=0, rate=rate),
        _Analyzer(clock),
        Settings(interval_s=3600, count=30 * 24),
        clock=clock,
    )
    assert {s.frame_state for s in loop} == {"ok"}


def test_fault_48_a_stop_ends_a_wait_at_once_and_releases_the_camera() -> None:
    clock, camera, _analyzer, loop = _make([], interval_s=1000)
    snapshots = iter(loop)
    next(snapshots)
    _later(clock, 7, loop.stop)
    assert list(snapshots) == []
    assert clock.monotonic() == 7
    assert not camera.is_open


def test_fault_48_a_stop_in_a_read_that_hangs_ends_within_the_time_of_a_read() -> None:
    clock, camera, _analyzer, loop = _make(["hang"], patience=Patience(read_s=5))
    _later(clock, 2, loop.stop)
    assert list(loop) == []
    assert clock.monotonic() == 2 + 5
    camera.release()


def test_fault_51_pings_come_from_finished_cycles_only() -> None:
    clock = SimulatedClock()
    pings = _Pings(clock)
    camera = ScriptedCamera(clock, [_picture(), _picture(1)])
    with _watching(camera, clock, notifiers=[pings]) as (_loop, snapshots, _):
        assert pings.times == []  # whoever handles the snapshot may hang
        clock.sleep(500)
        assert pings.times == []
        next(snapshots)
        assert pings.times == [500]


def test_a_model_that_fails_on_a_frame_is_reported_and_the_loop_goes_on() -> None:
    class Failing:
        def analyze(self, _picture: Picture) -> Analysis:
            raise PredictionError("the model answered nan")

    clock = SimulatedClock()
    loop = SnapshotLoop(ScriptedCamera(clock), Failing(), Settings(count=2), clock=clock)
    lines = [s.to_dict() for s in loop]
    assert [line["error"]["message"] for line in lines] == ["the model answered nan"] * 2


def test_reopening_on_demand_is_no_failure() -> None:
    clock = SimulatedClock()
    camera = ScriptedCamera(clock)
    with _watching(camera, clock) as (loop, snapshots, _):
        loop.reopen()
        next(snapshots)
        assert (camera.opened, loop.status.failures, clock.monotonic()) == (2, 0, 10)


def test_a_snapshot_is_json_in_the_schema_of_edge_run() -> None:
    clock = SimulatedClock()
    loop = SnapshotLoop(ScriptedCamera(clock), _Analyzer(clock), Settings(count=1), clock=clock)
    (snapshot,) = loop
    assert isinstance(snapshot, Snapshot)
    assert snapshot.to_dict() == {
        "image": "scripted",
        "captured_at": "2026-01-01T00:00:00.000+00:00",
        "age_ms": 0.0,
        "frame_state": "ok",
        "size": [160, 120],
        "label": "benign",
        "probability": 0.1,
        "threshold": 0.5,
        "regions": [],
        "timings_ms": {"decode": 0, "segment": 0, "resize": 0, "invoke": 0, "total": 0},
        "warnings": [],
        "model": {},
    }


def test_opencv_gives_the_frames_of_a_real_file(tmp_path: object) -> None:
    path = f"{tmp_path}/film.avi"
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (160, 120))
    for seed in range(25):
        writer.write(_picture(seed))
    writer.release()
    clock = SimulatedClock()
    camera = open_source(path, interval_s=1, timeout_s=5)
    loop = SnapshotLoop(camera, _Analyzer(clock), Settings(interval_s=1), clock=clock)
    assert [(clock.monotonic(), s.frame_state) for s in loop] == [(0, "ok"), (1, "ok"), (2, "ok")]


def test_a_capture_is_answered_with_the_next_frame_and_the_cadence_stays_as_it_is(
    tmp_path: Path,
) -> None:
    clock = SimulatedClock()
    store = Store(str(tmp_path))
    settings = Settings(interval_s=10, count=4)
    loop = SnapshotLoop(
        ScriptedCamera(clock), _Analyzer(clock, 1), settings, clock=clock, store=store
    )
    answers = []
    _later(clock, 13, lambda: answers.append(loop.capture()))
    taken = [(clock.monotonic(), s.captured_at.second) for s in loop]
    assert taken == [(1, 0), (11, 10), (21, 20), (31, 30)]
    snapshot = answers[0].result(0)
    assert (snapshot.captured_at.second, snapshot.analysis is not None) == (13, True)
    assert (snapshot.saved, store.saved) == (None, 4)
    assert loop.status.counts["captures"] == 1
    store.close()


def test_captures_without_a_pause_leave_the_cadence_every_other_frame() -> None:
    clock, _camera, _analyzer, loop = _make([], slow_s=0.1, interval_s=10, count=4)

    def press() -> None:
        for _ in range(300):
            loop.capture()
            clock.sleep(0.1)

    clock.start(press)
    taken = [clock.monotonic() for _ in loop]
    assert taken == pytest.approx([0.1, 10.1, 20.1, 30.1], abs=0.15)
    # A press at the very moment of a frame may be answered by it or by the next one.
    assert loop.status.counts["captures"] > 140


def test_with_no_interval_only_what_is_captured_is_looked_at() -> None:
    clock, camera, analyzer, loop = _make([_picture(), "damaged"], interval_s=float("inf"))
    answers: list[Any] = []
    _later(clock, 7, lambda: answers.append(loop.capture()))
    _later(clock, 8, lambda: answers.append(loop.capture()))
    _later(clock, 3600, loop.stop)
    assert list(loop) == []
    assert [answer.result(0).frame_state for answer in answers] == ["ok", "damaged"]
    assert (len(analyzer.seen), camera.opened, camera.closed) == (1, 1, 1)


def test_a_capture_waits_for_a_lost_camera_unless_nobody_waits_for_it_any_more() -> None:
    clock = SimulatedClock()
    camera = ScriptedCamera(clock, [_picture(), "fail"])
    answers: list[Any] = []
    with _watching(camera, clock) as (loop, snapshots, _first):
        camera.absent = True
        _later(clock, 12, lambda: answers.append(loop.capture()))
        _later(clock, 13, lambda: answers.append(loop.capture()))
        _later(clock, 14, lambda: answers[0].cancel())  # noqa: PLW0108 - not there yet
        _later(clock, 25, camera.plug_in)
        _later(clock, 200, lambda: answers.append(loop.capture()))
        _later(clock, 200, loop.stop)
        list(snapshots)
    assert [answer.cancelled() for answer in answers[:2]] == [True, False]
    assert answers[1].result(0).frame_state == "ok"
    # A frame may come between the last press and the stop of the same moment.
    answered = [answer for answer in answers if answer.done() and not answer.cancelled()]
    assert loop.status.counts["captures"] == len(answered)


class _Viewer:
    def __init__(self) -> None:
        self.looks = False
        self.shown: list[Frame] = []

    def wants(self, _now_s: float) -> bool:
        return self.looks

    def show(self, frame: Frame) -> None:
        self.shown.append(frame)


@pytest.mark.parametrize("recorded", [False, True])
def test_frames_are_read_for_a_viewer_only_while_one_looks_and_never_of_a_recording(
    recorded: bool,  # noqa: FBT001
) -> None:
    clock, viewer = SimulatedClock(), _Viewer()
    camera = ScriptedCamera(clock)
    camera.recorded = recorded
    with _watching(camera, clock, viewer=viewer) as (_loop, snapshots, first):
        next(snapshots)
        assert len(viewer.shown) == 2  # of snapshots: they are decoded anyway
        assert viewer.shown[0] is first.frame
        viewer.looks = True
        next(snapshots)
        assert (len(viewer.shown) > 50) is not recorded
        viewer.looks = False
        clock.sleep(0.2)
        count = len(viewer.shown)
        next(snapshots)
        assert len(viewer.shown) == count + 1


def test_a_frame_that_only_a_viewer_misses_is_no_failure() -> None:
    clock, viewer = SimulatedClock(), _Viewer()
    viewer.looks = True
    camera = ScriptedCamera(clock, [_picture(), "none", "damaged", "none"])
    with _watching(camera, clock, viewer=viewer) as (loop, snapshots, _):
        assert next(snapshots).frame_state == "ok"
        assert loop.status.failures == 0
        assert any(frame.damage for frame in viewer.shown)
