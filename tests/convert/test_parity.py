"""The gate lets nothing through that it should stop."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import UsageError
from convert.quantise.calibration import _away
from convert.quantise.preprocessing import PRESETS
from convert.verify.parity import (
    Budget,
    Parity,
    area_under_curve,
    compare,
    edge_answers,
    exceeded,
    keras_answers,
    notes_on_answers,
)
from convert.verify.pictures import SamplePicture, choose, notes_on, require_disjoint
from edge.errors import PredictionError
from edge.model.contract import Contract, InputSpec, OutputSpec

if TYPE_CHECKING:
    import keras

    from edge.model.classifier import Classifier


def pictures(labels: str) -> list[SamplePicture]:
    names = {"b": "benign", "m": "malignant", "?": None}
    return [
        SamplePicture(f"{number}.jpg", b"", f"{number}", names[label])
        for number, label in enumerate(labels)
    ]


CONTRACT = Contract(
    name="made",
    variant="int8",
    sha256="0" * 64,
    input=InputSpec((8, 8)),
    output=OutputSpec(),
    labels=("benign", "malignant"),
    positive="malignant",
    threshold=0.5,
)


def judge(expected: list[float], actual: list[float], labels: str = "") -> tuple[Parity, list[str]]:
    """Judge P(malignant) on as many pictures, of two labels."""
    theirs, ours = (np.array([[1 - each, each] for each in p]) for p in (expected, actual))
    parity = compare(pictures(labels or "?" * len(expected)), theirs, ours, CONTRACT)
    return parity, exceeded(parity, Budget(max_delta=0.02, mean_delta=0.002, flips=0.005))


def test_equal_answers_pass() -> None:
    parity, over = judge([0.1, 0.9], [0.1, 0.9])
    assert over == []
    assert (parity.max_delta, parity.flips) == (0, 0)


def test_the_largest_difference_is_found_and_its_picture_named() -> None:
    _, over = judge([0.1] * 1000, [0.1] * 998 + [0.13, 0.1])
    assert over == ["max |Δp| is 0.03, its budget 0.02 on 998.jpg"]


def test_the_mean_has_its_own_budget() -> None:
    _, over = judge([0.1] * 10, [0.11] * 10)
    assert over == ["mean |Δp| is 0.01, its budget 0.002"]


def test_a_flip_counts_even_when_the_difference_is_tiny() -> None:
    _, over = judge([0.4999] * 100, [0.4999] * 99 + [0.5])
    assert over == ["flips is 0.01, its budget 0.005 1 pictures"]


def of_three(threshold: float | None) -> Contract:
    return replace(
        CONTRACT,
        output=OutputSpec("softmax"),
        labels=("benign", "malignant", "other"),
        threshold=threshold,
    )


@pytest.mark.parametrize(
    ("threshold", "actual", "flips"),
    [
        (None, [0.34, 0.33, 0.33], 1),  # the most probable label is another one
        (None, [0.32, 0.35, 0.33], 0),
        (0.2, [0.40, 0.25, 0.35], 0),  # malignant from 0.2 on, whatever the others have
        (0.2, [0.45, 0.19, 0.36], 1),
    ],
)
def test_of_several_labels_the_label_is_the_one_that_the_contract_decides(
    threshold: float | None, actual: list[float], flips: int
) -> None:
    expected = np.array([[0.33, 0.34, 0.33]])
    parity = compare(pictures("?"), expected, np.array([actual]), of_three(threshold))
    assert parity.flips == flips


def test_of_several_labels_the_largest_difference_is_a_pictures_difference() -> None:
    """By hand: the largest differences are 0.03 and 0.01, their mean is 0.02."""
    expected = np.array([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]])
    actual = np.array([[0.49, 0.28, 0.23], [0.1, 0.21, 0.69]])
    parity = compare(pictures("mb"), expected, actual, of_three(None))
    assert (parity.max_delta, parity.mean_delta) == pytest.approx((0.03, 0.02))
    assert (parity.worst, parity.flips) == ("0.jpg", 0)
    assert (parity.auc, parity.auc_keras) == (1.0, 1.0), "of P(malignant), the positive label"


def test_an_answer_that_is_no_probabilities_is_no_number_to_the_gate() -> None:
    """A file whose values ran over, such as float16, is refused by its budget, by name."""

    class Broken:
        contract = CONTRACT

        def answer(self, _: object) -> None:
            raise PredictionError("nan")

    answers = edge_answers(cast("Classifier", Broken()), [np.zeros((8, 8, 3), np.uint8)])
    parity = compare(pictures("?"), np.array([[0.5, 0.5]]), answers, CONTRACT)
    assert len(exceeded(parity, Budget(1.0, 1.0, 0.5))) == 3


def test_keras_one_sigmoid_is_the_probability_of_the_second_label() -> None:
    class FirstChannel:
        def predict_on_batch(self, values: Any) -> Any:
            return values[:, 0, 0, :1]

    answers = keras_answers(
        cast("keras.Model", FirstChannel()), PRESETS["keras"], [np.full((1, 1, 3), 51, np.uint8)]
    )
    assert answers == pytest.approx(np.array([[0.8, 0.2]]))


def test_answers_that_are_all_alike_prove_nothing_and_that_is_said() -> None:
    (said,) = notes_on_answers(np.array([[0.505, 0.495], [0.5, 0.5]]))
    assert said.startswith("Keras' own answers differ by 0.005 between the pictures")
    assert notes_on_answers(np.array([[0.53, 0.47], [0.5, 0.5]])) == []


@pytest.mark.parametrize("labels", [("Malignant", "BENIGN"), ("mel", "nv"), ("a", "b", "c")])
def test_a_set_of_another_kind_or_of_too_few_is_said(labels: tuple[str, ...]) -> None:
    ours = len(labels) == 2 and labels[0] == "Malignant"
    said = notes_on("parity was judged", pictures("b" * 40), labels, "--held-out")
    assert [("not the model's kind" in note, "--held-out DIR" in note) for note in said] == [
        (True, True)
    ] * (not ours)
    assert notes_on("parity was judged", pictures("b" * 40), labels, None) == []
    (few,) = notes_on("parity was judged", pictures("b" * 29), labels, None)
    assert few == "parity was judged on 29 pictures: fewer than 30 show little"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_answer_that_is_no_number_fails_every_check(value: float) -> None:
    parity, over = judge([0.1] * 1000, [0.1] * 999 + [value])
    assert len(over) >= 2
    assert "999.jpg" in over[0]
    assert parity.to_dict()["pictures"] == 1000


def test_the_area_is_known_for_cases_done_by_hand() -> None:
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    # Of the four pairs (positive, negative), three are in order: 0.35 > 0.1, 0.8 > 0.1, 0.8 > 0.4.
    assert area_under_curve(scores, np.array([False, False, True, True])) == 0.75
    assert area_under_curve(np.array([1.0, 1.0]), np.array([True, False])) == 0.5
    assert area_under_curve(scores, np.array([True] * 4)) is None


@given(st.floats(-1e30, 1e30, allow_nan=False).filter(lambda value: abs(value) > 1e-30))
def test_ranges_are_rounded_outwards_and_by_less_than_a_hundredth(value: float) -> None:
    rounded = _away(value)
    assert abs(rounded) >= abs(value) * (1 - 1e-12)
    assert abs(rounded) <= abs(value) * 1.0101
    assert math.copysign(1, rounded) == math.copysign(1, value)
    assert float(f"{rounded:.3g}") == pytest.approx(rounded, rel=1e-12)


def test_a_picture_in_both_sets_is_refused() -> None:
    """By content, not by name."""
    both = SamplePicture("renamed.jpg", b"", "1", None)
    with pytest.raises(UsageError, match=r"renamed\.jpg.*1\.jpg"):
        require_disjoint(pictures("bm"), [both])
    require_disjoint(pictures("bm"), [SamplePicture("0.jpg", b"", "other", None)])


def test_the_choice_depends_on_the_seed_alone() -> None:
    many = pictures("b" * 50)
    assert choose(many, 10, 1) == choose(many, 10, 1)
    assert choose(many, 10, 1) != choose(many, 10, 2)
    assert len(set(map(id, choose(many, 10, 3)))) == 10
    assert choose(many, 80, 1) == many
