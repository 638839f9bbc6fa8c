"""Snapshots on a disk that fails, and a process that is killed while it writes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from edge import Analysis, Timings, files
from edge.camera import Frame, Snapshot
from edge.camera import store as store_module
from edge.camera.store import Store
from edge.errors import OutputError
from edge.picture.comment import add_comment, read_comment
from tests.support.pictures import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_START = datetime(2026, 1, 1, tzinfo=timezone.utc)
# LESION_EDGE_KILLS=200 pytest -k killed_at_random: for longer than a test should take.
_KILLS = int(os.environ.get("LESION_EDGE_KILLS", "10"))
_TIMINGS = Timings(0, 0, 0, 0, 0)


def _snapshot(number: int = 0, label: str = "benign", days: int = 0) -> Snapshot:
    image = np.random.default_rng(number).integers(60, 200, (48, 64, 3), dtype=np.uint8)
    analysis = Analysis(
        *((64, 48), label, 0.25, 0.5, (), _TIMINGS, (), "malignant"), model={"name": "m"}
    )
    at = _START + timedelta(seconds=number, days=days)
    return Snapshot("test", at, 1.0, "ok", Frame(image, 0.0), analysis)


def _pictures(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("snapshot-*.jpg"))


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for log in sorted(folder.glob("snapshots-*.jsonl"))
        for line in log.read_text().splitlines()
    ]


def _assert_whole(folder: Path) -> None:
    """Every picture decodes and has its line; every line is JSON and its picture is there."""
    pictures = _pictures(folder)
    for name in pictures:
        data = np.fromfile(folder / name, np.uint8)
        assert cv2.imdecode(data, cv2.IMREAD_COLOR) is not None, name
    assert sorted(line["saved"] for line in _lines(folder) if "saved" in line) == pictures
    assert not list(folder.glob(".*.tmp"))


def test_a_snapshot_is_a_picture_and_a_line_that_it_carries_too(tmp_path: Path) -> None:
    path = Store(str(tmp_path)).save(_snapshot())
    assert path is not None
    (line,) = _lines(tmp_path)
    assert read_comment(path) == line
    assert line["saved"] == os.path.basename(path)
    assert (line["label"], line["model"], line["captured_at"]) == (
        "benign",
        {"name": "m"},
        "2026-01-01T00:00:00.000+00:00",
    )
    _assert_whole(tmp_path)


def test_a_comment_longer_than_a_segment_comes_back_whole(tmp_path: Path) -> None:
    encoded = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    line = {"regions": list(range(30000))}
    path = tmp_path / "x.jpg"
    path.write_bytes(add_comment(encoded, line))
    assert read_comment(str(path)) == line
    assert cv2.imread(str(path)) is not None


@pytest.mark.parametrize(("policy", "saved"), [("all", 5), ("positive", 2), ("changed", 3)])
def test_the_policy_says_which_pictures_are_saved_but_each_gets_its_line(
    tmp_path: Path, policy: Any, saved: int
) -> None:
    store = Store(str(tmp_path), policy=policy)
    for number, label in enumerate(["benign", "benign", "malignant", "malignant", "benign"]):
        store.save(_snapshot(number, label))
    assert len(_pictures(tmp_path)) == saved
    assert len(_lines(tmp_path)) == 5


def test_fault_39_names_differ_though_the_wall_clock_stands_still(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    paths = [store.save(_snapshot()) for _ in range(3)]
    store.close()
    paths.append(Store(str(tmp_path)).save(_snapshot()))
    assert len(set(paths)) == 4


def test_fault_41_a_write_cut_off_by_a_limit_leaves_nothing_and_the_old_files_whole(
    tmp_path: Path,
) -> None:
    store = Store(str(tmp_path))
    store.save(_snapshot(0))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        assert store.save(_snapshot(1)) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert str(store.reason) == os.strerror(errno.EFBIG)
    assert store.save(_snapshot(2)) is not None
    assert store.reason is None
    _assert_whole(tmp_path)


@pytest.mark.parametrize("step", ["write_atomically", "fsync", "replace", "_flush_folder"])
def test_fault_42_a_failure_at_any_step_leaves_old_or_new_never_half(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    store.save(_snapshot(0))

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    owner: Any = {"write_atomically": store_module, "_flush_folder": files}.get(step, os)
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, fail)
        assert store.save(_snapshot(1)) is None
    assert store.save(_snapshot(2)) is not None
    store.close()
    Store(str(tmp_path))
    _assert_whole(tmp_path)


def test_fault_42_killed_at_random_while_writing_every_file_is_whole(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.camera.test_camera_store import _snapshot; "
        "from edge.camera.store import Store\n"
        "store = Store(sys.argv[1], keep=20)\n"
        "for n in range(10**6): store.save(_snapshot(n)); print('saved', flush=True)"
    )
    rng = random.Random(0)
    for _ in range(_KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            for _ in range(rng.randint(1, 30)):  # however slow the machine is
                assert child.stdout.readline() == b"saved\n"
            time.sleep(rng.uniform(0, 0.02))  # any moment of the next ones will do
            child.kill()
        assert _pictures(tmp_path)
        for name in _pictures(tmp_path):
            assert cv2.imread(str(tmp_path / name)) is not None
        store = Store(str(tmp_path), keep=20)  # mends a line that was cut: fault 43
        assert not list(tmp_path.glob(".*.tmp"))
        logged = {line["saved"] for line in _lines(tmp_path)}
        assert set(_pictures(tmp_path)) <= logged
        store.close()


def test_fault_43_what_a_sudden_end_left_is_mended_at_the_next_start(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for number in range(3):
        store.save(_snapshot(number))
    store.close()
    log = tmp_path / "snapshots-20260101.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(lines[0] + lines[1] + lines[2][:40])  # half a line, and so a picture without
    ours = tmp_path / ".snapshot-20260101T000000.000Z-0a0b0c0d-0000000001.jpg.123-01020304.tmp"
    ours.touch()
    theirs = tmp_path / ".someone.tmp"
    theirs.touch()
    Store(str(tmp_path))
    assert log.read_bytes() == b"".join(lines)
    assert not ours.exists()
    assert theirs.exists()


def test_fault_44_under_the_floor_the_oldest_go_then_it_stops_saving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path), min_free_bytes=1000)
    for number in range(4):
        store.save(_snapshot(number))
    names = _pictures(tmp_path)
    free = iter([900, 900, 900, 1100])
    monkeypatch.setattr(store, "_free", lambda: next(free, 1100))
    assert store.save(_snapshot(4)) is not None
    assert _pictures(tmp_path)[:2] == names[2:]
    monkeypatch.setattr(store, "_free", lambda: 0)
    assert store.save(_snapshot(5)) is None
    assert _pictures(tmp_path) == []
    assert "free" in str(store.reason)


def test_no_more_pictures_are_kept_than_asked_for_over_a_restart_too(tmp_path: Path) -> None:
    for part in range(2):
        store = Store(str(tmp_path), keep=3)
        for number in range(5):
            store.save(_snapshot(10 * part + number))
        store.close()
        assert len(_pictures(tmp_path)) == 3
    assert _pictures(tmp_path)[-1].startswith("snapshot-20260101T000014")


def test_fault_71_after_the_clock_went_back_the_oldest_picture_is_still_the_oldest(
    tmp_path: Path,
) -> None:
    years = (0, 30, -56, -56, 1)  # years off: right, far ahead, 1970 and on, right again
    made: list[str] = []
    for number, off in enumerate(years):
        store = Store(str(tmp_path), keep=3)  # a start each, as of a board that loses its time
        for part in range(2):
            path = store.save(_snapshot(2 * number + part, days=365 * off))
            assert path is not None
            made.append(os.path.basename(path))
            assert set(_pictures(tmp_path)) == set(made[-3:])
        store.close()
    assert len(set(made)) == 10
    assert {line["saved"] for line in _lines(tmp_path)} == set(made)


def test_fault_71_the_log_of_1970_stays_though_its_day_is_the_oldest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path), policy="positive", min_free_bytes=1000)
    store.save(_snapshot(0, "malignant"))
    store.save(_snapshot(1, days=-365 * 56))
    free = iter([0, 10**12])
    monkeypatch.setattr(store, "_free", lambda: next(free, 10**12))
    store.save(_snapshot(2, days=-365 * 56))
    logs = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert len(logs) == 2
    assert logs[0].startswith("snapshots-1970")
    assert len(_lines(tmp_path)) == 3


def test_fault_71_half_a_line_of_a_day_long_past_is_cut_off_before_another_is_added(
    tmp_path: Path,
) -> None:
    store = Store(str(tmp_path), policy="positive")
    for number, days in enumerate((0, 1, 2, -365 * 56)):
        store.save(_snapshot(number, days=days))
    store.close()
    (log,) = tmp_path.glob("snapshots-1970*.jsonl")
    log.write_bytes(log.read_bytes() + b'{"image": "te')
    os.utime(log, (0, 0))  # the clock was at 1970 as well
    Store(str(tmp_path), policy="positive").save(_snapshot(5, days=-365 * 56))
    assert len(_lines(tmp_path)) == 5


def test_fault_45_a_folder_that_is_deleted_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    store = Store(str(folder))
    store.save(_snapshot(0))
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert store.save(_snapshot(1)) is not None
    _assert_whole(folder)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
def test_fault_46_a_disk_that_refuses_is_a_state_logged_once_and_left_again(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(str(tmp_path))

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "write_atomically", refuse)
        assert [store.save(_snapshot(n)) for n in range(5)] == [None] * 5
    assert store.save(_snapshot(5)) is not None
    assert [os.strerror(number) in caplog.messages[0], len(caplog.messages)] == [True, 2]
    assert "saving again" in caplog.messages[1]


def test_fault_47_foreign_names_and_links_are_left_alone(tmp_path: Path) -> None:
    folder, outside = tmp_path / "out", tmp_path / "precious.jpg"
    folder.mkdir()
    outside.write_bytes(b"precious")
    (folder / "snapshot-20250101T000000.000Z-00000000-0000000001.jpg").symlink_to(outside)
    (folder / "snapshot-holiday.jpg").write_bytes(b"mine")
    store = Store(str(folder), keep=1)
    for number in range(3):
        store.save(_snapshot(number))
    assert outside.read_bytes() == b"precious"
    assert (folder / "snapshot-20250101T000000.000Z-00000000-0000000001.jpg").is_symlink()
    assert (folder / "snapshot-holiday.jpg").read_bytes() == b"mine"


def test_a_log_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    folder, outside = tmp_path / "out", tmp_path / "precious"
    folder.mkdir()
    outside.write_bytes(b"")
    (folder / "snapshots-20260101.jsonl").symlink_to(outside)
    store = Store(str(folder))
    assert store.save(_snapshot()) is None
    assert outside.read_bytes() == b""
    assert store.saved == 0


def test_a_second_loop_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = Store(str(tmp_path))
    with pytest.raises(OutputError, match="another loop"):
        Store(str(tmp_path))
    first.close()
    Store(str(tmp_path))


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_fault_68_a_share_without_locks_is_written_to_with_one_warning(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def flock(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    store = Store(str(tmp_path / "share"))
    assert [store.save(_snapshot(n)) is None for n in range(3)] == [False] * 3
    for path in (tmp_path / "share").iterdir():
        path.unlink()
    (tmp_path / "share").rmdir()
    assert store.save(_snapshot(4)) is not None
    assert [("no locks" in text) for text in caplog.messages] == [True]
    store.close()
    _assert_whole(tmp_path / "share")


def test_a_lock_that_nfs_refuses_is_another_loops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")  # fcntl(2), F_SETLK

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OutputError, match="another loop"):
        Store(str(tmp_path))


def test_logs_of_days_without_pictures_go_first_as_many_as_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path), keep=1)
    for day in range(3):
        store.save(_snapshot(day, days=day))
    assert len(list(tmp_path.glob("*.jsonl"))) == 3
    oldest = tmp_path / "snapshots-20260101.jsonl"
    monkeypatch.setattr(store, "_min_free", 1000)
    monkeypatch.setattr(store, "_free", lambda: 0 if oldest.exists() else 10**12)
    monkeypatch.setattr(store, "_keep", None)
    assert store.save(_snapshot(3, days=3)) is not None
    assert sorted(p.name for p in tmp_path.glob("*.jsonl")) == [
        "snapshots-20260102.jsonl",
        "snapshots-20260103.jsonl",
        "snapshots-20260104.jsonl",
    ]
