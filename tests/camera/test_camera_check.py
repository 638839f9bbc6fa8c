"""``--check``: what the loop does, three times, with nothing left behind."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from edge.camera.check import check_lock
from edge.camera.lock import LOCK
from edge.camera.store import Store
from edge.doctor.finding import Finding
from tests.camera import run_camera
from tests.conftest import run_module
from tests.support.mjpeg_server import MjpegServer, Raw, Single, Stream, noise
from tests.support.pictures import MODELS, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

_WRITABLE = Finding("folder", "ok", "can be written")


def _check(source: str, out: Path, *more: str) -> tuple[int, dict[str, dict[str, Any]]]:
    result = run_camera("--check --json --interval 0.1", *more, source=source, out=out)
    findings = json.loads(result.stdout)["findings"]
    return result.returncode, {finding["check"]: finding for finding in findings}


@pytest.mark.parametrize(
    ("answer", "status", "level", "text"),
    [
        (Stream(noise()), 0, "ok", "3 snapshots (ok, ok, ok) of 160x120"),
        (Single(noise()), 0, "ok", "3 snapshots (ok, ok, ok) of 160x120"),
        (Stream(noise(), every_s=1.0), 0, "ok", "3 snapshots (ok, ok, ok)"),
        (Single(itertools.repeat(next(noise()))), 1, "failed", "(ok, stale, stale)"),
        (Stream(jpeg[:2000] for jpeg in noise()), 1, "failed", "(damaged, damaged, damaged)"),
        (Raw(status=503, type=None), 1, "failed", "(503)"),
        (Raw([b"<html>"], type="text/html"), 1, "failed", "a web page"),
    ],
)
def test_fault_68_check_says_what_the_loop_would_see(
    answer: Raw, status: int, level: str, text: str, tmp_path: Path
) -> None:
    with MjpegServer(capture=answer) as server:
        found = _check(server.url("capture"), tmp_path / "out")
    assert found[0] == status
    camera = found[1]["camera"]
    assert camera["level"] == level
    assert text in camera["message"]
    assert bool(camera["fix"]) == (level != "ok")
    assert list(tmp_path.iterdir()) == []


def test_fault_68_check_discards_the_frames_that_the_loop_discards(tmp_path: Path) -> None:
    black = [jpeg[:2000] for jpeg in itertools.islice(noise(), 5)]
    with MjpegServer(stream=Stream(itertools.chain(black, noise()), every_s=0.15)) as server:
        found = _check(server.url(), tmp_path / "out")
    assert "(ok, ok, ok)" in found[1]["camera"]["message"]


def test_check_takes_a_contract_beside_the_model(tmp_path: Path) -> None:
    bad = run_camera("--check", contract=tmp_path / "c.json")
    assert bad.returncode == 2
    assert "--contract goes with --model" in bad.stderr
    (tmp_path / "c.json").write_text("{}")
    found = _check(
        str(SAMPLES[0].parent),
        tmp_path / "out",
        "--model",
        str(MODELS["int8"]),
        "--contract",
        str(tmp_path / "c.json"),
    )
    assert found[0] == 1
    assert found[1]["model"]["level"] == "failed"
    assert found[1]["camera"]["level"] == "ok"  # it is looked at all the same


def test_fault_68_check_gives_each_kind_of_camera_its_own_fix(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no video")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "a.jpg").write_bytes(next(noise())[:2000])
    fixes = {
        name: _check(str(tmp_path / name), tmp_path / "out", "--save", "none")[1]["camera"]["fix"]
        for name in ("empty", "notes.txt", "damaged")
    }
    assert "pictures there" in fixes["empty"]
    assert "MP4" in fixes["notes.txt"]
    assert "copy the pictures" in fixes["damaged"]
    assert not any("unplug" in fix or "Wi-Fi" in fix for fix in fixes.values())


def test_fault_68_check_counts_the_oldest_pictures_as_room(tmp_path: Path) -> None:
    name = "snapshot-20260101T000000.000Z-aaaaaaaa-0000000001.jpg"
    with (tmp_path / name).open("wb") as file:
        file.truncate(1 << 42)  # a file of holes
    free = os.statvfs(tmp_path)
    wanted = str(free.f_bavail * free.f_frsize + (1 << 40))
    source = str(SAMPLES[0].parent)
    assert _check(source, tmp_path, "--min-free", wanted)[1]["folder"]["level"] == "ok"
    (tmp_path / name).rename(tmp_path / "else.jpg")
    assert _check(source, tmp_path, "--min-free", wanted)[1]["folder"]["level"] == "failed"


def test_fault_68_check_sees_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "usb").symlink_to("/mnt/nothing/here")
    found = _check(str(SAMPLES[0].parent), tmp_path / "usb")[1]["folder"]
    assert "a link to /mnt/nothing/here, which isn't there" in found["message"]


def test_fault_68_a_status_file_that_cannot_be_written_is_a_finding_and_told_once(
    tmp_path: Path,
) -> None:
    status = tmp_path / "gone" / "status.json"
    source = str(SAMPLES[0].parent)
    found = _check(source, tmp_path / "out", "--status-file", str(status))
    assert (found[0], found[1]["status"]["level"]) == (0, "warning")
    result = run_camera("--interval 0 --count 3 --save none", source=source, status_file=status)
    assert result.returncode == 0
    assert result.stderr.count(f"{status}: the status can't be written") == 1


def test_an_empty_name_of_what_is_written_is_wrong_usage() -> None:
    for command, option in (
        *(("edge.camera", "--out"), ("edge.camera", "--status-file"), ("edge.run", "--out")),
        *(("edge.run", "--report"), ("edge.run", "--csv")),
    ):
        result = run_module(command, option, "", *(["x.jpg"] if command == "edge.run" else []))
        assert result.returncode == 2
        assert "must not be empty" in result.stderr


def test_fault_68_check_sees_that_another_loop_has_the_folder(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    finding = check_lock(str(tmp_path), _WRITABLE)
    assert (finding.level, "another loop" in finding.message) == ("failed", True)
    store.close()
    assert check_lock(str(tmp_path), _WRITABLE) == _WRITABLE
    assert (tmp_path / LOCK).exists()  # it was there before


def test_fault_68_check_sees_a_share_without_locks_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(95, os.strerror(95))

    monkeypatch.setattr(fcntl, "flock", flock)
    finding = check_lock(str(tmp_path / "not" / "made"), _WRITABLE)
    assert finding.level == "warning"
    assert "no locks" in finding.message
    assert list(tmp_path.iterdir()) == []
