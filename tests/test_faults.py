"""Every number of the list of faults has a test, and the test's name says what is promised.

The list is of what a picture, a model file, weights, a download, a camera and a disk can do to a
program: ``pytest -k fault`` runs them all, ``pytest -k fault_06`` those of one.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest

from .pictures import ROOT

PICTURES, MODEL_FILES, WEIGHTS, CAMERA, DOWNLOADS = (
    range(1, 16), range(16, 27), range(27, 33), range(33, 53), range(53, 58),
)  # fmt: skip


@pytest.fixture(scope="module")
def tests_by_fault() -> Counter[int]:
    names = [
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def test_fault_(\d\d)_\w+\(", path.read_text(), re.MULTILINE)
    ]
    return Counter(map(int, names))


@pytest.mark.parametrize("number", [*PICTURES, *MODEL_FILES, *WEIGHTS, *CAMERA, *DOWNLOADS])
def test_fault_has_a_test_of_its_own(number: int, tests_by_fault: Counter[int]) -> None:
    assert tests_by_fault[number] > 0


def test_no_test_names_a_fault_without_two_digits() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text()
        wrong = re.findall(r"^def (test_fault_(?!\d\d_|has_)\w+)", text, re.MULTILINE)
        assert wrong == [], path
