"""A finding names the cause and the fix; each cause is made for real where that can be done."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from edge import Analyzer
from edge.doctor import folder as folder_check
from edge.doctor.finding import Finding, print_findings
from edge.doctor.folder import check_folder
from edge.doctor.software import check_model, check_runtime
from tests.support.pictures import MODELS, ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_the_shipped_model_is_in_order() -> None:
    finding = check_model()
    assert finding.level == "ok"
    variant = Analyzer().contract.variant
    assert f"{variant}, 500x500, benign or malignant" in finding.message


def test_a_damaged_model_is_named_with_its_fix(tmp_path: Path) -> None:
    data = bytearray(MODELS["int8"].read_bytes())
    data[1000] ^= 1
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(data)
    finding = check_model(damaged)
    assert finding.level == "failed"
    assert "damaged.tflite: damaged" in finding.message
    assert finding.fix is not None
    assert finding.fix == "copy it again"


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    finding = check_model(tmp_path / "none.tflite")
    assert finding.level == "failed"
    assert "No such file" in finding.message


def test_a_writable_folder_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    finding = check_folder(tmp_path, 1)
    assert finding.level == "ok"
    assert "can be written" in finding.message
    assert os.listdir(tmp_path) == []


def test_a_folder_that_had_to_be_made_is_taken_away_again(tmp_path: Path) -> None:
    assert check_folder(tmp_path / "a" / "b" / "c").level == "ok"
    assert os.listdir(tmp_path) == []


def test_too_little_free_space_is_a_failure(tmp_path: Path) -> None:
    finding = check_folder(tmp_path, 1 << 60)
    assert finding.level == "failed"
    assert "fewer than the" in finding.message
    assert finding.fix


def test_a_file_in_the_folders_place_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    finding = check_folder(tmp_path / "file" / "below")
    assert finding.level == "failed"
    assert finding.fix == "choose another folder"


def _check_on_mount(tmp_path: Path, options: str, then: str = "true") -> Finding:
    """Check a folder that is a file system of its own, in a mount namespace of its own."""
    folder = tmp_path / "mount"
    folder.mkdir()
    code = (
        "import json, sys; from dataclasses import asdict; "
        "from edge.doctor.folder import check_folder; "
        "print(json.dumps(asdict(check_folder(sys.argv[1]))))"
    )
    script = f'mount -t tmpfs -o {options} none "$1" || exit 77; {then}; exec "$2" -c "$3" "$1"'
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("no unshare to make a file system of our own with")
    command: list[str | Path] = [
        unshare,
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        folder,
    ]
    result = subprocess.run(
        [*command, sys.executable, code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if not result.stdout:
        pytest.skip(f"no file system of our own may be mounted here: {result.stderr.strip()}")
    return Finding(**json.loads(result.stdout))


def test_a_full_disk_is_named_with_its_fix(tmp_path: Path) -> None:
    """41."""
    finding = _check_on_mount(tmp_path, "size=32k")
    assert finding.level == "failed"
    assert finding.message.endswith("the disk is full")
    assert finding.fix is not None
    assert finding.fix.startswith("df -h ")


def test_a_read_only_file_system_is_named_with_its_fix(tmp_path: Path) -> None:
    """46."""
    finding = _check_on_mount(tmp_path, "ro")
    assert finding.level == "failed"
    assert "Read-only file system" in finding.message
    assert finding.fix is not None
    assert "remount,rw" in finding.fix


@pytest.mark.usefixtures("deleted_folder")
def test_fault_70_a_shell_in_a_folder_that_was_deleted_is_told_to_leave_it() -> None:
    finding = check_folder(".")
    assert finding.level == "failed"
    assert "deleted" in finding.message
    assert finding.fix == "cd"


def test_a_folder_of_another_user_is_named_with_its_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """46: made by hand, since root may write anywhere."""

    def refuse(folder: str) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", folder)

    monkeypatch.setattr(folder_check, "_try_writing", refuse)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    finding = check_folder(tmp_path)
    assert "Permission denied" in finding.message
    assert finding.fix is not None
    assert "sudo chown" in finding.fix
    monkeypatch.setattr(os, "geteuid", lambda: me)
    assert check_folder(tmp_path).fix == f"chmod u+rwX -- {tmp_path}"


def test_the_runtime_is_made_to_answer() -> None:
    finding = check_runtime()
    assert finding.level == "ok", finding
    assert "ai-edge-litert 2" in finding.message.replace("_", "-")


def test_a_model_it_cant_load_is_not_held_against_the_runtime(tmp_path: Path) -> None:
    finding = check_runtime(tmp_path / "none.tflite")
    assert finding.level == "warning"
    assert "none.tflite" in finding.message


def _with_package(monkeypatch: pytest.MonkeyPatch, folder: Path, package: str, code: str) -> None:
    """Put a package before the one that is installed."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize("package", ["numpy", "cv2"])
def test_a_broken_numpy_or_opencv_is_told_apart_from_the_runtime(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str
) -> None:
    _with_package(monkeypatch, tmp_path, package, "raise ImportError('libfoo.so.1: not there')")
    finding = check_runtime()
    assert finding.level == "failed"
    assert "libfoo.so.1: not there" in finding.message
    assert finding.fix is not None
    assert "numpy opencv-python-headless" in finding.fix


def test_a_runtime_that_is_not_there_is_named_with_its_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """22."""
    code = "raise ModuleNotFoundError('none', name='ai_edge_litert')"
    _with_package(monkeypatch, tmp_path, "ai_edge_litert", code)
    finding = check_runtime()
    assert finding.level == "failed"
    assert "no TFLite runtime works here" in finding.message
    assert finding.fix == f"{sys.executable} -m pip install ai-edge-litert"


def test_a_runtime_that_ends_its_process_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
    _with_package(monkeypatch, tmp_path, "ai_edge_litert", code)
    finding = check_runtime()
    assert finding.level == "failed"
    assert signal.SIGILL.name in finding.message


def test_findings_are_printed_as_lines_with_their_fix_or_as_one_object(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = [Finding("model", "ok", "good"), Finding("disk", "failed", "full", "df -h /")]
    print_findings(found)
    assert capsys.readouterr().out.splitlines() == [
        "ok       model  good",
        "failed   disk   full",
        "                fix: df -h /",
    ]
    print_findings(found, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"ok": False, "findings": [asdict(each) for each in found]}
