"""One picture, warm, from the disk to label and boxes: side by side against one after the other.

    python -m benchmarks.one_picture [--picture FILE] [--model FILE] [--rounds N]

The settings take turns.  "bound" is what perfect overlap would take on two cores: decode, then the
longer of segmentation and resize + invoke, each as measured on one thread in the same turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import cv2

from edge import Analyzer
from edge.runtime import usable_cores

from .common import MODEL, PICTURE

SETTINGS = {
    "one thread": (1, False),
    "interpreter of two threads, nothing beside it": (2, False),
    "interpreter of one thread, segmentation beside it": (1, True),
    "interpreter of two threads, segmentation beside it": (2, True),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.one_picture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--picture", type=Path, default=PICTURE, metavar="FILE")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=200, metavar="N", help="default: 200")
    options = parser.parse_args()
    cv2.setNumThreads(1)  # as python -m edge.run does
    analyzers = {}
    for name, (threads, beside) in SETTINGS.items():
        analyzers[name] = Analyzer(options.model, threads=threads)
        analyzers[name]._beside = beside  # noqa: SLF001 - what is measured
    taken: dict[str, list[float]] = {name: [] for name in SETTINGS}
    bounds: list[float] = []
    for number in range(options.rounds + 1):
        for name, analyzer in analyzers.items():
            started = time.perf_counter()
            steps = analyzer.analyze(options.picture).timings_ms
            milliseconds = (time.perf_counter() - started) * 1e3
            if number == 0:  # the first call allocates
                continue
            taken[name].append(milliseconds)
            if SETTINGS[name] == (1, False):
                bounds.append(steps.decode + max(steps.segment, steps.resize + steps.invoke))
    bound = statistics.median(bounds)
    print(f"{options.picture.name}, {options.model.name}, {usable_cores()} cores")
    print(f"{bound:6.2f} ms  bound")
    for name, milliseconds_each in taken.items():
        median = statistics.median(milliseconds_each)
        print(f"{median:6.2f} ms  {median / bound:.2f} x the bound  {name}")


if __name__ == "__main__":
    main()
