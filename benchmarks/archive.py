"""Count pictures a second of ``edge.archive`` on one worker and on two, beside ``analyze_many``.

A folder's pictures are repeated as hard links until there are enough.  Both ways take turns; each
turn of the archive is a pipeline of its own, of which the time from the first part that is written
to the last counts: what its start takes is said apart, and is the same for any number of pictures.

Beside the time there is the processor's time, of this process and all that it started, Ray's own
among them: on a machine that others use too, that is what a picture costs a core.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from contextlib import suppress
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, process_time

import cv2

from edge import Analyzer
from edge.archive import pipeline
from edge.archive.__main__ import PART
from edge.archive.worker import answers_key, open_analyzer
from edge.cli.sources import expand

from .common import make_parser
from .throughput import PICTURES, analyze_all
from .turns import ratio, seconds, take_turns


def link(folder: str, count: int) -> list[str]:
    """Give the pictures of a dermoscope's size so many names in a folder; return them."""
    found = [os.path.abspath(path) for path in expand([str(PICTURES)]) if isinstance(path, str)]
    paths = []
    for number, source in enumerate(islice(cycle(sorted(found)), count)):
        paths.append(os.path.join(folder, f"{number:07d}{Path(source).suffix}"))
        os.link(source, paths[-1])
    return paths


def cpu_seconds(ticks: dict[int, int]) -> float:
    """Return the processor's time of this process and of all below it, so far (Linux).

    Args:
        ticks: by process, what it had when it was last seen; it may have ended since.

    """
    below: dict[int, list[int]] = {}
    now = {}
    for process in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            fields = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()
            below.setdefault(int(fields[1]), []).append(int(process))
            now[int(process)] = sum(map(int, fields[11:13]))
    waiting = [os.getpid()]
    while waiting:
        process_id = waiting.pop()
        ticks[process_id] = now.get(process_id, 0)
        waiting += below.get(process_id, [])
    return sum(ticks.values()) / os.sysconf("SC_CLK_TCK")


def threads_turn(analyzer: Analyzer, paths: list[str]) -> tuple[float, float]:
    """Return the seconds and the processor's seconds a picture of ``analyze_many``."""
    started = process_time()
    taken = seconds(partial(analyze_all, analyzer, paths))
    return taken / len(paths), (process_time() - started) / len(paths)


def pipeline_turn(paths: list[str], workers: int, starts: list[float]) -> tuple[float, float]:
    """Return the same of a pipeline once each worker's first part is written."""
    tasks = [pipeline.keep(paths[i : i + PART]) for i in range(0, len(paths), PART)]
    with tempfile.TemporaryDirectory() as out:
        settings = {"model": None}
        key = answers_key(open_analyzer(settings))
        ticks: dict[int, int] = {}
        begun = perf_counter()
        answers = pipeline.run(tasks, workers, settings=settings, key=key, folder=out, options="")
        times = [(perf_counter(), cpu_seconds(ticks)) for _ in answers]
    starts.append(times[0][0] - begun)
    pictures = PART * (len(tasks) - workers)
    wall, cpu = (
        (last - first) / pictures for first, last in zip(times[workers - 1], times[-1], strict=True)
    )
    return wall, cpu


def main() -> None:
    """Measure and print."""
    parser = make_parser("benchmarks.archive", __doc__)
    parser.add_argument("--parts", type=int, default=10, help=f"of {PART} pictures (default: 10)")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    options = parser.parse_args()
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - its name; Ray's own is 15
    cv2.setNumThreads(1)
    analyzers = {threads: Analyzer(threads=threads) for threads in (1, 2)}
    starts: list[float] = []
    # On the disk of the samples: a link can't lead to another one.
    with (
        tempfile.TemporaryDirectory(dir=PICTURES.parent) as folder,
        pipeline.started(None, 2),
    ):
        paths = link(folder, PART * options.parts)
        taken = take_turns(
            {
                "analyze_many, 1 thread": partial(threads_turn, analyzers[1], paths),
                "archive, 1 worker": partial(pipeline_turn, paths, 1, starts),
                "analyze_many, 2 threads": partial(threads_turn, analyzers[2], paths),
                "archive, 2 workers": partial(pipeline_turn, paths, 2, starts),
            },
            options.rounds,
        )
    for name, each in taken.items():
        wall, cpu = (statistics.median(times) for times in zip(*each, strict=True))
        print(f"{name}: {1 / wall:.1f} pictures/s in the median, {cpu * 1e3:.2f} ms of a core each")
    for text, one, other in (
        ("archive beside analyze_many, one core", "analyze_many, 1 thread", "archive, 1 worker"),
        ("archive beside analyze_many, two", "analyze_many, 2 threads", "archive, 2 workers"),
        ("archive, two workers beside one", "archive, 1 worker", "archive, 2 workers"),
    ):
        for number, unit in enumerate(("a second", "for a core's second")):
            times = ratio(*([each[number] for each in taken[name]] for name in (one, other)))
            spread = f"{times['p5']} to {times['p95']}"
            print(f"{text}: {times['p50']:.2f} times as many {unit} ({spread})")
    print(f"a pipeline's start: {statistics.median(starts):.1f} s, its first part with it")


if __name__ == "__main__":
    main()
