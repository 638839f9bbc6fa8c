"""The gate lets nothing through that it should stop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import UsageError
from convert.quantise.calibration import _away
from convert.verify.parity import Budget, Parity, area_under_curve, compare, exceeded
from convert.verify.pictures import SamplePicture, choose, require_disjoint
from edge.model.contract import parse_contract


def pictures(labels: str) -> list[SamplePicture]:
    names = {"b": "benign", "m": "malignant", "?": None}
    return [
        SamplePicture(f"{number}.jpg", b"", f"{number}", names[label])
        for number, label in enumerate(labels)
    ]


CONTRACT = parse_contract(
    {
        "schema": 1,
        "name": "made",
        "variant": "int8",
        "flatbuffer": {"sha256": "0" * 64},
        "input": {
            "width": 8,
            "height": 8,
            "channel_order": "BGR",
            "interpolation": "linear",
            "dtype": "uint8",
            "scale": 1.0,
            "zero_point": 0,
        },
        "output": {"dtype": "float32"},
        "labels": ["benign", "malignant"],
        "threshold": 0.5,
    },
    "made",
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
