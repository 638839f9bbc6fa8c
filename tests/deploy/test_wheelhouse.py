"""A wheelhouse holds all that its device needs, and installs there without a network."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from deploy import wheelhouse
from deploy.devices import DEVICES, Device
from edge.errors import OutputError
from tests.conftest import run_module
from tests.support.pictures import MODELS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_wheels_up_to_the_devices_glibc_fit_and_no_newer_ones() -> None:
    tags = DEVICES["pi-bookworm"].platforms
    assert tags[0] == "manylinux_2_36_aarch64"
    assert "manylinux_2_17_aarch64" in tags
    assert "manylinux_2_37_aarch64" not in tags
    assert all(tag.endswith("_aarch64") for tag in tags)


def test_the_pins_are_the_devices_not_this_pythons() -> None:
    constraints = (
        "# a comment\n"
        "numpy==2.2.6 ; python_full_version < '3.11'\n"
        "numpy==2.4.6 ; python_full_version >= '3.11'\n"
        "colorama==0.4.6 ; sys_platform == 'win32'\n"
        "tqdm==4.70.1\n"
    )
    old, new = Device("aarch64", "3.10", 35), Device("aarch64", "3.13", 41)
    assert wheelhouse.pins(constraints, old) == "numpy==2.2.6\ntqdm==4.70.1\n"
    assert wheelhouse.pins(constraints, new) == "numpy==2.4.6\ntqdm==4.70.1\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--device", "pi-9"),
        ("--machine", "aarch64"),
        ("--device", "pi-trixie", "--glibc", "2.36"),
        ("--machine", "aarch64", "--python", "3.9", "--glibc", "2.36"),
    ],
)
def test_wrong_usage_is_told_apart_from_failure(arguments: tuple[str, ...]) -> None:
    result = run_module("deploy.wheelhouse", *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_a_folder_that_is_no_wheelhouse_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(OutputError, match="no wheelhouse"):
        wheelhouse.make_wheelhouse(tmp_path, DEVICES["pi-trixie"])
    assert (tmp_path / "mine").read_text() == "kept"


def test_nothing_is_left_behind_where_a_wheel_cant_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(OutputError, match="pip wheel: "):
        wheelhouse.make_wheelhouse(tmp_path / "out", DEVICES["pi-trixie"])
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheelhouse") / "w h"
    glibc = int(platform.libc_ver()[1].split(".")[1])
    device = Device(platform.machine(), HERE, glibc)
    wheelhouse.make_wheelhouse(folder, device, MODELS["float32"])
    return folder


def _install(
    folder: Path, *arguments: str | Path, cwd: Path | str = "/", **more: str
) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = ["sh", folder / "install.sh", *arguments]
    no_network = ["unshare", "--map-root-user", "--net"]
    if (
        shutil.which("unshare")
        and not subprocess.run([*no_network, "true"], check=False).returncode
    ):
        command = [*no_network, *command]
    environment = {**os.environ, "PYTHON": sys.executable, **more}
    environment = {name: value for name, value in environment.items() if value != "unset"}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=cwd
    )


def test_it_installs_without_a_network_and_answers_with_its_model(
    made: Path, tmp_path: Path
) -> None:
    result = _install(made, tmp_path / "de vice")
    assert result.returncode == 0, result.stderr
    assert "picture.jpg: malignant, P(malignant) 0.2" in result.stdout
    assert (tmp_path / "de vice" / "model.tflite").read_bytes() == MODELS["float32"].read_bytes()
    run = run_module(
        "edge.run",
        ROOT / "pictures" / "samples",
        python=tmp_path / "de vice" / "bin" / "python",
        cwd="/",
    )
    assert len(run.stdout.splitlines()) == 6, run.stderr


def test_a_damaged_file_is_found_before_anything_is_installed(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    wheel = next(copy.glob("wheels/lesion_edge-*.whl"))
    wheel.write_bytes(wheel.read_bytes()[:-1])
    result = _install(copy, tmp_path / "device")
    assert result.returncode == 1
    assert "damaged files: copy the folder again" in result.stderr
    assert not (tmp_path / "device").exists()


def test_another_machine_or_python_is_told_what_the_wheels_are_for(
    made: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    text = (made / "install.sh").read_text().replace(f" {HERE} 64", " 3.99 64")
    (copy / "install.sh").write_text(text)
    result = _install(copy, tmp_path / "device")
    assert result.returncode == 1
    assert "these wheels are for" in result.stderr
    assert not (tmp_path / "device").exists()


def test_a_folder_of_the_users_is_not_written_over(made: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    result = _install(made, tmp_path)
    assert result.returncode == 1
    assert "is there already" in result.stderr
    assert (tmp_path / "mine").read_text() == "kept"


def test_fault_70_settings_of_pip_and_python_for_other_work_dont_reach_the_installation(
    made: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    config = tmp_path / "pip.conf"
    config.write_text("[install]\nuser = true\nrequire-hashes = true\n")
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text("raise ImportError('of another Python')")
    result = _install(
        made,
        "device",
        cwd=tmp_path,
        HOME="unset",
        PIP_USER="1",
        PIP_TARGET=str(elsewhere),
        PIP_PREFIX=str(elsewhere),
        PIP_ROOT=str(elsewhere),
        PIP_REQUIRE_HASHES="1",
        PIP_NO_BINARY=":all:",
        PIP_NO_DEPS="1",
        PIP_REQUIRE_VIRTUALENV="1",
        PIP_CONFIG_FILE=str(config),
        PIP_CONSTRAINT="/nowhere",
        PIP_INDEX_URL="http://127.0.0.1:9/",
        PIP_DRY_RUN="1",
        PIP_REPORT=str(elsewhere),
        PIP_LOG="/nowhere/log",
        PIP_SRC="line\nPIP_LINE=x",
        PYTHONPATH=str(tmp_path),
        PYTHONHOME="/nowhere",
        PYTHONUSERBASE=str(elsewhere),
        PYTHONNOUSERSITE="",
        PYTHONWARNINGS="error",
        __PYVENV_LAUNCHER__="/bin/false",
        TMPDIR="nowhere",
        CDPATH="/:.",
        LC_ALL="C",
    )
    assert result.returncode == 0, result.stderr
    assert "picture.jpg: malignant, P(malignant) 0.2" in result.stdout
    assert f"installed; use it with: {tmp_path}/device/bin/python" in result.stdout
    assert not elsewhere.exists()


def test_fault_70_without_a_home_the_script_asks_for_a_folder(made: Path) -> None:
    result = _install(made, HOME="unset")
    assert result.returncode == 1
    assert result.stderr == "install.sh: HOME isn't set; name a folder: sh install.sh FOLDER\n"


def test_fault_70_a_python_that_isnt_one_is_said_to_be(made: Path, tmp_path: Path) -> None:
    for python in ("/bin/false", shutil.which("true") or "true"):
        result = _install(made, tmp_path / "device", PYTHON=python)
        assert result.returncode == 1
        assert result.stderr.startswith("install.sh: ")
        assert python in result.stderr or "these wheels are for" in result.stderr
        assert result.stderr.endswith("PYTHON=...\n")
    assert not (tmp_path / "device").exists()


def test_fault_70_a_folder_that_cant_be_made_is_one_line(made: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "device", "/proc/device"):
        result = _install(made, folder)
        assert result.returncode == 1
        assert result.stderr == (
            f"install.sh: {folder} can't be written; name another folder: sh install.sh FOLDER\n"
        )


def test_fault_70_an_option_is_no_folder(made: Path, tmp_path: Path) -> None:
    result = _install(made, "--help", cwd=tmp_path)
    assert result.returncode == 1
    assert "name a folder: sh install.sh FOLDER" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_fault_70_settings_for_other_work_dont_reach_the_collection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PIP_REQUIRE_HASHES", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_CONSTRAINT"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PIP_TIMEOUT", "7")
    seen: list[dict[str, str]] = []

    def run(command: list[str], *, env: dict[str, str], **_: object) -> object:
        seen.append(env)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    wheelhouse.pip("download")
    assert {name for name in seen[0] if name.startswith("PIP_")} >= {"PIP_TIMEOUT"}
    assert not any(name in seen[0] for name in ("PIP_REQUIRE_HASHES", "PIP_USER", "PIP_CONSTRAINT"))
