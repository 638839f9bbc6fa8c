"""Count pictures a second of ``edge.archive`` on one worker and on two, beside ``analyze_many``.

A folder's pictures are repeated as hard links until there are enough.  Both ways take turns; each
turn of the archive is a pipeline of its own.  From the first picture that it analyses to the last
is what counts, as the rows have it: what its start takes is said apart, and is the same for any
number of pictures.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from datetime import datetime, timezone
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import cv2
from pyarrow.parquet import read_table

from edge import Analyzer
from edge.archive import pipeline
from edge.archive.__main__ import PART
from edge.archive.worker import answers_key, open_analyzer
from edge.bench.turns import ratio, seconds, take_turns
from edge.cli.sources import expand

from .common import make_parser
from .throughput import PICTURES, analyze_all


def link(folder: str, count: int) -> list[str]:
    """Give the pictures of a dermoscope's size so many names in a folder; return them."""
    found = [os.path.abspath(path) for path in expand([str(PICTURES)]) if isinstance(path, str)]
    paths = []
    for number, source in enumerate(islice(cycle(sorted(found)), count)):
        paths.append(os.path.join(folder, f"{number:07d}{Path(source).suffix}"))
        os.link(source, paths[-1])
    return paths


def threads_turn(analyzer: Analyzer, paths: list[str]) -> float:
    """Return the seconds a picture of ``analyze_many``."""
    return seconds(partial(analyze_all, analyzer, paths)) / len(paths)


def pipeline_turn(paths: list[str], workers: int, starts: list[float]) -> float:
    """Return the same of a pipeline, from the first picture that is analysed to the last."""
    tasks = [pipeline.keep(paths[i : i + PART]) for i in range(0, len(paths), PART)]
    with tempfile.TemporaryDirectory() as out:
        settings = {"model": None}
        key = answers_key(open_analyzer(settings))
        begun = datetime.now(timezone.utc)
        answers = pipeline.run(tasks, workers, settings=settings, key=key, folder=out, options="")
        assert sum(map(len, answers)) == len(paths)
        times = read_table(out, columns=["analysed_at"])["analysed_at"].to_pylist()
    first, last = min(times), max(times)
    starts.append((first - begun).total_seconds())
    return float((last - first).total_seconds()) / (len(paths) - 1)


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
        print(f"{name}: {1 / statistics.median(each):.1f} pictures/s in the median")
    for text, one, other in (
        ("archive beside analyze_many, one core", "analyze_many, 1 thread", "archive, 1 worker"),
        ("archive beside analyze_many, two", "analyze_many, 2 threads", "archive, 2 workers"),
        ("archive, two workers beside one", "archive, 1 worker", "archive, 2 workers"),
    ):
        times = ratio(taken[one], taken[other])
        print(f"{text}: {times['p50']:.2f} times as many ({times['p5']} to {times['p95']})")
    print(f"a pipeline's start: {statistics.median(starts):.1f} s")


if __name__ == "__main__":
    main()
