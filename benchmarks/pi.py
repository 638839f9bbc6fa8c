"""Measure a board: latency by variant and threads, start-up, a sustained run; write one file.

Needs only what the device has anyway.  Please send the JSON file back: benchmarks/results/ has room
for it, and benchmarks/reference.json for its bands.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from edge import Analyzer, LesionEdgeError
from edge.cli.terminal import Progress
from edge.doctor import board
from edge.files import write_atomically
from edge.parallel import usable_cores

from . import environment
from .common import PICTURE, ROOT, make_parser, process_seconds
from .turns import summary, take_turns

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

REFERENCE = Path(__file__).parent / "reference.json"
"""By board: {"int8, 1 thread": milliseconds p50, ...}; empty until someone measured one."""
BAND = 1.3
"""A figure may be this many times its reference, or that part of it: pycoral's benchmarks' way."""
_VARIANTS = ("int8", "dynamic", "float16", "float32")
_STEPS = ("decode", "segment", "resize", "invoke")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the file, and return the exit status: 1 where a figure is out of its band."""
    options = _parse(arguments)
    cv2.setNumThreads(1)  # as python -m edge.run does
    before = environment.state()
    machine = environment.machine()
    if before["governor"] not in (None, ["performance"]):
        print(
            f"the governor is {before['governor'][0]}, not performance: latencies will include its"
            " changes of clock; echo performance | sudo tee"
            " /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
            file=sys.stderr,
        )
    analyzers, refused = _load(options.threads)
    latency = measure_latency(analyzers, options.rounds)
    start_up = measure_start_up(options.starts)
    sustained = measure_sustained(Analyzer(), options.minutes * 60, options.every)
    after = environment.state()
    document = {
        "schema": 1,
        "what": "lesion-edge on a board: python -m benchmarks.pi",
        "machine": machine | {"before": before, "after": after},
        "throttled": environment.throttled(before, after),
        "picture": PICTURE.name,
        "latency_ms": latency,
        "refused": refused,
        "start_up_ms": start_up,
        "sustained": sustained,
    }
    bands = check_bands(latency, read_references(REFERENCE), machine["board"])
    document["reference"] = bands
    out = options.out or Path(f"{environment.slug(machine)}.json")
    write_atomically(out, (json.dumps(document, indent=1) + "\n").encode())
    _print(document)
    print(f"written: {out}; please send it back")
    return 1 if any(not band["within"] for band in bands.values()) else 0


def measure_latency(
    analyzers: Mapping[str, Analyzer], rounds: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Let all analyse the same picture in turns.

    Returns:
        By route, by step ("total" among them): count, minimum and percentiles in milliseconds.

    """
    calls = {name: partial(each.analyze, PICTURE) for name, each in analyzers.items()}
    return {
        name: {
            step: summary([getattr(each.timings_ms, step) / 1e3 for each in analyses])
            for step in (*_STEPS, "total")
        }
        for name, analyses in take_turns(calls, rounds).items()
    }


def measure_start_up(starts: int) -> dict[str, float]:
    """Time whole processes, from start to answer, in milliseconds.

    The first one, which reads all from the disk and compiles the modules, is told apart.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = ("-m", "edge.run", PICTURE)
        first, *others = (process_seconds(*command, bytecode=folder) for _ in range(starts + 1))
    return {"first": round(first * 1e3, 1), **summary(others)}


def measure_sustained(
    analyzer: Analyzer,
    seconds: float,
    every: float,
    state: Callable[[], dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Analyse one picture after another, and tell what became of speed, heat and clock.

    Args:
        analyzer: what analyses.
        seconds: for how long.
        every: seconds that one entry of the result covers.
        state: what is noted at the end of each; a test hands in its own.

    """
    state = state or _state
    entries = []
    progress = Progress("seconds of the sustained run:", round(seconds))
    begun = time.perf_counter()
    for number in range(1, math.ceil(seconds / every) + 1):
        until = begun + min(number * every, seconds)
        taken: list[float] = []
        started = time.perf_counter()
        while started < until or not taken:
            analyzer.analyze(PICTURE)
            finished = time.perf_counter()
            taken.append(finished - started)
            started = finished
        at = round(time.perf_counter() - begun, 1)
        entries.append({"at_s": at, **state(), "total_ms": summary(taken)})
        progress.update(round(at))
    progress.clear()
    return entries


def _state() -> dict[str, Any]:
    return {
        "temperature_c": board.temperature_c(),
        "mhz": environment.state()["mhz"],
        "throttling": board.throttling(),
    }


def read_references(path: Path) -> dict[str, dict[str, float]]:
    """Return the references: by board, by route, milliseconds (p50 of "total")."""
    references: dict[str, dict[str, float]] = json.loads(path.read_text())
    return references


def check_bands(
    latency: Mapping[str, Mapping[str, Mapping[str, float]]],
    references: Mapping[str, Mapping[str, float]],
    name: str | None,
) -> dict[str, dict[str, Any]]:
    """Compare each p50 with its board's reference, both ways: twice as fast is suspicious, too.

    Returns:
        By route with a reference: both figures, and whether one is within the band of the other.

    """
    return {
        route: {
            "reference_ms": reference,
            "ms": (ms := latency[route]["total"]["p50"]),
            "within": reference / BAND <= ms <= reference * BAND,
        }
        for route, reference in references.get(name or "", {}).items()
        if route in latency
    }


def _load(threads: Sequence[int]) -> tuple[dict[str, Analyzer], dict[str, str]]:
    analyzers, refused = {}, {}
    for variant in _VARIANTS:
        for count in threads:
            name = f"{variant}, {count} thread{'s' if count > 1 else ''}"
            try:
                analyzers[name] = Analyzer(
                    ROOT / "models" / f"lesion-{variant}.tflite", threads=count
                )
            except LesionEdgeError as error:  # tflite-runtime has no dynamic range
                refused[name] = str(error)
    return analyzers, refused


def _print(document: Mapping[str, Any]) -> None:
    machine = document["machine"]
    print(f"{machine['board'] or machine['cpu']}, {machine['cores']} cores, {PICTURE.name}")
    for name, steps in document["latency_ms"].items():
        parts = ", ".join(f"{step} {steps[step]['p50']:.2f}" for step in _STEPS)
        print(f"  {name:<20} {steps['total']['p50']:8.2f} ms p50 ({parts})")
    start_up = document["start_up_ms"]
    print(f"  process start to answer: {start_up['p50']:.0f} ms p50, first {start_up['first']:.0f}")
    if document["sustained"]:
        first, last = document["sustained"][0], document["sustained"][-1]
        for entry in (first, last):
            print(
                f"  after {entry['at_s']:.0f} s: {entry['total_ms']['p50']:.2f} ms p50, "
                f"{entry['temperature_c']} degrees Celsius, {entry['mhz']} MHz, "
                f"throttling {entry['throttling']}"
            )
    for reason in document["throttled"]:
        print(f"  THROTTLED during the run: {reason}")
    for name, band in document["reference"].items():
        verdict = "within" if band["within"] else "OUT OF"
        print(f"  {name}: {verdict} the band around {band['reference_ms']} ms")
    if not document["reference"]:
        print("  no reference for this board yet: yours may become it")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser("benchmarks.pi", __doc__)
    cores = usable_cores()
    sweep = sorted({1, 2, min(cores, 4)} & set(range(1, cores + 1)))
    parser.add_argument("--threads", type=int, nargs="+", default=sweep, metavar="N")
    parser.add_argument("--rounds", type=int, default=100, metavar="N", help="default: 100")
    parser.add_argument("--starts", type=int, default=10, metavar="N", help="default: 10")
    parser.add_argument(
        "--minutes", type=float, default=10, metavar="M", help="sustained run (default: 10)"
    )
    parser.add_argument(
        "--every", type=float, default=10, metavar="S", help="seconds an entry (default: 10)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: <board>.json, here")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
