"""The doctor names each cause with its fix, starts whatever is broken, and exits as it should."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge import system
from edge.modelfile import unpack

from .conftest import run_module
from .pictures import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator


def _doctor(*arguments: str | Path, path: Path | None = None) -> tuple[int, dict[str, Any]]:
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    result = run_module("edge.doctor", "--json", *arguments, env=environment)
    assert "Traceback" not in result.stderr
    return result.returncode, json.loads(result.stdout)


def _find(document: dict[str, Any], check: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        each for each in document["findings"] if each["check"] == check and each["level"] != "ok"
    )
    return found


def _package(folder: Path, name: str, code: str) -> Path:
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code)
    return folder


def _missing(folder: Path, *names: str) -> Path:
    for name in names:
        _package(
            folder, name, f"raise ModuleNotFoundError('No module named {name}', name='{name}')"
        )
    return folder


def test_where_all_is_well_a_picture_can_be_analysed() -> None:
    status, document = _doctor()
    assert (status, document["ok"]) == (0, True)
    checks = [finding["check"] for finding in document["findings"]]
    assert checks[:6] == ["machine", "python", "numpy", "opencv", "model", "runtime"]
    assert checks[-1] == "picture"


def test_the_text_fits_on_a_screen() -> None:
    result = run_module("edge.doctor")
    assert result.returncode == 0
    assert 8 <= len(result.stdout.splitlines()) <= 40


def test_help_says_what_the_exit_status_means() -> None:
    result = run_module("edge.doctor", "--help")
    assert "1 it can't be" in result.stdout
    assert run_module("edge.doctor", "--wrong").returncode == 2


def test_no_runtime(tmp_path: Path) -> None:
    """22."""
    status, document = _doctor(path=_missing(tmp_path, "ai_edge_litert", "tflite_runtime"))
    assert (status, document["ok"]) == (1, False)
    finding = _find(document, "runtime")
    assert finding["fix"] == f"{sys.executable} -m pip install ai-edge-litert"
    assert _find(document, "picture")["fix"] == finding["fix"]


def test_numpy_2_with_tflite_runtime(tmp_path: Path) -> None:
    """22."""
    folder = _package(_missing(tmp_path, "ai_edge_litert"), "tflite_runtime", "")
    (folder / "tflite_runtime" / "interpreter.py").write_text("class Interpreter: ...")
    status, document = _doctor(path=folder)
    assert status == 1
    finding = _find(document, "runtime")
    assert "tflite-runtime needs numpy 1, this is numpy 2" in finding["message"]
    assert "pip install 'numpy<2' 'opencv-python-headless<4.12'" in finding["message"]
    assert "pip install ai-edge-litert" in finding["fix"]


@pytest.mark.parametrize(("package", "check"), [("numpy", "numpy"), ("cv2", "opencv")])
def test_what_is_not_there_is_named(tmp_path: Path, package: str, check: str) -> None:
    status, document = _doctor(path=_missing(tmp_path, package))
    assert status == 1
    finding = _find(document, check)
    assert finding["message"].startswith("not installed")
    assert " -m pip install " in finding["fix"]


def test_a_package_built_for_numpy_1(tmp_path: Path) -> None:
    code = "raise ImportError('A module that was compiled using NumPy 1.x cannot be run in 2.4')"
    status, document = _doctor(path=_package(tmp_path, "cv2", code))
    assert status == 1
    finding = _find(document, "opencv")
    assert finding["message"].startswith("built for numpy 1, but numpy 2 is installed")
    assert "--ignore-installed opencv-python-headless" in finding["fix"]


def test_an_opencv_that_ends_its_process(tmp_path: Path) -> None:
    code = "import os; os.abort()"
    status, document = _doctor(path=_package(tmp_path, "cv2", code))
    assert status == 1
    assert "SIGABRT" in _find(document, "opencv")["message"]


def test_two_opencv_wheels(tmp_path: Path) -> None:
    metadata = tmp_path / "opencv_python-4.11.0.86.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: opencv-python\nVersion: 4.11.0.86\n")
    status, document = _doctor(path=tmp_path)
    assert status == 0
    finding = _find(document, "opencv")
    assert "opencv-python and opencv-python-headless lie over each other" in finding["message"]
    assert "pip uninstall -y opencv-python opencv-python-headless && " in finding["fix"]


def test_a_32_bit_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)
    finding = system.check_machine()
    assert finding.level == "warning"
    assert "32-bit Python" in finding.message
    assert finding.fix is not None
    assert "tflite-runtime" in finding.fix


def test_a_python_that_is_too_old() -> None:
    finding = system.check_python((3, 9))
    assert finding.level == "failed"
    assert "older than 3.10" in finding.message


def test_a_damaged_model(tmp_path: Path) -> None:
    """18."""
    damaged = tmp_path / "damaged.tflite"
    data = bytearray(MODELS["int8"].read_bytes())
    data[5000] ^= 16
    damaged.write_bytes(data)
    status, document = _doctor("--model", damaged)
    assert status == 1
    finding = _find(document, "model")
    assert "damaged, or not the model of this contract" in finding["message"]
    assert "python -m convert" in finding["fix"]


def test_a_folder_that_cant_be_written_is_a_warning(tmp_path: Path) -> None:
    """46: pictures can be analysed all the same."""
    (tmp_path / "file").write_text("")
    status, document = _doctor("--folder", tmp_path / "file")
    assert status == 0
    assert _find(document, "folder")["level"] == "warning"


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that every user may enter, which those of pytest are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _device(root: Path, number: int, name: str, mode: int) -> None:
    device = root / "dev" / f"video{number}"
    about = root / "sys" / "class" / "video4linux" / device.name / "name"
    for path, text in ((device, ""), (about, f"{name}\n")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    device.chmod(mode)


def test_no_camera_permission(root: Path) -> None:
    """33."""
    _device(root, 0, "unicam-image", 0o000)
    if os.geteuid() == 0:  # to whom nothing is refused: ask as nobody
        code = (
            "import json, os, sys; from dataclasses import asdict; from edge import system;"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
            "print(json.dumps([asdict(each) for each in system.check_cameras(sys.argv[1])]))"
        )
        from edge.findings import run_probe

        (finding,) = run_probe(code, str(root))
    else:
        from dataclasses import asdict

        (finding,) = map(asdict, system.check_cameras(str(root)))
    assert finding["message"] == "no permission for /dev/video0"
    assert finding["fix"].startswith("sudo usermod -aG ")


def test_a_camera_that_may_be_opened(root: Path) -> None:
    _device(root, 0, "unicam-image", 0o600)
    (finding,) = system.check_cameras(str(root))
    assert finding.level == "ok"


def test_codecs_are_no_cameras(root: Path) -> None:
    _device(root, 10, "bcm2835-codec-decode", 0o600)
    _device(root, 19, "rpi-hevc-dec", 0o600)
    (finding,) = system.check_cameras(str(root))
    assert finding.message.startswith("no camera device")


def test_heat_throttling_and_governor_are_told_with_what_helps(tmp_path: Path) -> None:
    for name, text in {
        "sys/class/thermal/thermal_zone0/temp": "84000",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50000",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    heat, throttling, governor = system.check_board(str(tmp_path))
    assert (heat.level, heat.message) == ("warning", "84.0 degrees Celsius")
    assert "under-voltage since boot" in throttling.message
    assert "power supply" in (throttling.fix or "")
    assert "scaling_governor" in (governor.fix or "")


def test_a_clock_that_was_not_set_is_told(tmp_path: Path) -> None:
    """39."""
    assert system.check_clock(str(tmp_path)) is None
    folder = tmp_path / "run" / "systemd" / "timesync"
    folder.mkdir(parents=True)
    finding = system.check_clock(str(tmp_path))
    assert finding is not None
    assert finding.level == "warning"
    (folder / "synchronized").write_text("")
    finding = system.check_clock(str(tmp_path))
    assert finding is not None
    assert finding.level == "ok"


def test_a_model_without_a_contract_is_checked_with_the_one_beside_it(tmp_path: Path) -> None:
    flatbuffer, contract = unpack(MODELS["float32"].read_bytes(), "model")
    plain, beside = tmp_path / "plain.tflite", tmp_path / "contract.json"
    plain.write_bytes(flatbuffer)
    beside.write_text(json.dumps(contract))
    status, document = _doctor("--model", plain, "--contract", beside)
    assert (status, document["ok"]) == (0, True)
    status, document = _doctor("--model", plain)
    assert status == 1
    assert "--contract" in _find(document, "model")["message"]
    assert run_module("edge.doctor", "--contract", beside).returncode == 2
