"""Count pictures a second on one thread and on several, and the memory that many take.

A folder's pictures are repeated until there are enough.  One thread and several take turns on
chunks of them, OpenCV on one thread, too.  Memory is the resident set of a process of its own that
analyses all pictures on several threads.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from edge import Analyzer
from edge.bench.turns import ratio, seconds, take_turns
from edge.cli.sources import expand
from edge.parallel import default_threads

from .common import ROOT, make_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURES = ROOT / "pictures" / "samples"
"""Of a dermoscope's size.  On thumbnails of 256 x 256, Python's own share is larger."""
EARLY = 50
"""Memory is compared with that after so many pictures."""


def resident_mb() -> float:
    """Return this process's resident set in megabytes (Linux)."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def analyze_all(analyzer: Analyzer, paths: list[str]) -> list[float]:
    """Analyse pictures and return the memory after every tenth, in megabytes."""
    memory = []
    for done, (_, result) in enumerate(analyzer.analyze_many(paths), 1):
        if isinstance(result, Exception):
            raise result
        if done % 10 == 0:
            memory.append(resident_mb())
    return memory


def watch_memory(paths: list[str], threads: int) -> None:
    """Analyse all pictures in this process and print what memory it takes."""
    cv2.setNumThreads(1)
    memory = analyze_all(Analyzer(threads=threads), paths)
    early = memory[min(EARLY // 10, len(memory)) - 1]
    print(
        f"{len(paths)} pictures in one process: {early:.1f} MB after {EARLY}, "
        f"{memory[-1]:.1f} MB at the end, {max(memory):.1f} MB at most",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = make_parser("benchmarks.throughput", __doc__)
    parser.add_argument("--pictures", type=Path, default=PICTURES, metavar="DIR")
    parser.add_argument("--count", type=int, default=1000, help="pictures (default: 1000)")
    parser.add_argument("--chunk", type=int, default=50, help="pictures a turn (default: 50)")
    parser.add_argument(
        "--threads", type=int, default=default_threads(), help="default: one a core, four at most"
    )
    options = parser.parse_args()
    found = sorted(path for path in expand([str(options.pictures)]) if isinstance(path, str))
    paths = list(islice(cycle(found), options.count))
    # Memory is that of a process that has done nothing else.
    child = multiprocessing.get_context("spawn").Process(
        target=watch_memory, args=(paths, options.threads)
    )
    child.start()
    child.join()
    cv2.setNumThreads(1)
    chunks = [paths[i : i + options.chunk] for i in range(0, len(paths), options.chunk)]

    def turn(analyzer: Analyzer, left: Iterator[list[str]]) -> float:
        chunk = next(left)
        return seconds(partial(analyze_all, analyzer, chunk)) / len(chunk)

    calls = {
        threads: partial(turn, Analyzer(threads=threads), iter([chunks[0], *chunks]))
        for threads in (1, options.threads)
    }
    taken = take_turns(calls, len(chunks))
    for threads, each in taken.items():
        print(f"{threads} threads: {1 / statistics.median(each):.1f} pictures/s in the median")
    times = ratio(taken[1], taken[options.threads])
    print(f"ratio, turn by turn: median {times['p50']:.2f} ({times['p5']} to {times['p95']})")


if __name__ == "__main__":
    main()
