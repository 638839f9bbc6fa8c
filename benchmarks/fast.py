"""What ``--fast`` changes, and what it wins: every picture of a folder, with it and without.

    python -m benchmarks.fast --pictures DIR [--model FILE]

Only JPEG files of 4 megapixels and more are touched by it; the others are counted and left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from edge import Analyzer, PictureError
from edge.sources import expand

from .common import MODEL

if TYPE_CHECKING:
    from edge import Analysis, Region


def overlap(one: Region, other: Region) -> float:
    """Return the intersection of two boxes over their union, 0..1."""
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    both = max(0, across) * max(0, down)
    return both / (one.width * one.height + other.width * other.height - both)


def timed(analyzer: Analyzer, path: str, rounds: int) -> tuple[Analysis, float]:
    """Return a picture's analysis and the median of so many, in milliseconds."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        analysis = analyzer.analyze(path)
        taken.append((time.perf_counter() - started) * 1e3)
    return analysis, statistics.median(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fast",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pictures", required=True, metavar="DIR")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    options = parser.parse_args()
    cv2.setNumThreads(1)  # as python -m edge.run does
    exact = Analyzer(options.model, threads=1)
    fast = Analyzer(options.model, threads=1, fast=True)
    overlaps, deltas, ratios = [], [], []
    flips = counts = others = 0
    for path in expand([options.pictures]):
        if isinstance(path, PictureError):
            raise path
        quick, quick_ms = timed(fast, path, options.rounds)
        if not quick.warnings or not quick.warnings[0].startswith("fast:"):
            others += 1
            continue
        whole, whole_ms = timed(exact, path, options.rounds)
        ratios.append(whole_ms / quick_ms)
        deltas.append(abs(whole.probability - quick.probability))
        flips += whole.label != quick.label
        counts += len(whole.regions) != len(quick.regions)
        if whole.regions:
            best = (overlap(whole.regions[0], region) for region in quick.regions)
            overlaps.append(max(best, default=0.0))
    print(f"{len(ratios)} pictures of 4 megapixels and more, {others} others left as they are")
    if not ratios:
        return
    print(f"time: {statistics.median(ratios):.2f} times as fast in the median")
    print(f"probability: |Δp| mean {statistics.mean(deltas):.2g}, max {max(deltas):.2g}")
    print(f"label: {flips} of {len(ratios)} differ")
    if overlaps:
        mean, least = statistics.mean(overlaps), min(overlaps)
        print(f"largest region's box: IoU mean {mean:.4f}, least {least:.4f}")
    print(f"number of regions: {counts} of {len(ratios)} differ")


if __name__ == "__main__":
    main()
