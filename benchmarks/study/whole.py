"""Time whole pictures, from the file to the answer: the notebook's pipeline beside ours."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import notebook
from benchmarks.common import PICTURE, ROOT, process_seconds
from edge import Analyzer
from edge.bench.turns import ratio, seconds, summary, take_turns

from .networks import COMPACT, DENSE, OURS, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NOTEBOOK = "notebook"
"""The name of its pipeline in a stored result."""
_LAUNCHER = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def warm(folder: Path, threads: int, rounds: int) -> dict[str, Any]:
    """Time both pipelines in turns, everything loaded, and each of their steps.

    Args:
        folder: holds the networks.
        threads: the interpreter's; TensorFlow's were set before.
        rounds: how often each takes its turn.

    """
    keras = notebook.build(str(folder / COMPACT / WEIGHTS))
    ways = {NOTEBOOK: partial(notebook.stages_ms, keras, str(PICTURE))}
    for name in (DENSE, COMPACT):
        ways[name] = partial(_stages_ms, Analyzer(_model(folder, name), threads=threads))
    stages: dict[str, list[dict[str, float]]] = {name: [] for name in ways}

    def turn(name: str) -> float:
        return seconds(lambda: stages[name].append(ways[name]()))

    taken = take_turns({name: partial(turn, name) for name in ways}, rounds)
    return {
        "picture": PICTURE.name,
        **_compare(taken),
        "stages_ms": {
            name: {stage: summary([each[stage] / 1e3 for each in found[1:]]) for stage in found[0]}
            for name, found in stages.items()
        },
    }


def cold(folder: Path, rounds: int) -> dict[str, Any]:
    """Time whole processes in turns, from start to answer; and their peak memory.

    Each runs with its own default number of threads, as a user would start it.
    """
    weights = folder / COMPACT / WEIGHTS
    commands = {NOTEBOOK: ["-m", "benchmarks.notebook", str(PICTURE), str(weights)]}
    for name in (DENSE, COMPACT):
        model = str(_model(folder, name))
        commands[name] = ["-m", "edge.run", str(PICTURE), "--model", model]
    calls = {name: partial(process_seconds, *command) for name, command in commands.items()}
    return {
        **_compare(take_turns(calls, rounds)),
        "peak_mb": {name: _peak_mb(command) for name, command in commands.items()},
    }


def _model(folder: Path, name: str) -> Path:
    return folder / name / OURS / "lesion-int8.tflite"


def _stages_ms(analyzer: Analyzer) -> dict[str, float]:
    stages = analyzer.analyze(PICTURE).timings_ms.to_dict()
    return {stage: ms for stage, ms in stages.items() if stage != "total"}


def _compare(taken: dict[str, list[float]]) -> dict[str, Any]:
    return {
        "ms": {name: summary(seconds) for name, seconds in taken.items()},
        "notebook_times_ours": {
            name: ratio(taken[NOTEBOOK], taken[name]) for name in (DENSE, COMPACT)
        },
    }


def _peak_mb(arguments: Sequence[str]) -> float:
    """Return the peak memory of a Python process, started by a small one.

    A process' ``ru_maxrss`` starts at the memory of the one that it was forked from.
    """
    command = [sys.executable, "-S", "-c", _LAUNCHER, sys.executable, *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    return round(int(result.stdout) / 1024, 1)
