"""Every number of docs/faults.md has a test, and the test's name says what is promised.

``pytest -k fault`` runs them all, ``pytest -k fault_06`` those of one.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.support.pictures import ROOT

NUMBERS = [
    int(number)
    for number in re.findall(r"^\| (\d+) \|", (ROOT / "docs/faults.md").read_text(), re.MULTILINE)
]


@pytest.fixture(scope="module")
def tests_by_fault() -> Counter[int]:
    names = [
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def test_fault_(\d\d)_\w+\(", path.read_text(), re.MULTILINE)
    ]
    return Counter(map(int, names))


def test_the_list_numbers_its_faults_from_1_without_a_gap() -> None:
    assert sorted(NUMBERS) == list(range(1, len(NUMBERS) + 1))
    assert len(NUMBERS) >= 57


@pytest.mark.parametrize("number", NUMBERS)
def test_fault_has_a_test_of_its_own(number: int, tests_by_fault: Counter[int]) -> None:
    assert tests_by_fault[number] > 0


def test_no_test_names_a_fault_that_is_not_in_the_list(tests_by_fault: Counter[int]) -> None:
    assert set(tests_by_fault) <= set(NUMBERS)


def test_no_test_names_a_fault_without_two_digits() -> None:
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text()
        wrong = re.findall(r"^def (test_fault_(?!\d\d_|has_)\w+)", text, re.MULTILINE)
        assert wrong == [], path
