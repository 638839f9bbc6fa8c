"""A contract of schema 2 is honoured or refused key by key, and decides as it says."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import InputSpec, ModelError
from edge.model.contract import Contract, OutputSpec, parse_contract
from edge.model.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

WHOLE: dict[str, Any] = {
    "schema": 2,
    "name": "skin",
    "variant": "int8",
    "flatbuffer": {"sha256": "0" * 64},
    "input": {
        "width": 300,
        "height": 200,
        "resize": "letterbox",
        "interpolation": "area",
        "channel_order": "RGB",
        "dtype": "int8",
        "scale": 0.0186,
        "zero_point": -14,
        "values": {"scale": [0.0171, 0.0175, 0.0174], "offset": [-2.12, -2.04, -1.8]},
    },
    "output": {"dtype": "uint8", "scale": 0.00390625, "zero_point": 0, "activation": "softmax"},
    "labels": ["bcc", "mel", "nv"],
    "positive": "mel",
    "threshold": None,
}
NOTHING = object()


def put(key: str, value: object, document: dict[str, Any] = WHOLE) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    *path, last = key.split(".")
    target = changed
    for part in path:
        target = target[part]
    if value is NOTHING:
        del target[last]
    else:
        target[last] = value
    return changed


def test_every_key_is_taken_over() -> None:
    assert parse_contract(WHOLE, "model") == Contract(
        name="skin",
        variant="int8",
        sha256="0" * 64,
        input=InputSpec(
            size_wh=(300, 200),
            interpolation="area",
            resize="letterbox",
            channel_order="RGB",
            dtype="int8",
            scale=0.0186,
            zero_point=-14,
            values_scale=(0.0171, 0.0175, 0.0174),
            values_offset=(-2.12, -2.04, -1.8),
        ),
        output=OutputSpec("softmax", "uint8", 0.00390625, 0),
        labels=("bcc", "mel", "nv"),
        positive="mel",
        threshold=None,
    )


def test_what_a_spec_writes_is_what_is_read() -> None:
    contract = parse_contract(WHOLE, "model")
    written = {"input": contract.input.to_dict(), "output": contract.output.to_dict()}
    assert parse_contract({**WHOLE, **json.loads(json.dumps(written))}, "model") == contract


BYTES = {"dtype": "uint8", "scale": 1.0, "zero_point": 0}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("input.resize", "pad", "input.resize must be one of stretch, crop, letterbox, is 'pad'"),
        ("input.resize", NOTHING, "no 'input.resize'"),
        ("input.interpolation", "lanczos", "one of nearest, linear, linear_exact, cubic, area"),
        ("input.channel_order", NOTHING, "no 'input.channel_order'"),
        ("input.values", NOTHING, "no 'input.values.scale'"),
        ("input.values", {"scale": [1, 1, 1]}, "no 'input.values.offset'"),
        ("input.values.scale", 0.1, "input.values.scale must be a list of three numbers"),
        ("input.values.scale", [1, 1], "input.values.scale must be a list of three numbers"),
        ("input.values.scale", [1, 0, 1], "three numbers other than 0"),
        ("input.values.scale", [1, float("nan"), 1], "each a number from"),
        ("input.values.offset", [1, 10**400, 1], "each a number from"),
        ("input.values.offset", [1, True, 1], "each a number from"),
        ("input.zero_point", 128, "a whole number from -128 to 127, is 128"),
        ("input.scale", -1, "input.scale must be a number from"),
        ("output.activation", "linear", "output.activation must be one of sigmoid, softmax"),
        ("output.activation", "sigmoid", "labels must be two for a sigmoid"),
        ("output.activation", NOTHING, "no 'output.activation'"),
        ("output.dtype", "int16", "output.dtype must be one of uint8, int8, float32"),
        ("output.zero_point", -1, "a whole number from 0 to 255"),
        ("output.scale", NOTHING, "no 'output.scale'"),
        ("labels", ["a", "b", "a"], "different labels"),
        ("labels", [str(number) for number in range(1001)], "two to 1000"),
        ("positive", NOTHING, "no 'positive'"),
        ("positive", "akiec", "positive must be one of the labels, is 'akiec'"),
        ("threshold", NOTHING, "no 'threshold'"),
        ("threshold", "0.5", "threshold must be a number from 0 to 1, is '0.5'"),
    ],
)
def test_fault_20_a_key_that_cant_be_honoured_is_refused_by_name(
    key: str, value: object, reason: str
) -> None:
    """FAULTS 20."""
    with pytest.raises(ModelError, match=reason) as caught:
        parse_contract(put(key, value), "skin.tflite")
    assert str(caught.value).startswith("skin.tflite: its contract")


def test_two_labels_have_a_threshold_and_the_second_is_the_positive_one() -> None:
    two = put("labels", ["benign", "malignant"], put("positive", NOTHING))
    with pytest.raises(ModelError, match="threshold must be a number from 0 to 1, is None"):
        parse_contract(two, "model")
    assert parse_contract(put("threshold", 0.3, two), "model").positive == "malignant"
    first = put("positive", "benign", put("threshold", 0.3, two))
    assert parse_contract(first, "model").positive_index == 0


@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        ({"dtype": "uint8", "scale": 1 / 255, "zero_point": 0}, (1.0, 0.0)),
        ({"dtype": "int8", "scale": 1 / 127.5, "zero_point": -1}, (1.0, 0.0)),
        ({"dtype": "uint8", "scale": 1.0, "zero_point": 0}, (1 / 255, 0.0)),
        ({"dtype": "int8", "scale": 1.0, "zero_point": -128}, (1.0, -1000.0)),
    ],
)
def test_fault_72_values_that_the_tensor_cant_hold_are_refused(
    encoding: dict[str, Any], values: tuple[float, float]
) -> None:
    """FAULTS 72: 0..255 in a tensor of 0..1 would be a white picture, and still an answer."""
    scale, offset = values
    spec = {**WHOLE["input"], **encoding}
    spec["values"] = {"scale": [scale] * 3, "offset": [offset] * 3}
    with pytest.raises(ModelError, match=r"input\.values must be what the tensor can hold, "):
        parse_contract(put("input", spec), "model")


def test_a_range_that_was_calibrated_on_dark_pictures_is_taken() -> None:
    spec = {**WHOLE["input"], "scale": 0.3 / 255, "zero_point": -128}
    spec["values"] = {"scale": [1 / 255] * 3, "offset": [0] * 3}
    assert parse_contract(put("input", spec), "model")


@pytest.mark.parametrize("key", ["input.resize", "input.values", "output.activation", "positive"])
def test_fault_72_a_key_of_schema_2_under_schema_1_is_not_passed_over(key: str) -> None:
    """FAULTS 72."""
    document = put("schema", 1)
    for each in {"input.resize", "input.values", "output.activation", "positive"} - {key}:
        document = put(each, NOTHING, document)
    with pytest.raises(ModelError, match=f"schema must be 2 where there is a '{key}', is 1"):
        parse_contract(document, "model")


def test_schema_1_is_what_it_always_was() -> None:
    old = {
        **{key: WHOLE[key] for key in ("name", "variant", "flatbuffer")},
        "schema": 1,
        "input": {**BYTES, "width": 9, "height": 8, "channel_order": "BGR"},
        "output": {"dtype": "float32"},
        "labels": ["benign", "malignant"],
        "threshold": 0.31,
    }
    old["input"]["interpolation"] = "cubic"
    contract = parse_contract(old, "model")
    assert contract.input == InputSpec((9, 8), "cubic", "stretch", "BGR", "uint8", 1.0, 0)
    assert contract.output == OutputSpec("sigmoid", "float32", 1.0, 0)
    assert (contract.positive, contract.threshold) == ("malignant", 0.31)


def contract_of(labels: Sequence[str], positive: str, threshold: float | None) -> Contract:
    return Contract(
        "n", "float32", "0", InputSpec((1, 1)), OutputSpec(), tuple(labels), positive, threshold
    )


shares = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0])


@given(st.data(), st.lists(shares, min_size=3, max_size=7), shares | st.none(), shares | st.none())
def test_the_decision_is_the_rule(
    data: st.DataObject, answers: list[float], own: float | None, given_one: float | None
) -> None:
    """Positive from the threshold on, else the most probable other; without one the best."""
    labels = [f"label {number}" for number in range(len(answers))]
    positive = data.draw(st.sampled_from(labels))
    decided = contract_of(labels, positive, own).decide(
        np.array(answers), None if given_one is None else Rule(given_one)
    )
    by_label = dict(zip(labels, answers, strict=True))
    limit = own if given_one is None else given_one
    if limit is not None and by_label[positive] >= limit:
        assert decided == positive
        return
    rest = [label for label in labels if limit is None or label != positive]
    assert by_label[decided] == max(by_label[label] for label in rest)
    # Of equal ones the first.
    assert decided == next(label for label in rest if by_label[label] == by_label[decided])


@pytest.mark.parametrize(("probability", "label"), [(0.31, "malignant"), (0.3099, "benign")])
def test_two_labels_are_decided_as_ever(probability: float, label: str) -> None:
    contract = contract_of(("benign", "malignant"), "malignant", 0.31)
    assert contract.decide([1 - probability, probability]) == label
