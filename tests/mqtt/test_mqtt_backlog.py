"""The store's logs as a queue: in order, each line once, whatever becomes of the files."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from edge.camera import store as store_module
from edge.camera.daylog import DayLogs, line_id
from edge.camera.sent import Sent, read_sent, write_sent
from edge.camera.store import Store
from edge.mqtt.backlog import Backlog
from tests.camera.test_camera_store import _snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def log(folder: Path, day: str, numbers: Iterable[int], **more: Any) -> None:
    """Write lines as a store does, many at once."""
    lines = ({"id": line_id("0a0b0c0d", number), **more} for number in numbers)
    DayLogs(str(folder)).append(day, lines)


def take_all(backlog: Backlog, upto: int = 10**9) -> list[int]:
    numbers = []
    while (found := backlog.take(upto)) is not None:
        number, line = found
        assert int(json.loads(line)["id"][9:]) == number
        numbers.append(number)
    return numbers


def test_lines_come_in_the_order_they_were_saved_though_the_clock_went_back(tmp_path: Path) -> None:
    store = Store(str(tmp_path), policy="positive")
    for number, days in enumerate((0, 0, -365 * 56, 1, 0, -365 * 56, 1)):
        store.save(_snapshot(number, days=days))
    assert take_all(Backlog(str(tmp_path), 0)) == [1, 2, 3, 4, 5, 6, 7]
    assert take_all(Backlog(str(tmp_path), 4)) == [5, 6, 7]


def test_numbers_go_on_after_a_restart_though_no_picture_has_the_last(tmp_path: Path) -> None:
    for start in range(3):
        store = Store(str(tmp_path), policy="positive")
        store.save(_snapshot(start, "malignant" if start == 0 else "benign"))
        store.close()
    write_sent(str(tmp_path), Sent(number=9, most=9))
    for path in tmp_path.glob("snapshots-2*"):
        path.unlink()
    store = Store(str(tmp_path), policy="positive")
    store.save(_snapshot(3))  # else it would be taken for one that was sent
    assert take_all(Backlog(str(tmp_path), 9)) == [10]


def test_what_is_added_while_it_is_read_comes_next_and_never_half(tmp_path: Path) -> None:
    log(tmp_path, "20260101", [1, 2])
    backlog = Backlog(str(tmp_path), 0)
    assert take_all(backlog, 2) == [1, 2]
    path = tmp_path / "snapshots-20260101.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "0a0b0c0d-0000000003"')
    assert take_all(backlog, 3) == []
    path.write_bytes(whole)  # as the store does after an error
    log(tmp_path, "20260101", [4, 5], note="longer")
    log(tmp_path, "20260102", [6])
    assert take_all(backlog, 5) == [4, 5]
    assert take_all(backlog, 6) == [6]


def test_a_line_that_is_not_safely_on_the_disk_waits(tmp_path: Path) -> None:
    log(tmp_path, "20260101", [1, 2, 3])
    backlog = Backlog(str(tmp_path), 0)
    assert take_all(backlog, 2) == [1, 2]
    assert take_all(backlog, 3) == [3]


def test_a_person_who_deletes_pictures_meanwhile_takes_no_other_line_away(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for number in range(6):
        store.save(_snapshot(number))
    names = sorted(path.name for path in tmp_path.glob("*.jpg"))
    backlog = Backlog(str(tmp_path), 0)
    backlog._logs.clear()
    assert backlog.take(1) is not None
    for name in (names[0], names[2]):
        assert store.delete(name)
    for number in range(6, 9):
        store.save(_snapshot(number))
    assert take_all(backlog, store.logged) == [2, 4, 5, 6, 7, 8, 9]


def test_fault_75_what_the_full_disk_took_is_counted_and_the_rest_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path), policy="positive", min_free_bytes=1000)
    for number in range(9):
        store.save(_snapshot(number, days=number // 3))
    sent = Sent()
    sent.advance(1)
    monkeypatch.setattr(
        store, "_free", lambda: 0 if (tmp_path / "snapshots-20260102.jsonl").exists() else 10**12
    )
    assert store.save(_snapshot(9, days=3)) is None  # without a picture, but a line
    monkeypatch.setattr(store, "_free", lambda: 0)
    store.save(_snapshot(10, days=3))
    monkeypatch.setattr(store, "_free", lambda: 10**12)
    store.save(_snapshot(11, days=3))
    numbers = take_all(Backlog(str(tmp_path), 1), store.logged)
    assert numbers == [10, 12]  # as no picture is kept, each day's log but today's may go
    for number in numbers:
        sent.advance(number)
    assert (sent.sent, sent.lost) == (3, 9)


def test_some_that_are_asked_for_again_are_neither_lost_nor_sent_twice_as_counted() -> None:
    sent = Sent()
    for number in (5, 6, 9):
        sent.advance(number)
    sent.number = 5
    for number in (6, 9, 10):
        sent.advance(number)
    assert (sent.number, sent.sent, sent.lost) == (10, 4, 2)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"number": "x"}', b'{"other": 1}', b"\xff" * 2000])
def test_a_cursor_that_is_none_has_everything_sent_again(tmp_path: Path, data: bytes) -> None:
    write_sent(str(tmp_path), Sent(3, 3, 3, 0))
    assert read_sent(str(tmp_path)) == Sent(3, 3, 3, 0)
    (path,) = tmp_path.iterdir()
    path.write_bytes(data)
    assert read_sent(str(tmp_path)) == Sent()


def test_of_a_hundred_thousand_lines_a_few_are_in_memory(tmp_path: Path) -> None:
    for day in range(12):
        log(tmp_path, f"202601{day + 10}", range(day * 8640 + 1, day * 8640 + 8641), pad="x" * 300)
    tracemalloc.start()
    try:
        found = [Backlog(str(tmp_path), after).take(10**9) for after in (0, 50_000, 103_679)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [each and each[0] for each in found] == [1, 50_001, 103_680]
    assert peak < 5e6  # of 36 MB in files


def test_temporary_files_of_logs_and_cursor_are_swept_too(tmp_path: Path) -> None:
    for name in (
        ".snapshots-20260101.jsonl.12-0a0b0c0d.tmp",
        ".snapshots-sent.json.1-0a0b0c0d.tmp",
    ):
        (tmp_path / name).touch()
    assert store_module.Store(str(tmp_path)).reason is None
    assert [path.name for path in tmp_path.iterdir()] == [".snapshots.lock"]
