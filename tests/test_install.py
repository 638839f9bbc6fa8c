"""The installed package works from any folder, with its default model inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from .pictures import MODELS, ROOT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT],
        check=True, timeout=300,
    )  # fmt: skip
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
        "edge", "convert", wheel.name.rsplit("-", 3)[0] + ".dist-info",
    }  # fmt: skip
    assert "edge/py.typed" in names
    assert sorted(line.split(">")[0] for line in requires) == [
        "ai-edge-litert", "numpy", "opencv-python-headless",
    ]  # fmt: skip


def test_an_installed_package_runs_from_the_root_folder(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel],
        check=True, timeout=300,
    )  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(target), "PYTHONSAFEPATH": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "edge.run", str(SAMPLES[0]), "--json"],
        cwd="/", env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["label"] in ("benign", "malignant")
    where = subprocess.run(
        [sys.executable, "-c", "import edge; print(edge.__file__)"],
        cwd="/", env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(target)), "the checkout was imported instead"
