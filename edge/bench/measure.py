"""Measures whole pictures: each variant with each number of threads in turns, memory, heat."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from edge.analyzer import Analyzer
from edge.cli.terminal import Progress
from edge.doctor.probe import run_probe
from edge.errors import LesionEdgeError

from . import environment
from .turns import seconds, summary, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edge.analyzer import Source

STEPS = ("decode", "segment", "resize", "invoke", "total")
_SETTLE_S = 0.02
"""Before a turn: idle threads of the interpreter that ran before spin for a while, on a core that
the next one needs."""


@dataclass(slots=True)
class Route:
    """A model's file with a number of threads."""

    model: str
    """As it was named."""
    file: str
    threads: int
    analyzer: Analyzer
    ms: dict[str, dict[str, float]] = field(default_factory=dict)
    """By step, ``total`` among them: count, minimum and percentiles."""
    peak_mb: float | None = None
    start_ms: float | None = None
    """A whole process, from its start to the answer."""

    @property
    def variant(self) -> str:
        """What its contract calls it."""
        return self.analyzer.contract.variant

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; they name no folder."""
        return {
            "model": re.sub(r".*/(?=.)", "", self.model),
            **{key: self.analyzer.contract.identity()[key] for key in ("variant", "sha256")},
            "threads": self.threads,
            "milliseconds": self.ms,
            "peak_mb": self.peak_mb,
            "start_ms": self.start_ms,
        }


def load(
    files: Iterable[tuple[str, str]], threads: Sequence[int]
) -> tuple[list[Route], dict[str, LesionEdgeError]]:
    """Load each file with each number of threads.

    Args:
        files: the model's name, and one of its files.
        threads: numbers of threads.

    Returns:
        What runs, and by file why it can't: tflite-runtime has no dynamic range.

    """
    routes: list[Route] = []
    refused = {}
    for model, file in files:
        try:
            routes += [Route(model, file, each, Analyzer(file, threads=each)) for each in threads]
        except LesionEdgeError as error:  # noqa: PERF203 - the others run all the same
            refused[file] = error
    return routes, refused


def latency(routes: Sequence[Route], picture: str, rounds: int, most_s: float) -> None:
    """Let all analyse the picture in turns; each route gets its milliseconds.

    Raises:
        PictureError: the picture can't be analysed.

    """
    settle_s = _SETTLE_S if any(route.threads > 1 for route in routes) else 0.0

    def turn(analyzer: Analyzer) -> dict[str, float]:
        time.sleep(settle_s)
        return analyzer.analyze(picture).timings_ms.to_dict()

    calls = {number: partial(turn, route.analyzer) for number, route in enumerate(routes)}
    for number, taken in take_turns(calls, rounds, most_s).items():
        routes[number].ms = {step: summary([each[step] / 1e3 for each in taken]) for step in STEPS}


def memory(routes: Sequence[Route], picture: str) -> None:
    """Let each file answer once in a process of its own; its routes get peak memory and time."""
    for file in dict.fromkeys(route.file for route in routes):
        answer: dict[str, Any] = {}
        code = "from edge.bench.measure import answer_once; answer_once()"
        taken = seconds(lambda: answer.update(run_probe(code, file, picture)))  # noqa: B023 - at once
        for route in routes:
            if route.file == file and "error" not in answer:
                route.peak_mb, route.start_ms = answer["peak_mb"], round(taken * 1e3, 1)


def answer_once() -> None:
    """Analyse the picture of the command line by its model, and print this process' peak memory.

    Not ``ru_maxrss``, which starts at the memory of the process that this one was forked from.
    """
    model, picture = sys.argv[1:]
    Analyzer(model).analyze(picture)
    peak = None
    with suppress(OSError), open("/proc/self/status") as stream:
        peak = round(int(re.findall(r"VmHWM:\s*(\d+) kB", stream.read())[0]) / 1024, 1)
    print(json.dumps({"peak_mb": peak}))


def sustained(
    analyzer: Analyzer,
    picture: Source,
    run_s: float,
    every_s: float = 10.0,
    state: Callable[[], dict[str, Any]] = environment.state,
) -> list[dict[str, Any]]:
    """Analyse one picture after another, and tell what became of speed, heat and clock.

    Args:
        analyzer: what analyses.
        picture: what is analysed.
        run_s: for how many seconds.
        every_s: how many of them one entry of the result covers.
        state: what is noted at the end of each; a test hands in its own.

    """
    entries = []
    progress = Progress("seconds of the sustained run:", round(run_s))
    begun = time.perf_counter()
    for number in range(1, math.ceil(run_s / every_s) + 1):
        until = begun + min(number * every_s, run_s)
        taken: list[float] = []
        while time.perf_counter() < until or not taken:
            taken.append(seconds(lambda: analyzer.analyze(picture)))
        at_s = round(time.perf_counter() - begun, 1)
        entries.append({"at_s": at_s, **state(), "total": summary(taken)})
        progress.update(round(at_s))
    progress.clear()
    return entries
