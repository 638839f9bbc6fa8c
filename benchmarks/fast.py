"""Compare ``--fast`` with the whole decoding on each picture of a folder: time and answers.

Only JPEG files of 4 megapixels and more are touched by it; the others are counted and left out.
"""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2

from edge import Analyzer, PictureError
from edge.bench.turns import take_turns
from edge.cli.sources import expand

from .common import MODEL, make_parser

if TYPE_CHECKING:
    from edge import Region


def overlap(one: Region, other: Region) -> float:
    """Return the intersection of two boxes over their union, 0..1."""
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    both = max(0, across) * max(0, down)
    return both / (one.width * one.height + other.width * other.height - both)


def main() -> None:
    """Measure and print."""
    parser = make_parser("benchmarks.fast", __doc__)
    parser.add_argument("--pictures", required=True, metavar="DIR")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default: 5")
    options = parser.parse_args()
    cv2.setNumThreads(1)  # as python -m edge.run does
    whole = Analyzer(options.model, threads=1)
    fast = Analyzer(options.model, threads=1, fast=True)
    overlaps, deltas, ratios = [], [], []
    flips = counts = others = 0
    for path in expand([options.pictures]):
        if isinstance(path, PictureError):
            raise path
        quick = fast.analyze(path)
        if not any(warning.startswith("fast:") for warning in quick.warnings):
            others += 1
            continue
        exact = whole.analyze(path)
        taken = take_turns(
            {"whole": partial(whole.analyze, path), "fast": partial(fast.analyze, path)},
            options.rounds,
        )
        whole_ms, quick_ms = (
            statistics.median(analysis.timings_ms.total for analysis in taken[name])
            for name in ("whole", "fast")
        )
        ratios.append(whole_ms / quick_ms)
        deltas.append(abs(exact.probability - quick.probability))
        flips += exact.label != quick.label
        counts += len(exact.regions) != len(quick.regions)
        if exact.regions:
            best = (overlap(exact.regions[0], region) for region in quick.regions)
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
