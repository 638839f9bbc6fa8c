"""``python -m edge.camera`` as a user, a supervisor and a network camera meet it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edge.camera import Settings, SnapshotLoop, look
from edge.camera.notify import SystemdNotifier, health
from edge.camera.settings import Patience
from edge.camera.sources.http import HttpCamera
from edge.camera.sources.picamera import PiCamera
from edge.errors import CameraError
from tests.camera import pass_an_outage, run_camera
from tests.conftest import run_module
from tests.support.mjpeg_server import MjpegServer, Stream, noise
from tests.support.pictures import CALIBRATION, HELD_OUT, ROOT, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge import Analyzer

pytestmark = pytest.mark.slow

FOLDER = str(SAMPLES[0].parent.parent)


@contextmanager
def _running(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "edge.camera", *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_folder_plays_as_a_camera_and_each_snapshot_is_a_line(tmp_path: Path) -> None:
    out, status = tmp_path / "out", tmp_path / "status.json"
    result = run_camera("--interval 0 --count 3 --json", source=FOLDER, out=out, status_file=status)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0
    assert [line["frame_state"] for line in lines] == ["ok"] * 3
    assert {"image", "captured_at", "age_ms", "label", "probability", "regions", "model"} <= set(
        lines[0]
    )
    assert sorted(line["saved"] for line in lines) == sorted(map(str, out.glob("*.jpg")))
    found = json.loads(status.read_text())
    assert found["counts"]["ok"] == 3
    assert found["camera"]["state"] == "running"
    assert found["store"]["saved"] == 3


def test_the_same_picture_has_the_same_answer_as_in_edge_run() -> None:
    camera = run_camera("--interval 0 --count 2 --json --save none", source=FOLDER)
    run = run_module("edge.run", FOLDER, "--json")
    for ours, theirs in zip(camera.stdout.splitlines(), run.stdout.splitlines()[:2], strict=True):
        for key in ("size", "label", "probability", "threshold", "regions", "model"):
            assert json.loads(ours)[key] == json.loads(theirs)[key]


def test_fault_33_no_camera_is_one_line_with_the_fix_and_exit_1(tmp_path: Path) -> None:
    result = run_camera("--source /dev/video97", out=tmp_path / "out")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "ls /dev/video*" in result.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_fault_48_a_signal_ends_it_with_exit_0(number: signal.Signals, tmp_path: Path) -> None:
    with _running("--source", FOLDER, "--interval", "3600", "--out", str(tmp_path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(number)
        assert process.wait(timeout=60) == 0


def test_fault_49_a_second_interrupt_ends_it_at_once_with_130(tmp_path: Path) -> None:
    fifo = str(tmp_path / "fifo")
    os.mkfifo(fifo)
    code = (
        "import os, sys, time, edge.camera.__main__ as main\n"
        "import edge.camera.sources.choose as choose\n"
        "class Hanging:\n"
        "    name, live, fixed_size = 'hanging', False, True\n"
        "    def open(self): print('open', flush=True); time.sleep(10**6)\n"
        "    def close(self): pass\n"
        "choose.open_source = lambda *a, **k: Hanging()\n"
        "os._exit(main.main(['--save', 'none', '--read-timeout', '100000']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        process.send_signal(signal.SIGINT)
        while process.poll() is None:  # it may not have seen the first one yet
            time.sleep(0.05)
            process.send_signal(signal.SIGINT)
        assert process.returncode == 130


def test_fault_50_a_closed_standard_output_ends_it_quietly(tmp_path: Path) -> None:
    with _running("--source", FOLDER, "--interval", "0", "--out", str(tmp_path)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 1
        assert "Traceback" not in process.stderr.read()


def test_systemd_is_told_ready_status_and_a_ping_for_each_cycle(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(path)
        supervisor.settimeout(60)
        with _running(
            "--source",
            FOLDER,
            "--interval",
            "0",
            "--count",
            "3",
            "--save",
            "none",
            NOTIFY_SOCKET=path,
        ) as process:
            messages = [supervisor.recv(4096).decode() for _ in range(4)]
            assert process.wait(timeout=60) == 0
    assert messages[0].startswith("READY=1\nSTATUS=camera running, 1 snapshots")
    assert [("READY" in m, m.endswith("WATCHDOG=1")) for m in messages[1:3]] == [(False, True)] * 2
    assert messages[3] == "STOPPING=1"


def test_fault_52_without_a_supervisor_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("a socket was opened"))
    SystemdNotifier().send("WATCHDOG=1")
    monkeypatch.undo()
    SystemdNotifier(str(tmp_path / "gone")).send("WATCHDOG=1")


def test_check_names_each_thing_that_is_wrong_with_its_fix(tmp_path: Path) -> None:
    good = run_camera("--check --json", source=FOLDER, out=tmp_path)
    assert (good.returncode, json.loads(good.stdout)["ok"]) == (0, True)
    bad = run_camera(
        "--check --json --source /dev/video97 --min-free 999999G",
        out=tmp_path,
        model=tmp_path / "gone.tflite",
    )
    findings = json.loads(bad.stdout)["findings"]
    assert bad.returncode == 1
    failed = {finding["check"] for finding in findings if finding["level"] == "failed"}
    assert {"camera", "model", "folder"} <= failed
    assert all(finding["fix"] for finding in findings if finding["level"] == "failed")


@pytest.mark.parametrize("path", [*SAMPLES, *CALIBRATION, *HELD_OUT], ids=lambda p: p.stem)
def test_real_pictures_are_ok_or_blurred_and_degraded_copies_are_not(path: Path) -> None:
    image = cv2.imread(str(path))
    assert image is not None
    image_bgr = image.astype(np.uint8)
    assert look(image_bgr) in ("ok", "blurred")
    rng = np.random.default_rng(0)
    dark = image_bgr * 0.03 + rng.integers(0, 8, image_bgr.shape)
    assert look(dark.astype(np.uint8)) == "black"
    glaring = image_bgr * 6.0 + 150
    assert look(glaring.clip(0, 255).astype(np.uint8)) == "saturated"
    sigma = 5 * max(1.0, max(image_bgr.shape[:2]) / 500)
    assert look(cv2.GaussianBlur(image_bgr, (0, 0), sigma).astype(np.uint8)) == "blurred"


def test_a_network_camera_that_is_stopped_hung_and_restarted_comes_back(
    int8_analyzer: Analyzer,
) -> None:
    stream = MjpegServer(stream=Stream(noise()))
    stream.start()
    camera = HttpCamera(stream.url(), timeout_s=1)
    patience = Patience(open_s=10, read_s=3, retry_s=0.1, retry_most_s=0.2, give_up_s=60)
    settings = Settings(interval_s=0, max_age_s=2, patience=patience)
    loop = SnapshotLoop(camera, int8_analyzer, settings)
    snapshots = iter(loop)
    assert next(snapshots).analysis is not None
    pass_an_outage(loop, snapshots, stream.stop, stream.start)
    pass_an_outage(loop, snapshots, stream.hang.set, stream.hang.clear)
    assert health(loop.status, None)["camera"]["failures"] >= 2
    loop.stop()
    list(snapshots)
    stream.stop()


def test_a_pi_camera_is_imported_only_when_asked_for_and_its_absence_names_the_package() -> None:
    with pytest.raises(CameraError, match="apt install python3-picamera2"):
        PiCamera().open()


def test_a_pi_camera_gives_fresh_frames_in_bgr_order(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []

    class Request:
        def make_array(self, name: str) -> object:
            calls.append(name)
            return np.full((4, 6, 3), 7, np.uint8)

        def release(self) -> None:
            calls.append("release")

    class Picamera2:  # the documented interface
        def create_video_configuration(self, main: dict[str, object]) -> object:
            return main

        def configure(self, configuration: object) -> None:
            calls.append(configuration)

        def start(self) -> None:
            calls.append("start")

        def capture_request(self, *, flush: bool) -> Request:
            assert flush
            return Request()

        def close(self) -> None:
            calls.append("close")

    module = type(sys)("picamera2")
    module.Picamera2 = Picamera2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    camera = PiCamera(size_wh=(6, 4))
    camera.open()
    assert camera.grab()
    image = camera.retrieve()
    camera.close()
    assert image is not None
    assert image.shape == (4, 6, 3)
    # libcamera's RGB888 is B, G, R in memory, which is what the package works on.
    assert calls == [{"size": (6, 4), "format": "RGB888"}, "start", "main", "release", "close"]


def test_the_shipped_unit_is_accepted_by_systemd() -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze isn't installed here")
    unit = ROOT / "deploy" / "lesion-edge-camera.service"
    result = subprocess.run([analyze, "verify", unit], capture_output=True, text=True, check=False)
    # The project's own place, /opt, isn't there on a machine that only tests.
    complaints = [line for line in result.stderr.splitlines() if "/opt/lesion-edge" not in line]
    assert complaints == []
