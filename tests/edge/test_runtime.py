"""The runtime is lean, offline and exact: FAULTS 22, 24 to 26 and 57."""

from __future__ import annotations

import subprocess
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge import Analyzer, PredictionError, RuntimeMissingError, read_picture
from edge.model import interpreter as edge_runtime
from edge.model.classifier import Classifier
from edge.model.contract import InputSpec
from edge.model.interpreter import load_interpreter_class
from edge.model.preprocess import fill_input
from tests.support.pictures import MODELS, ROOT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

EXTRAS = {"archive": "ray", "mqtt": "paho", "page": "starlette"}
"""Folders of the package that need an extra, and a package of it."""

# Before anything of the package is imported: the heavy modules can't be, and no socket opens.
GUARD = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tensorflow", "keras", "h5py", "gdown", "convert"}:
            raise ImportError(f"the edge tried to import {name}")

sys.meta_path.insert(0, Blocked())

def audit(event, arguments):
    if event.startswith(("socket.", "urllib.", "ftplib.", "http.")):
        raise RuntimeError(f"the edge tried to use the network: {event}")

sys.addaudithook(audit)
"""


def run_guarded(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", GUARD + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_every_module_of_the_edge_loads_without_the_heavy_packages_and_the_network() -> None:
    lacking = {folder for folder, needs in EXTRAS.items() if find_spec(needs) is None}
    paths = [path.relative_to(ROOT) for path in sorted((ROOT / "edge").rglob("*.py"))]
    modules = [
        ".".join(path.with_suffix("").parts) for path in paths if path.parts[1] not in lacking
    ]
    assert len(modules) > 10
    result = run_guarded(f"import importlib\nfor m in {modules}: importlib.import_module(m)\n")
    assert result.returncode == 0, result.stderr


def test_fault_57_a_whole_run_needs_neither_the_heavy_packages_nor_the_network(
    tmp_path: Path,
) -> None:
    """FAULTS 57."""
    arguments = [str(SAMPLES[0]), "--json", "--save", str(tmp_path)]
    result = run_guarded(f"from edge.run import main\nsys.exit(main({arguments}))\n")
    assert result.returncode == 0, result.stderr
    assert '"label"' in result.stdout
    assert list(tmp_path.iterdir())


def test_the_guard_itself_catches_both() -> None:
    """A check that can't fail is none."""
    assert "tried to import" in run_guarded("import keras").stderr
    assert "tried to use the network" in run_guarded("import socket; socket.socket()").stderr


def test_fault_22_without_a_runtime_the_message_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FAULTS 22."""
    for name in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, f"{name}.interpreter", None)
    with pytest.raises(RuntimeMissingError, match="pip install ai-edge-litert"):
        load_interpreter_class()
    assert issubclass(RuntimeMissingError, ImportError)


def test_fault_22_tflite_runtime_is_taken_unless_numpy_2_is_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FAULTS 22: the message names the fix."""
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    fake = types.ModuleType("tflite_runtime.interpreter")
    fake.Interpreter = object  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", fake)
    monkeypatch.setattr(np, "__version__", "1.26.4")
    assert load_interpreter_class() is object
    monkeypatch.setattr(np, "__version__", "2.4.0")
    with pytest.raises(RuntimeMissingError, match=r"needs numpy 1, this is numpy 2\.4\.0.*numpy<2"):
        load_interpreter_class()


def test_fault_22_an_operation_that_the_runtime_lacks_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FAULTS 22."""

    def refuse(**_: Any) -> None:
        raise ValueError("Didn't find op for builtin opcode 'CONV_2D' version '99'.\nRegistration")

    monkeypatch.setattr(edge_runtime, "load_interpreter_class", lambda: refuse)
    with pytest.raises(ValueError, match=r"CONV_2D.*install a newer ai-edge-litert"):
        Classifier(MODELS["int8"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1.5, -0.1])
def test_fault_24_an_output_that_is_no_probability_is_an_error_and_never_a_label(
    value: float,
) -> None:
    """FAULTS 24."""
    classifier = Classifier(MODELS["int8"], num_threads=1)
    real = classifier._interpreter
    stand_in = types.SimpleNamespace(
        tensor=real.tensor, invoke=real.invoke, get_tensor=lambda _: np.array([[value]], np.float32)
    )
    classifier._interpreter = stand_in
    with pytest.raises(PredictionError, match="no probability"):
        classifier.predict(np.zeros((5, 5, 3), np.uint8))


def test_fault_25_bytes_reach_an_int8_input_exactly() -> None:
    """FAULTS 25: every byte, the ends among them: scale 1, zero point -128."""
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)[..., None].repeat(3, axis=2)
    out = np.empty(image.shape, np.int8)
    fill_input(image, out, InputSpec((16, 16), dtype="int8", zero_point=-128))
    assert (out.astype(int) + 128 == image).all()


def test_the_resize_is_opencvs_bilinear_written_in_place() -> None:
    """Golden: (2, 2) to (1, 1) samples the centre, which is the mean of the four."""
    image = np.array([[[0, 10, 20], [4, 30, 20]], [[8, 50, 20], [12, 70, 20]]], np.uint8)
    out = np.zeros((1, 1, 3), np.uint8)
    fill_input(image, out, InputSpec((1, 1)))
    assert out.tolist() == [[[6, 40, 20]]]


@pytest.mark.parametrize("threads", [1, 2])
def test_fault_26_answers_from_several_threads_are_those_of_one(
    threads: int, int8_analyzer: Analyzer
) -> None:
    """FAULTS 26: one analyzer, also where it works side by side itself."""
    analyzer = Analyzer(MODELS["int8"], threads=threads)
    pictures = [read_picture(path) for path in SAMPLES]
    alone = [int8_analyzer.analyze(picture) for picture in pictures]
    barrier = threading.Barrier(4)

    def work(_: int) -> list[tuple[float, object]]:
        barrier.wait()
        found = [analyzer.analyze(picture) for picture in pictures * 3]
        return [(analysis.probability, analysis.regions) for analysis in found]

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(work, range(4)))
    expected = [(analysis.probability, analysis.regions) for analysis in alone] * 3
    assert results == [expected] * 4


def test_the_number_of_threads_doesnt_change_the_answer() -> None:
    image = read_picture(SAMPLES[0]).image_bgr
    answers = {
        tuple(Classifier(MODELS["int8"], num_threads=threads).predict(image))
        for threads in (1, 2, 3)
    }
    assert len(answers) == 1


def test_an_impossible_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold"):
        Analyzer(MODELS["int8"], threshold=1.5)
    with pytest.raises(ValueError, match="threads"):
        Analyzer(MODELS["int8"], threads=0)


def test_the_threshold_decides_the_label(int8_analyzer: Analyzer) -> None:
    """The rule is P >= threshold; the notebook's argmax over one number was always 0."""
    image = read_picture(SAMPLES[0]).image_bgr
    probability = int8_analyzer.analyze(image).probability
    at = Analyzer(MODELS["int8"], threads=1, threshold=probability)
    above = Analyzer(MODELS["int8"], threads=1, threshold=min(1.0, probability + 1e-6))
    assert at.analyze(image).label == "malignant"
    assert above.analyze(image).label == "benign"
