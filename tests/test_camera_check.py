"""``--check``: what the loop does, three times, with nothing left behind."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from edge.camera.check import check_lock
from edge.camera.store import LOCK, Store
from edge.findings import Finding

from .conftest import run_module
from .mjpeg_server import MjpegServer, Raw, Single, Stream, noise
from .pictures import MODELS, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

_WRITABLE = Finding("folder", "ok", "can be written")


def _check(source: str, out: Path, *more: str) -> tuple[int, dict[str, dict[str, Any]]]:
    result = run_module(
        "edge.camera",
        "--check",
        "--json",
        "--source",
        source,
        "--out",
        out,
        "--interval",
        "0.1",
        *more,
    )
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
    bad = run_module("edge.camera", "--check", "--contract", tmp_path / "c.json")
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
