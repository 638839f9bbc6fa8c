"""The installed package works from any folder, with its default model inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.support.pictures import CALIBRATION, HELD_OUT, MODELS, ROOT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT],
        check=True,
        timeout=300,
    )
    (path,) = folder.glob("lesion_edge-*.whl")
    return path


def test_the_wheel_holds_both_packages_and_the_default_model(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert archive.read("edge/models/lesion-int8.tflite") == MODELS["int8"].read_bytes()
        metadata = next(name for name in names if name.endswith("METADATA"))
        requires = [
            line.split(": ")[1]
            for line in archive.read(metadata).decode().splitlines()
            if line.startswith("Requires-Dist") and "extra ==" not in line
        ]
    assert {name.split("/")[0] for name in names} == {
        "edge",
        "convert",
        wheel.name.rsplit("-", 3)[0] + ".dist-info",
    }
    assert "edge/py.typed" in names
    assert sorted(line.split(">")[0] for line in requires) == [
        "ai-edge-litert",
        "numpy",
        "opencv-python-headless",
    ]


def test_an_installed_package_runs_from_the_root_folder(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel],
        check=True,
        timeout=300,
    )
    environment = {**os.environ, "PYTHONPATH": str(target), "PYTHONSAFEPATH": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "edge.run", str(SAMPLES[0]), "--json"],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["label"] in ("benign", "malignant")
    where = subprocess.run(
        [sys.executable, "-c", "import edge; print(edge.__file__)"],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(target)), "the checkout was imported instead"


def test_an_installed_converter_has_its_pictures_and_says_which_weights_to_give(
    wheel: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    out = tmp_path / "out"
    command = [sys.executable, "-m", "convert", "--variants", "float32", "--rounds", "1"]
    runs = [
        subprocess.run(
            [*command, "--out", out, *arguments],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        for arguments in ([], ["--weights", str(ROOT / "models" / "model.h5")])
    ]
    assert runs[0].returncode == 2
    assert "no weights to convert: give --weights FILE" in runs[0].stderr
    assert runs[1].returncode == 0, runs[1].stderr
    report = json.loads((out / "report.json").read_text())
    assert (report["calibration_pictures"], report["held_out_pictures"]) == (
        len(CALIBRATION),
        len(HELD_OUT),
    )
