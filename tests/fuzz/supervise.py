"""The parent: starts workers, waits for each case, and counts what came of it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.pictures import ROOT

from .targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW_S = 5.0
"""Processor time from which on a case is a finding; a shared machine's clock says little."""
_HANG_S = 60.0
_START_S = 120.0
GOOD = ("accepted", "refused")


@dataclass(frozen=True, slots=True)
class Finding:
    """A case that must not be: what it is, its number, and what was seen."""

    target: str
    number: int
    outcome: str
    """``foreign``, ``unsound``, ``slow``, ``hang``, ``signal`` or ``exit``."""
    detail: str


@dataclass(slots=True)
class Tally:
    """What came of the cases of a target."""

    target: str
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    """By the clock: other work on the machine counts, too."""
    slowest_processor_s: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Take in what another worker counted."""
        self.outcomes += other.outcomes
        self.slowest_s = max(self.slowest_s, other.slowest_s)
        self.slowest_processor_s = max(self.slowest_processor_s, other.slowest_processor_s)
        self.findings += other.findings

    @property
    def cases(self) -> int:
        """How many cases there were."""
        return sum(self.outcomes.values())


def run_cases(target: str, seed: int, first: int, end: int) -> Tally:
    """Run the cases ``first`` to ``end`` of a target in child processes and count the outcomes.

    A case that kills its process, or hangs, is a finding; the next one gets a new process.
    """
    tally, memory = Tally(target), TARGETS[target].memory
    while first < end:
        first = _run_worker(tally, seed, first, end, memory)
    return tally


def _run_worker(tally: Tally, seed: int, first: int, end: int, memory: int) -> int:
    arguments = [tally.target, *map(str, (seed, first, end, memory))]
    # Each thread of OpenBLAS and each arena of malloc would reserve memory that counts.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.worker", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        at, outcome = first, ""
        try:
            for line in _lines(process):
                at = line["number"]
                if "outcome" not in line:
                    continue
                outcome, seconds = line["outcome"], line["processor_s"]
                tally.slowest_s = max(tally.slowest_s, line["s"])
                tally.slowest_processor_s = max(tally.slowest_processor_s, seconds)
                if outcome in GOOD and seconds > SLOW_S:
                    outcome, line["detail"] = "slow", f"{seconds:.1f} s of the processor"
                _count(tally, at, outcome, line["detail"])
                at += 1
        except TimeoutError:
            _count(tally, at, "hang", f"no answer in {_HANG_S:.0f} s")
            return at + 1
        finally:
            process.kill()
        code = process.wait()
    if at == end and code in (0, -signal.SIGKILL):
        return end
    _count(tally, at, "signal" if code < 0 else "exit", f"the process ended with {code}")
    return at + 1


def _count(tally: Tally, number: int, outcome: str, detail: str) -> None:
    tally.outcomes[outcome] += 1
    if outcome not in GOOD:
        tally.findings.append(Finding(tally.target, number, outcome, detail))


def _lines(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    assert process.stdout
    descriptor, left, limit_s = process.stdout.fileno(), b"", _START_S
    while True:
        if not select.select([descriptor], [], [], limit_s)[0]:
            raise TimeoutError
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            return
        *whole, left = (left + chunk).split(b"\n")
        limit_s = _HANG_S
        yield from map(json.loads, whole)
