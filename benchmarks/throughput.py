"""Many pictures: pictures a second on one thread and on several, and memory.

    python -m benchmarks.throughput [--pictures DIR] [--count 1000]

Links to the pictures are repeated in a temporary folder until there are enough.  One thread, with
OpenCV on one thread too, and several take turns on the same pictures, chunk by chunk, so that
whatever else the machine does meets both.  Memory is the resident set of a process of its own that
analyses all pictures on several threads.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import cv2

from edge import Analyzer
from edge.runtime import default_threads
from edge.sources import expand

from .common import ROOT

PICTURES = ROOT / "pictures" / "samples"
"""Of a dermoscope's size.  On thumbnails of 256 x 256, Python's own share is larger."""
EARLY = 50
"""Memory is compared with that after so many pictures."""


def resident_mb() -> float:
    """Return this process's resident set in megabytes (Linux)."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def link(pictures: Path, count: int, folder: Path) -> None:
    """Fill ``folder`` with ``count`` links to the pictures below another folder, in turn."""
    found = sorted(path for path in expand([str(pictures)]) if isinstance(path, str))
    for number, path in enumerate(islice(cycle(found), count)):
        (folder / f"{number:06}{Path(path).suffix}").symlink_to(Path(path).resolve())


def timed(analyzer: Analyzer, paths: list[str]) -> float:
    """Return pictures a second, the start of the threads included."""
    started = time.perf_counter()
    for _, result in analyzer.analyze_many(paths):
        if isinstance(result, Exception):
            raise result
    return len(paths) / (time.perf_counter() - started)


def watch_memory(paths: list[str], threads: int) -> None:
    """Analyse all pictures in this process and print what memory it takes."""
    cv2.setNumThreads(1)
    early = peak = 0.0
    for done, (_, result) in enumerate(Analyzer(threads=threads).analyze_many(paths), 1):
        if isinstance(result, Exception):
            raise result
        if done == min(EARLY, len(paths)):
            early = resident_mb()
        if done % 10 == 0:
            peak = max(peak, resident_mb())
    print(
        f"{len(paths)} pictures in one process: {early:.1f} MB after {EARLY}, "
        f"{resident_mb():.1f} MB at the end, {peak:.1f} MB at most",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pictures", type=Path, default=PICTURES, metavar="DIR")
    parser.add_argument("--count", type=int, default=1000, help="pictures (default: 1000)")
    parser.add_argument("--chunk", type=int, default=50, help="pictures a turn (default: 50)")
    parser.add_argument(
        "--threads", type=int, default=default_threads(), help="default: one a core, four at most"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        link(options.pictures, options.count, Path(name))
        paths = sorted(map(str, Path(name).iterdir()))
        # Memory is that of a process that has done nothing else.
        child = multiprocessing.get_context("spawn").Process(
            target=watch_memory, args=(paths, options.threads)
        )
        child.start()
        child.join()
        cv2.setNumThreads(1)
        analyzers = {threads: Analyzer(threads=threads) for threads in (1, options.threads)}
        speeds: dict[int, list[float]] = {threads: [] for threads in analyzers}
        for analyzer in analyzers.values():
            timed(analyzer, paths[: options.chunk])  # files and code into the caches
        for start in range(0, len(paths), options.chunk):
            for threads, analyzer in analyzers.items():
                speeds[threads].append(timed(analyzer, paths[start : start + options.chunk]))
    for threads, found in speeds.items():
        print(
            f"{threads} thread{'s' if threads > 1 else ''}: {statistics.median(found):.1f} "
            f"pictures/s (median of {len(found)} turns)"
        )
    ratios = sorted(many / one for one, many in zip(*speeds.values(), strict=True))
    print(
        f"ratio, turn by turn: median {statistics.median(ratios):.2f}, "
        f"best {ratios[-1]:.2f}, worst {ratios[0]:.2f}"
    )


if __name__ == "__main__":
    main()
