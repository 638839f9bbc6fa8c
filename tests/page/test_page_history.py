"""What a folder of snapshots is to the page, whatever lies in it."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge import Analysis, Timings
from edge.camera.frames import Frame
from edge.camera.snapshot import Snapshot
from edge.camera.store import Store
from edge.page.history import History

if TYPE_CHECKING:
    from pathlib import Path

_START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def snapshot(number: int, label: str = "benign", **more: Any) -> Snapshot:
    image = np.random.default_rng(number).integers(60, 200, (48, 64, 3), dtype=np.uint8)
    timings = Timings(0, 0, 0, 0, 0)
    analysis = Analysis((64, 48), label, 0.25, 0.5, (), timings, (), "malignant")
    at = _START + timedelta(hours=12 * number)
    return Snapshot("test", at, 1.0, "ok", Frame(image, 0.0), analysis, **more)


def names(history: History, **asked: Any) -> list[str]:
    wished: dict[str, Any] = {"day": "", "label": "", "before": "", "limit": 200, **asked}
    return [item["name"] for item in history.page(**wished)["items"]]


def test_the_newest_come_first_by_day_and_label_a_page_at_a_time(tmp_path: Path) -> None:
    store, history = Store(str(tmp_path)), History(str(tmp_path))
    saved: list[str] = []
    for number in range(5):
        path = store.save(snapshot(number, "malignant" if number == 3 else "benign"))
        assert path is not None
        saved.insert(0, os.path.basename(path))
        assert names(history) == saved  # as the log grows
    found = history.page(day="", label="", before="", limit=2)
    assert [item["name"] for item in found["items"]] == saved[:2]
    assert found["days"] == [
        {"day": "20260103", "count": 1},
        {"day": "20260102", "count": 2},
        {"day": "20260101", "count": 2},
    ]
    assert names(history, before=found["next"]) == saved[2:]
    assert history.page(day="", label="", before=saved[3], limit=2)["next"] is None
    assert names(history, day="20260102") == saved[1:3]
    assert names(history, label="malignant") == [saved[1]]
    store.close()


def test_what_is_deleted_damaged_or_not_ours_is_left_out_and_harms_nothing(tmp_path: Path) -> None:
    store, history = Store(str(tmp_path)), History(str(tmp_path))
    paths = [store.save(snapshot(0)) or "" for _ in range(4)]
    gone, cut, linked, whole = map(os.path.basename, paths)
    os.unlink(paths[0])
    with open(paths[1], "r+b") as stream:
        stream.truncate(300)
    os.unlink(paths[2])
    os.symlink("/etc/passwd", paths[2])
    with open(tmp_path / "snapshots-20260101.jsonl", "ab") as stream:
        stream.write(b'{"saved": "../../etc/passwd"}\n[1]\n\xff\nnull\n')
        stream.write(b'{"saved": "' + whole.encode() + b'", "probability": "x"}\n')
        stream.write(b'{"saved": "half a li')
    (tmp_path / "snapshots-20260102.jsonl").mkdir()
    assert set(names(history)) == {cut, linked, whole}
    assert [history.thumbnail(name) is not None for name in (gone, cut, linked, whole)] == [
        *(False, False, False, True)
    ]
    assert history.picture(linked) is None
    assert history.picture("../snapshots-20260101.jsonl") is None
    assert history.line(whole)
    store.close()


def test_a_log_that_was_written_anew_or_removed_is_read_anew(tmp_path: Path) -> None:
    store, history = Store(str(tmp_path)), History(str(tmp_path))
    first, second = (os.path.basename(store.save(snapshot(0)) or "") for _ in range(2))
    assert names(history) == [second, first]
    assert store.delete(first)
    third = os.path.basename(store.save(snapshot(0)) or "")
    assert names(history) == [third, second]
    os.unlink(tmp_path / "snapshots-20260101.jsonl")
    assert names(history) == []
    store.close()
    assert names(History(str(tmp_path / "nowhere"))) == []


@pytest.mark.slow
def test_ten_thousand_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = snapshot(0).to_dict()
    with open(tmp_path / "snapshots-20260101.jsonl", "w") as stream:
        for number in range(10_000):
            name = f"snapshot-20260101T000000.000Z-00000000-{number:010}.jpg"
            (tmp_path / name).touch()
            stream.write(json.dumps(line | {"saved": name}) + "\n")
    history = History(str(tmp_path))
    assert len(history.items()) == 10_000
    monkeypatch.setattr("edge.page.history.json.loads", None)  # nothing more is to be parsed
    assert names(history, limit=1) == ["snapshot-20260101T000000.000Z-00000000-0000009999.jpg"]
