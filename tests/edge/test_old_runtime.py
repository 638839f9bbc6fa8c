"""The edge on tflite-runtime 2.14, numpy 1.26 and OpenCV 4.11 gives the same answers.

`make test` makes that environment; its Python must be 3.11 or older.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge import Analyzer
from tests.conftest import run_module
from tests.support import dark
from tests.support.pictures import MODELS, ROOT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = ROOT / ".venv-tflite-runtime" / "bin" / "python"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON.exists() and not os.environ.get("CI"),
        reason="no second environment: make test makes it where there is a Python 3.11 or 3.10",
    ),
]

# The two runtimes round a requantised sum in two ways, which moves one of the ten int8 values
# by one step here and there; the dynamic variant's activations are rounded differently, too.
TOLERANCE = {"float32": 1e-5, "float16": 1e-5, "dynamic": 0.005, "int8": 0.005}


def test_the_environment_is_the_old_one() -> None:
    result = run_module("pip", "freeze", python=PYTHON)
    for pinned in ("tflite-runtime==2.14.0", "numpy==1.26.4", "opencv-python-headless==4.11.0.86"):
        assert pinned in result.stdout
    assert "ai-edge-litert" not in result.stdout


@pytest.mark.parametrize("variant", MODELS)
def test_labels_regions_and_probabilities_are_the_same(variant: str) -> None:
    result = run_module(
        "edge.run",
        "pictures/samples",
        "--json",
        "--threads",
        "1",
        "--model",
        MODELS[variant],
        python=PYTHON,
    )
    assert result.returncode == 0, result.stderr
    found: list[dict[str, Any]] = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(found) == len(SAMPLES)
    analyzer = Analyzer(MODELS[variant], threads=1)
    for line, path in zip(found, SAMPLES, strict=True):
        here = analyzer.analyze(path)
        assert line["regions"] == here.to_dict()["regions"]
        assert abs(line["probability"] - here.probability) <= TOLERANCE[variant]
        assert line["label"] == here.label


@pytest.mark.parametrize("dtype", dark.DTYPES)
def test_the_outline_is_the_same(dtype: str, tmp_path: Path) -> None:
    model = dark.write_model(tmp_path / "m.tflite", dtype)
    options = ("pictures/samples", "--json", "--threads", "1", "--model", model)
    result = run_module("edge.run", *options, python=PYTHON)
    assert result.returncode == 0, result.stderr
    analyzer = Analyzer(model, threads=1)
    for line, path in zip(result.stdout.splitlines(), SAMPLES, strict=True):
        assert json.loads(line)["lesion"] == analyzer.analyze(path).to_dict()["lesion"]


def test_where_an_answer_comes_from_is_the_same() -> None:
    options = ("--json", "--explain", "--threads", "1", "--model", MODELS["float32"])
    result = run_module("edge.run", SAMPLES[0], *options, python=PYTHON)
    assert result.returncode == 0, result.stderr
    explanation = json.loads(result.stdout)["explanation"]
    here = Analyzer(MODELS["float32"], threads=1, explain=True).analyze(SAMPLES[0]).explanation
    assert here is not None
    assert np.abs(np.array(explanation["fall"]) - here.fall).max() <= 2 * TOLERANCE["float32"]


def test_segmentation_is_the_notebooks_there_too() -> None:
    result = run_module("tests.support.old_runtime_check", python=PYTHON)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["pictures"] > 100
