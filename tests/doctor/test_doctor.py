"""The doctor names each cause with its fix, starts whatever is broken, and exits as it should."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge import ModelError, OutputError, PictureError, libraries, rights
from edge.doctor import folder as folder_check
from edge.doctor import machine, software
from edge.drawing import save_annotated
from edge.model.file import unpack
from edge.model.load import load_model_file
from edge.picture.decode import read_bytes
from tests.conftest import run_module
from tests.edge.test_annotate import analysis
from tests.support.pictures import MODELS, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

_SUDO = "" if os.geteuid() == 0 else "sudo "


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
    finding = machine.check_machine()
    assert finding.level == "warning"
    assert "32-bit Python" in finding.message
    assert finding.fix is not None
    assert "tflite-runtime" in finding.fix


def test_a_python_that_is_too_old() -> None:
    finding = software.check_python((3, 9))
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
    assert finding["fix"] == "copy it again"
    # The way out is the error's own, whatever is wrong.
    damaged.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    status, document = _doctor("--model", damaged)
    assert "git lfs pull" in _find(document, "model")["fix"]
    assert "git lfs pull" in _find(document, "picture")["fix"]


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


def _device(
    root: Path, number: int, name: str, mode: int, *, driver: str | None = None, index: int = 0
) -> None:
    device = root / "dev" / f"video{number}"
    about = root / "sys" / "class" / "video4linux" / device.name
    for path, text in ((device, ""), (about / "name", f"{name}\n"), (about / "index", str(index))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    device.chmod(mode)
    if driver:
        drivers = root / "sys" / "bus" / "drivers" / driver
        drivers.mkdir(parents=True, exist_ok=True)
        (about / "device").mkdir()
        (about / "device" / "driver").symlink_to(drivers)


def test_no_camera_permission(root: Path) -> None:
    """33."""
    _device(root, 0, "unicam-image", 0o000)
    if os.geteuid() == 0:  # to whom nothing is refused: ask as nobody
        code = (
            "import json, os, sys; from dataclasses import asdict; from edge.doctor import machine;"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
            "print(json.dumps([asdict(each) for each in machine.check_cameras(sys.argv[1])]))"
        )
        from edge.doctor.probe import run_probe

        (finding,) = run_probe(code, str(root))
    else:
        from dataclasses import asdict

        (finding,) = map(asdict, machine.check_cameras(str(root)))
    assert finding["message"] == "no permission for /dev/video0"
    assert finding["fix"].startswith("sudo usermod -aG ")


def test_a_camera_that_may_be_opened(root: Path) -> None:
    _device(root, 0, "unicam-image", 0o600)
    (finding,) = machine.check_cameras(str(root))
    assert finding.level == "ok"


def test_codecs_are_no_cameras(root: Path) -> None:
    _device(root, 10, "bcm2835-codec-decode", 0o600)
    _device(root, 19, "rpi-hevc-dec", 0o600)
    (finding,) = machine.check_cameras(str(root))
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
    heat, throttling, governor = machine.check_board(str(tmp_path))
    assert (heat.level, heat.message) == ("warning", "84.0 degrees Celsius")
    assert "under-voltage since boot" in throttling.message
    assert "power supply" in (throttling.fix or "")
    assert "scaling_governor" in (governor.fix or "")


def test_fault_68_a_governor_is_offered_only_where_the_driver_has_it(tmp_path: Path) -> None:
    folder = tmp_path / "sys" / "devices" / "system" / "cpu" / "cpu0" / "cpufreq"
    folder.mkdir(parents=True)
    (folder / "scaling_governor").write_text("powersave\n")
    for offered, fix in (
        ("performance powersave", None),  # intel_pstate: powersave is what others call ondemand
        ("performance powersave schedutil", "echo schedutil | "),
    ):
        (folder / "scaling_available_governors").write_text(f"{offered}\n")
        (finding,) = machine.check_board(str(tmp_path))
        assert finding.level == ("warning" if fix else "ok")
        assert (finding.fix or "").startswith(fix or "")


def test_a_clock_that_was_not_set_is_told(tmp_path: Path) -> None:
    """39."""
    assert machine.check_clock(str(tmp_path)) is None
    folder = tmp_path / "run" / "systemd" / "timesync"
    folder.mkdir(parents=True)
    finding = machine.check_clock(str(tmp_path))
    assert finding is not None
    assert finding.level == "warning"
    (folder / "synchronized").write_text("")
    finding = machine.check_clock(str(tmp_path))
    assert finding is not None
    assert finding.level == "ok"


def test_a_model_without_a_contract_is_checked_with_the_one_beside_it(tmp_path: Path) -> None:
    flatbuffer, contract = unpack(MODELS["float32"].read_bytes(), "model")
    plain, beside = tmp_path / "plain.tflite", tmp_path / "contract.json"
    plain.write_bytes(flatbuffer)
    beside.write_text(json.dumps(contract))
    status, document = _doctor("--model", plain, "--contract", beside)
    verdict = document["findings"][-1]["message"]
    assert verdict.endswith(f"edge.run PICTURE --model {plain} --contract {beside}")
    assert (status, document["ok"]) == (0, True)
    status, document = _doctor("--model", plain)
    assert status == 1
    assert "--contract" in _find(document, "model")["fix"]
    assert run_module("edge.doctor", "--contract", beside).returncode == 2


@pytest.mark.parametrize(
    ("name", "driver"),
    [
        ("unicam-image", "unicam"),
        ("unicam-embedded", "bcm2835-unicam"),
        ("rp1-cfe-csi2_ch0", "rp1-cfe"),
        ("rp1-cfe", None),
        ("imx219 10-0010", "unicam"),
    ],
)
def test_fault_68_a_csi_camera_is_sent_to_picamera2(
    root: Path, name: str, driver: str | None
) -> None:
    _device(root, 0, name, 0o600, driver=driver)
    (finding,) = machine.check_cameras(str(root))
    assert finding.level == "ok"
    assert finding.message == f"/dev/video0 ({name}) is a CSI camera: use --source picamera2"
    assert finding.fix is None


def test_fault_68_a_csi_camera_without_picamera2_is_told_how_to_get_it() -> None:
    assert software.check_picamera2() is None
    finding = software.check_picamera2(needed=True)
    assert finding is not None
    assert finding.level == "warning"
    assert finding.fix is not None
    assert finding.fix.startswith(_SUDO + "apt install python3-picamera2 && ")
    assert finding.fix.endswith(f" -m venv --system-site-packages --without-pip {sys.prefix}")


def test_fault_68_the_command_lets_a_virtual_environment_see_the_systems_packages(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "v e"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    kept = folder / "lib" / "kept"
    kept.write_text("")
    code = "from edge.doctor import software; print(software._picamera2_command())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for expected in (True, False):  # the second time there is nothing more to do
        python = folder / "bin" / "python"
        result = subprocess.run(
            [python, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        command = result.stdout.strip().removeprefix(_SUDO + "apt install python3-picamera2")
        assert bool(command) is expected
        subprocess.run(["/bin/sh", "-c", f"true {command}"], check=True)
    assert "include-system-site-packages = true" in (folder / "pyvenv.cfg").read_text()
    assert kept.exists()


def test_fault_68_a_usb_camera_is_named_by_what_does_not_change(root: Path) -> None:
    name = "HD Webcam C270: HD Webcam C270"
    _device(root, 2, name, 0o600, driver="uvcvideo")
    _device(root, 3, name, 0o600, driver="uvcvideo", index=1)  # its metadata
    _device(root, 10, "mmal service 16.1", 0o600, driver="bcm2835-v4l2")
    _device(root, 20, "pispbe-input", 0o600, driver="pispbe")
    by_id = root / "dev" / "v4l" / "by-id"
    by_id.mkdir(parents=True)
    lasting = "usb-046d_HD_Webcam_C270_1234-video-index0"
    (by_id / lasting).symlink_to("../../video2")
    usb, legacy = machine.check_cameras(str(root))
    assert f"/dev/video2 ({name})" in usb.message
    assert f"--source /dev/v4l/by-id/{lasting}" in usb.message
    assert legacy.message == "/dev/video10 (mmal service 16.1) may be opened: --source /dev/video10"


def test_fault_68_a_receiver_of_a_camera_is_no_codec(root: Path) -> None:
    _device(root, 0, "sun6i-csi-capture", 0o600, driver="sun6i-csi")
    _device(root, 1, "sun8i-di", 0o600, driver="sun8i-di")
    (camera,) = machine.check_cameras(str(root))
    assert camera.message == "/dev/video0 (sun6i-csi-capture) may be opened: --source /dev/video0"


# What the loaders of glibc and CPython print, word for word, and Debian's name of what helps.
_NO_FILE = "cannot open shared object file: No such file or directory"
_AGAIN = "-m pip install --force-reinstall --no-cache-dir opencv-python-headless"
_LIBC = "/lib/aarch64-linux-gnu/libc.so.6"
_GOMP = "/lib/aarch64-linux-gnu/libgomp.so.1"
_BROKEN = [
    ("numpy", f"libopenblas.so.0: {_NO_FILE}", _SUDO + "apt install libopenblas0"),
    ("cv2", f"libGL.so.1: {_NO_FILE}", _SUDO + "apt install libgl1"),
    ("cv2", f"libgthread-2.0.so.0: {_NO_FILE}", _SUDO + "apt install libglib2.0-0"),
    ("numpy", f"libcblas.so.3: {_NO_FILE}", _SUDO + "apt install libatlas3-base"),
    ("cv2", f"libopenjp2.so.7: {_NO_FILE}", _SUDO + "apt install libopenjp2-7"),
    ("cv2", f"libjasper.so.1: {_NO_FILE}", _AGAIN),
    ("cv2", f"{_LIBC}: version `GLIBC_2.35' not found (required by /x.so)", _AGAIN),
    ("cv2", f"{_GOMP}: cannot allocate memory in static TLS block", f"export LD_PRELOAD={_GOMP}"),
    (
        "numpy",
        "/us b/x.so: failed to map segment from shared object",
        _SUDO + "mount -o remount,exec",
    ),
]


@pytest.mark.parametrize(("package", "said", "fix"), _BROKEN)
def test_fault_69_a_library_that_is_missing_is_one_line_with_what_helps(
    tmp_path: Path, package: str, said: str, fix: str
) -> None:
    if "apt install" in fix and shutil.which("apt-get") is None:
        pytest.skip("no Debian")
    text = f"\n\nIMPORTANT: PLEASE READ THIS!\n\nOriginal error was: {said}\n"
    folder = _package(tmp_path, package, f"raise ImportError({text!r})")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    for command, arguments in (("edge.run", ("x.jpg",)), ("edge.camera", ("--source", "x.jpg"))):
        result = run_module(command, *arguments, env=environment)
        assert result.returncode == 1
        assert result.stderr.count("\n") == 1, result.stderr
        assert result.stderr.startswith(f"{command}: can't start: ")
        assert fix in result.stderr
        assert result.stderr.endswith("python -m edge.doctor tells more\n")
    status, document = _doctor(path=folder)
    assert status == 1
    check = {"numpy": "numpy", "cv2": "opencv"}[package]
    assert fix in _find(document, check)["fix"]
    assert fix in _find(document, "runtime")["fix"].replace("numpy opencv", "opencv")
    assert fix in _find(document, "picture")["fix"]


def test_fault_69_nothing_is_printed_for_results_where_numpy_cant_be_loaded(tmp_path: Path) -> None:
    folder = _package(tmp_path, "numpy", "raise ImportError('libopenblas.so.0: cannot open')")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    assert run_module("edge.run", "x.jpg", "--json", env=environment).stdout == ""


def test_fault_69_an_error_of_our_own_keeps_its_traceback(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "edge", tmp_path / "edge")
    (tmp_path / "edge" / "segmentation.py").write_text("import edge.gone\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = run_module("edge.run", "x.jpg", cwd=tmp_path, env=environment)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "edge.gone" in result.stderr


def test_fault_69_a_runtime_whose_library_is_missing_says_which(tmp_path: Path) -> None:
    folder = _package(
        tmp_path, "ai_edge_litert", f"raise ImportError('libatomic.so.1: {_NO_FILE}')"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    result = run_module("edge.run", "pictures/samples", env=environment)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    for text in (result.stderr, _find(_doctor(path=folder)[1], "runtime")["fix"]):
        assert f"{_SUDO}apt install libatomic1" in text or shutil.which("apt-get") is None


@pytest.mark.parametrize(
    ("broken", "fix"),
    [
        ("raise ImportError('numpy.core.multiarray failed to import')", "--force-reinstall"),
        ("raise SystemError('initialization failed')", "--force-reinstall"),
        ("raise ImportError('x.so: undefined symbol: _ZN4absl')", "--force-reinstall"),
        ("from ai_edge_litert import gone", "--force-reinstall"),
        ("import flatbuffers_gone", "pip install flatbuffers_gone"),
        ("", "--force-reinstall"),  # no Interpreter in it
    ],
)
def test_fault_69_a_broken_runtime_is_one_line_with_what_helps(
    tmp_path: Path, broken: str, fix: str
) -> None:
    folder = _package(tmp_path, "ai_edge_litert", "")
    (folder / "ai_edge_litert" / "interpreter.py").write_text(broken)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    result = run_module("edge.run", "pictures/samples", env=environment)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "ai_edge_litert is installed but can't be loaded" in result.stderr
    for text in (result.stderr, _find(_doctor(path=folder)[1], "runtime")["fix"]):
        assert fix in text
        assert f"{sys.executable} -m pip" in text


def test_fault_68_a_python_that_cant_be_started_is_a_finding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert "/nowhere/python can't be started: No such file" in software.check_numpy().message


def test_fault_68_root_is_told_no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    for user, expected in ((0, "apt install x"), (1000, "sudo apt install x")):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert rights.sudo("apt install x") == expected


def test_fault_68_a_right_that_is_missing_is_given_by_whom_it_belongs_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "-it's mine.jpg"
    mine.write_bytes(b"")
    me, quoted = os.geteuid(), shlex.quote(str(mine))
    assert rights.grant(mine) == f"chmod u+rwX -- {quoted}"
    assert rights.grant(mine / "below") == f"chmod u+rwX -- {quoted}"
    assert rights.make(str(mine / "below"), str(mine)) == f"chmod u+rwX -- {quoted}"
    refused = PermissionError(errno.EACCES, "")
    assert rights.advice(mine, refused, write=True) == f"; if it is yours: chmod u+rwX -- {quoted}"
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert rights.grant(mine) == (
        f'sudo chown -R "$USER" -- {quoted} && chmod -R u+rwX -- {quoted}'
    )
    assert rights.advice(mine, refused, write=True) == "; it isn't yours: choose another"
    assert rights.grant(mine / "below") is None
    below = shlex.quote(str(mine / "below"))
    made = f'sudo mkdir -p -- {below} && sudo chown "$USER" -- {below}'
    assert rights.make(str(mine / "below"), str(mine)) == made
    for systems in (
        "/",
        "/sys/kernel",
        "/proc/1",
        "/dev",
        "/not there",
        "/usr/bin",
        "/etc",
        "/tmp",
    ):
        assert rights.grant(systems) is None
    assert rights.make("/sys/kernel/x", "/sys/kernel") is None


def test_fault_68_a_picture_and_a_model_that_are_refused_are_given_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("edge.drawing.write_atomically", refuse)
    with pytest.raises(
        OutputError, match=re.escape(f"; if it is yours: chmod u+rwX -- {tmp_path}")
    ):
        save_annotated(
            str(path), np.zeros((9, 9, 3), np.uint8), analysis(np.zeros((9, 9, 3), "u1"))
        )
    monkeypatch.setattr(os, "open", refuse)
    said = f"can't be read: Permission denied; if it is yours: chmod u+rwX -- {path}"
    with pytest.raises(PictureError, match=re.escape(said)):
        read_bytes(path)
    with pytest.raises(ModelError, match=re.escape(said)):
        load_model_file(path)


_DEBIAN = """\
libopenblas.so.0 libopenblas0, libgfortran.so.5 libgfortran5,
libjpeg.so.62 libjpeg62-turbo, libquadmath.so.0 libquadmath0, libstdc++.so.6 libstdc++6,
libX11.so.6 libx11-6, libSM.so.6 libsm6, libtiff.so.6 libtiff6, libavcodec.so.59 libavcodec59,
libusb-1.0.so.0 libusb-1.0-0, libImath-3_1.so.29 libimath-3-1-29, libz.so.1 zlib1g,
libatlas.so.3 libatlas3-base, libwebpdemux.so.2 libwebpdemux2, liblapack.so.3 liblapack3,
libglib-2.0.so.0 libglib2.0-0, libgio-2.0.so.0 libglib2.0-0, libgtk-3.so.0 libgtk-3-0,
libQt5Core.so.5 libqt5core5a, libQt5Gui.so.5 libqt5gui5, libgstreamer-1.0.so.0 libgstreamer1.0-0,
libv4l2.so.0 libv4l-0, libgstapp-1.0.so.0 libgstreamer-plugins-base1.0-0, libssl.so.3 libssl3,
libatk-1.0.so.0 libatk1.0-0, libGLdispatch.so.0 libglvnd0,
libOpenEXR-3_1.so.30 libopenexr-3-1-30, libIex-3_1.so.30 libopenexr-3-1-30"""


@pytest.mark.parametrize("pair", _DEBIAN.split(","))
def test_fault_69_a_library_has_its_package_in_debian(pair: str) -> None:
    """The names of packages.debian.org, suite bookworm."""
    library, package = pair.split()
    assert libraries.apt_package(library) == package


def test_fault_68_every_command_that_is_offered_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = tmp_path / 'it\'s; a $(folder) "x"'
    hostile.mkdir()
    monkeypatch.setattr(sys, "executable", str(hostile / "python"))
    found = [libraries.explain(said, package)[1] for package, said, _ in _BROKEN]
    found += [
        libraries.explain("A module that was compiled using NumPy 1.x cannot be run", "x")[1],
        libraries.explain("No module named 'cv2'", "x")[1],
        libraries.explain("anything", "x")[1],
        libraries.pip("pip install 'numpy<2'"),
        software._picamera2_command(),
        folder_check.check_folder(hostile, 1 << 62).fix or "",
    ]
    with monkeypatch.context() as patch:  # Debian's own Python takes nothing from pip (PEP 668)
        patch.setattr(sys, "prefix", sys.base_prefix)
        patch.setattr(os.path, "exists", lambda path: path.endswith("EXTERNALLY-MANAGED"))
        found.append(libraries.pip("pip install numpy"))
    python = "~/lesion-edge/bin/python"
    assert f"&& {python} -m pip install numpy && {python} -m edge.doctor" in found[-1]
    for number in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.ENOTDIR):
        gone = str(hostile / "not" / "there")
        finding = folder_check._folder_failed(gone, OSError(number, os.strerror(number)))
        found.append(finding.fix or "")
        if number in (errno.ENOSPC, errno.EROFS):  # df and findmnt need a path that is there
            assert f"{shlex.quote(str(hostile))}" in found[-1]
    for command in found:
        assert command
        parse = ["/bin/sh", "-n", "-c", command]
        result = subprocess.run(parse, capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr) == (0, ""), command
