"""From a file to the answer: stages, the notebook's pipeline beside ours, cold starts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge import Analyzer

from . import notebook
from .common import PICTURE, ROOT, quiet_environment, timed_process
from .names import CUT, NOTEBOOK
from .percentiles import ratio, summary
from .prepare import EDGE_MODEL, SETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_LAUNCHER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def warm(folder: Path, weights: Path, threads: int, rounds: int) -> dict[str, Any]:
    """Time whole pictures, the notebook's pipeline and ours in turns, everything loaded.

    Args:
        folder: made by :mod:`.prepare`.
        weights: a ``model.h5`` for the notebook's network.
        threads: the interpreter's; TensorFlow's were set before.
        rounds: how often each takes its turn.

    """
    model = notebook.build(str(weights))
    calls: dict[str, Callable[[], dict[str, float]]] = {
        NOTEBOOK: lambda: notebook.stages_ms(model, str(PICTURE))
    }
    calls |= {name: _ours(path, threads) for name, path in _edge_models(folder).items()}
    taken: dict[str, list[list[float]]] = {name: [] for name in calls}
    stages: dict[str, dict[str, list[float]]] = {name: {} for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            stage_ms = call()
            seconds = time.perf_counter() - started
            if number:  # the first call allocates; cold starts are measured apart
                taken[name].append([seconds])
                for stage, ms in stage_ms.items():
                    stages[name].setdefault(stage, []).append(ms / 1e3)
    return {
        "picture": PICTURE.name,
        "ms": {name: summary([turn[0] for turn in turns]) for name, turns in taken.items()},
        "notebook_times_ours": _notebook_times(taken),
        "stages_ms": {
            name: {stage: summary(seconds) for stage, seconds in each.items()}
            for name, each in stages.items()
        },
    }


def cold(folder: Path, weights: Path, rounds: int) -> dict[str, Any]:
    """Time whole processes, from start to answer, in turns; and their peak memory.

    Each runs with its own default number of threads, as a user would start it.
    """
    commands = {NOTEBOOK: ["-m", "benchmarks.notebook", str(PICTURE), str(weights)]}
    for name, model in _edge_models(folder).items():
        commands[name] = ["-m", "edge.run", str(PICTURE), "--model", str(model)]
    taken: dict[str, list[list[float]]] = {name: [] for name in commands}
    peak: dict[str, int] = {}
    for number in range(rounds + 1):
        for name, command in commands.items():
            if number:
                taken[name].append([timed_process([sys.executable, *command], quiet_environment())])
            else:  # the first fills the disk cache and writes bytecode, for all alike
                peak[name] = _peak_kb(command)
    return {
        "ms": {name: summary([turn[0] for turn in turns]) for name, turns in taken.items()},
        "notebook_times_ours": _notebook_times(taken),
        "peak_mb": {name: round(kilobytes / 1024, 1) for name, kilobytes in peak.items()},
    }


def _edge_models(folder: Path) -> dict[str, Path]:
    names = (name for name in json.loads((folder / SETS).read_text()) if name not in CUT)
    return {name: folder / name / EDGE_MODEL for name in names}


def _ours(model: Path, threads: int) -> Callable[[], dict[str, float]]:
    analyzer = Analyzer(model, threads=threads)

    def run() -> dict[str, float]:
        stages = asdict(analyzer.analyze(PICTURE).timings_ms)
        return {stage: ms for stage, ms in stages.items() if stage != "total"}

    return run


def _notebook_times(taken: dict[str, list[list[float]]]) -> dict[str, dict[str, float]]:
    ours = {name: turns for name, turns in taken.items() if name != NOTEBOOK}
    return {name: ratio(taken[NOTEBOOK], turns) for name, turns in ours.items()}


def _peak_kb(arguments: Sequence[str]) -> int:
    """Return the peak memory of a Python process, started by a small one.

    A process' ``ru_maxrss`` starts at the memory of the one that it was forked from.
    """
    command = [sys.executable, "-S", "-c", _LAUNCHER, sys.executable, *arguments]
    result = subprocess.run(
        command, cwd=ROOT, env=quiet_environment(), capture_output=True, check=True
    )
    return int(result.stdout)
