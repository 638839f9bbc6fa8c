"""Someone's own TFLite files run with a contract beside them, and answer as the graph does."""

from __future__ import annotations

import json
import types
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge import Analyzer, ModelError, PredictionError
from edge.model.classifier import Classifier
from edge.model.interpreter import load_interpreter_class
from tests.conftest import run_module
from tests.edge.test_old_runtime import PYTHON
from tests.support.own import HEIGHT, OWN, WIDTH, Own, pictures
from tests.support.pictures import ROOT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RAW = {"scale": [1, 1, 1], "offset": [0, 0, 0]}
PICTURES = tuple(pictures(20))
BY_NAME = {own.name: own for own in OWN}


def load(own: Own, folder: Path, **changes: Any) -> Classifier:
    path = folder / "contract.json"
    path.write_text(json.dumps({**own.contract(), **changes}))
    return Classifier(own.path, contract=path)


def graphs_answer(own: Own, image_bgr: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return what a bare interpreter says, fed and read by TFLite's own rule of quantisation.

    r = S (q - Z): https://ai.google.dev/edge/litert/models/quantization_spec
    """
    interpreter = load_interpreter_class()(model_path=str(own.path))
    interpreter.allocate_tensors()
    (into,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    elements = own.values(image_bgr)
    if own.dtype != "float32":
        scale, zero_point = into["quantization"]
        limits = np.iinfo(own.dtype)
        elements = (np.rint(elements / scale) + zero_point).clip(limits.min, limits.max)
    interpreter.set_tensor(into["index"], elements.astype(own.dtype)[None])
    interpreter.invoke()
    answer = interpreter.get_tensor(out["index"])[0].astype(np.float64)
    if own.dtype != "float32":
        scale, zero_point = out["quantization"]
        answer = (answer - zero_point) * scale
    return np.array([1 - answer[0], answer[0]]) if len(answer) == 1 else answer


@pytest.mark.parametrize("own", OWN, ids=lambda own: own.name)
def test_it_answers_as_a_bare_interpreter_and_as_the_model_it_was_made_of(
    own: Own, tmp_path: Path
) -> None:
    """Size, dtype, scale and zero point are the graph's own; nobody had to write them."""
    classifier = load(own, tmp_path)
    assert classifier.contract.input.size_wh == (WIDTH, HEIGHT)
    assert classifier.contract.input.dtype == own.dtype
    answers = np.array([classifier.predict(image) for image in PICTURES])
    assert (answers == [graphs_answer(own, image) for image in PICTURES]).all()
    expected = np.array([own.answer(image) for image in PICTURES])
    assert np.ptp(expected[:, 1]) > 0.5, "the pictures must tell right from wrong"
    close = 1e-5 if own.dtype == "float32" else 0.05
    assert np.abs(answers - expected).max() <= close


def test_the_documented_contract_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs/contract.md").read_text().split("```json\n")[1].split("```")[0]
    own = BY_NAME["float32"]
    document = json.loads(text)
    document["flatbuffer"] = own.contract()["flatbuffer"]
    expected = load(own, tmp_path).predict(PICTURES[0])
    assert (load(own, tmp_path, **document).predict(PICTURES[0]) == expected).all()


@pytest.mark.parametrize("own", OWN, ids=lambda own: own.name)
def test_channels_taken_for_the_others_give_other_answers(own: Own, tmp_path: Path) -> None:
    """Else the test above would not see them."""
    other = "BGR" if own.channel_order == "RGB" else "RGB"
    swapped = load(own, tmp_path, input={**own.contract()["input"], "channel_order": other})
    answers = np.array([swapped.predict(image) for image in PICTURES])
    expected = np.array([own.answer(image) for image in PICTURES])
    assert np.abs(answers - expected).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("own", OWN, ids=lambda own: own.name)
def test_the_command_answers_on_both_runtimes(own: Own, tmp_path: Path) -> None:
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(own.contract()))
    arguments = ("edge.run", SAMPLES[0], "--json", "--model", own.path, "--contract", path)
    expected = Analyzer(own.path, contract=path).analyze(SAMPLES[0])
    for options in ({}, {"python": PYTHON}) if PYTHON.exists() else ({},):
        result = run_module(*arguments, **options)  # type: ignore[arg-type]
        assert result.returncode == 0, result.stderr
        found = json.loads(result.stdout)
        assert found["label"] == expected.label
        assert abs(found["probability"] - expected.probability) <= 1 / 200


@pytest.mark.parametrize(
    ("name", "tensor", "changes", "reason"),
    [
        (
            "softmax",
            "input",
            {"dtype": "uint8", "values": RAW},
            r"3\) float32, .* says .*3\) uint8",
        ),
        ("uint8", "input", {"dtype": "int8"}, r"3\) uint8, its contract says .*3\) int8"),
        ("uint8", "input", {"scale": 0.004}, r"\(0.0039.*, 0\), its contract says \(0.004, 0\)"),
        ("int8", "input", {"zero_point": 0}, r", -1\), its contract says \(.*, 0\)"),
        ("int8", "output", {"scale": 0.004}, r"output has .*0.00390625, .* says \(0.004, -128\)"),
        ("uint8", "output", {"dtype": "int8"}, r"\(1, 1\) uint8, its contract says \(1, 1\) int8"),
        ("softmax", "output", {"activation": "sigmoid"}, r"\(1, 2\) float32, .* says \(1, 1\)"),
        ("float32", "output", {"activation": "softmax"}, r"\(1, 1\) float32, .* says \(1, 2\)"),
        ("float32", "input", {"values": {}}, "no 'input.values.scale'"),
        ("float32", "input", {"scale": 0.5}, "input.scale must be 1, is 0.5"),
        ("float32", "input", {"width": 8, "height": 12}, r"\(1, 8, 12, 3\).*\(1, 12, 8, 3\)"),
    ],
)
def test_fault_20_a_contract_that_says_other_than_the_graph_is_refused_with_both(
    name: str, tensor: str, changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    """FAULTS 20."""
    own = BY_NAME[name]
    with pytest.raises(ModelError, match=reason):
        load(own, tmp_path, **{tensor: {**own.contract()[tensor], **changes}})


def test_as_many_labels_as_the_graph_has_answers(tmp_path: Path) -> None:
    labels = {"labels": ["a", "b", "c"], "positive": "c"}
    with pytest.raises(ModelError, match=r"output is \(1, 2\) float32, .* says \(1, 3\) float32"):
        load(BY_NAME["softmax"], tmp_path, **labels)


@pytest.mark.parametrize(
    ("name", "elements", "reason"),
    [
        ("softmax", [0.7, 0.7], "add up to 1.4, not 1"),
        ("softmax", [0.5, np.nan], "nan, no probability"),
        ("softmax", [-0.5, 1.5], "-0.5, no probability"),
        ("int8", [-128, -128], "add up to 0, not 1"),
    ],
)
def test_fault_24_answers_that_are_no_probabilities_are_an_error(
    name: str, elements: list[float], reason: str, tmp_path: Path
) -> None:
    """FAULTS 24: a graph without its softmax, say."""
    classifier = load(BY_NAME[name], tmp_path)
    real = classifier._interpreter
    answer = np.array([elements], BY_NAME[name].dtype)
    classifier._interpreter = types.SimpleNamespace(
        tensor=real.tensor, invoke=real.invoke, get_tensor=lambda _: answer
    )
    with pytest.raises(PredictionError, match=reason):
        classifier.predict(PICTURES[0])
