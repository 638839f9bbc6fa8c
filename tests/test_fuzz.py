"""The fuzz harness: its corpus holds, a thousand mutations hold, and it would tell if not."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edge import PictureError
from tests.fuzz.mutate import mutate_json
from tests.fuzz.supervise import GOOD, run_cases
from tests.fuzz.targets import TARGETS, Target, run_case
from tests.support.pictures import MODELS

from .conftest import run_module
from .fuzz import targets

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux"),
]

SEED = 5
CASES = {"pictures": 400, "models": 400, "contracts": 400, "camera": 60, "weights": 12, "whole": 60}


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_and_its_mutations_are_refused_or_sound(name: str) -> None:
    """In a child limited to 1 GB: no signal, no hang, no exception but ours."""
    whole = len(TARGETS[name].corpus())
    tally = run_cases(name, SEED, 0, whole + CASES[name])
    assert tally.findings == []
    assert tally.cases == whole + CASES[name]
    assert set(tally.outcomes) == set(GOOD), "both must occur, or nothing is tested"


@pytest.mark.parametrize("name", TARGETS)
def test_a_case_depends_on_seed_and_number_only_and_is_not_the_corpus(name: str) -> None:
    target = TARGETS[name]
    corpus = target.corpus()
    first = len(corpus)
    cases = [target.case(corpus, SEED, number) for number in range(first, first + 50)]
    assert cases == [target.case(corpus, SEED, number) for number in range(first, first + 50)]
    assert len(set(cases)) > 40
    assert cases[0] != target.case(corpus, SEED + 1, first)


def test_changed_contracts_share_nothing_with_those_before() -> None:
    data = b'{"input": {"a": 1}, "labels": {"b": 2}}'

    def cases() -> list[bytes]:
        return [mutate_json(random.Random(seed), data, [data]) for seed in range(2000)]

    assert cases() == cases()


def test_every_project_model_and_a_minimal_contract_are_accepted() -> None:
    """What is attacked is what works: a corpus of refused files would prove little."""
    with targets.temporary_folder() as folder:
        for name in ("models", "contracts"):
            check = TARGETS[name].prepare(Path(folder))
            outcomes = [run_case(check, data)[0] for data in TARGETS[name].corpus()]
            assert outcomes.count("accepted") >= 4, name


def fail(error: Exception) -> Callable[[bytes], object]:
    def check(_: bytes) -> None:
        raise error

    return check


def test_what_may_not_happen_is_a_finding() -> None:
    assert run_case(fail(PictureError("case: empty")), b"") == ("refused", "case: empty")
    assert run_case(fail(PictureError("two\nlines")), b"")[0] == "unsound"
    assert run_case(fail(AssertionError("labels")), b"") == ("unsound", "labels")
    assert run_case(fail(MemoryError("no")), b"") == ("foreign", "MemoryError: no")
    assert run_case(lambda _: None, b"") == ("accepted", "")


# Replaces a target's check in the worker by one that misbehaves on the cases 2 and 4.
MISBEHAVE = """
import os, signal, sys, time
from tests.fuzz import targets, worker

seen = iter(range(int(sys.argv[3]), 100))

def prepare(folder):
    def check(data):
        if next(seen) in (2, 4):
            {what}
    return check

def replaced(name, how):
    target = targets.TARGETS[name]
    return targets.Target(name, lambda: [b"x"], target.mutate, how)

worker.TARGETS = {{"pictures": replaced("pictures", prepare)}}
worker.main()
"""


@pytest.mark.parametrize(
    ("what", "outcome", "detail"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "signal", f"ended with {-signal.SIGSEGV}"),
        ("os._exit(3)", "exit", "ended with 3"),
        ("time.sleep(60)", "hang", "no answer in"),
        ("bytearray(2 << 30)", "foreign", "MemoryError"),
        ("all(time.process_time() for _ in range(10**6))", "slow", "s of the processor"),
    ],
)
def test_a_child_that_dies_hangs_or_eats_is_a_finding_and_the_rest_still_run(
    what: str, outcome: str, detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that can't fail is none: the supervisor is shown each thing it looks for."""
    stand_in = tmp_path / "worker.py"
    stand_in.write_text(MISBEHAVE.format(what=what))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" "{stand_in}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.setattr("tests.fuzz.supervise._HANG_S", 2.0 if outcome == "hang" else 30.0)
    monkeypatch.setattr("tests.fuzz.supervise.SLOW_S", 0.1)
    tally = run_cases("pictures", SEED, 0, 6)
    assert [(found.number, found.outcome) for found in tally.findings] == [
        (2, outcome),
        (4, outcome),
    ]
    assert all(detail in found.detail for found in tally.findings)
    assert tally.cases == 6


def test_the_command_counts_reports_and_repeats(tmp_path: Path) -> None:
    result = run_module("tests.fuzz", "models", "--count", "30", "--seed", "1", "--json")
    assert result.returncode == 0, result.stderr
    (row,) = json.loads(result.stdout)["targets"]
    good = len(MODELS) + 1  # the last has two networks
    assert (row["target"], row["cases"], row["findings"]) == ("models", good + 30, 0)
    assert (row["accepted"], row["refused"]) == (good, 30)
    case = tmp_path / "case"
    case.write_bytes(b"<html>")
    again = run_module("tests.fuzz", "models", "--file", case)
    assert again.stdout.startswith("refused: model.tflite: not a TFLite model")
    assert run_module("tests.fuzz", "nothing").returncode == 2


def test_it_ends_after_the_time_that_is_given() -> None:
    result = run_module("tests.fuzz", "models", "--seconds", "1")
    assert result.returncode == 0, result.stderr
    assert "models" in result.stdout


def test_a_contract_target_gets_past_the_hash() -> None:
    """Else every mutation would be refused for the same reason."""
    target: Target = TARGETS["contracts"]
    corpus = target.corpus()
    with targets.temporary_folder() as folder:
        check = target.prepare(Path(folder))
        details = [run_case(check, target.case(corpus, SEED, n)) for n in range(100)]
    assert sum(outcome == "accepted" for outcome, _ in details) > 5
    assert sum("SHA-256" in detail for _, detail in details) < 30
    assert len({detail.split("'")[0] for _, detail in details}) > 10
