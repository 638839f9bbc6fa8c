"""Time one picture, warm, from the disk to label and boxes: steps beside or after each other.

"bound" is what perfect overlap would take on two cores: decode, then the longer of segmentation
and resize + invoke, each as measured on one thread in the same rounds.
"""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path

import cv2

from edge import Analyzer
from edge.bench.turns import take_turns

from .common import MODEL, PICTURE, make_parser

SETTINGS = {
    "one thread": (1, False),
    "interpreter of two threads, nothing beside it": (2, False),
    "interpreter of one thread, segmentation beside it": (1, True),
    "interpreter of two threads, segmentation beside it": (2, True),
}


def main() -> None:
    """Measure and print."""
    parser = make_parser("benchmarks.one_picture", __doc__)
    parser.add_argument("--picture", type=Path, default=PICTURE, metavar="FILE")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="FILE")
    parser.add_argument("--rounds", type=int, default=200, metavar="N", help="default: 200")
    options = parser.parse_args()
    cv2.setNumThreads(1)  # as python -m edge.run does
    calls = {}
    for name, (threads, beside) in SETTINGS.items():
        analyzer = Analyzer(options.model, threads=threads)
        analyzer._beside = beside  # noqa: SLF001 - what is measured
        calls[name] = partial(analyzer.analyze, options.picture)
    analyses = take_turns(calls, options.rounds)
    alone = (analysis.timings_ms for analysis in analyses["one thread"])
    bound = statistics.median(
        each.decode + max(each.segment, each.resize + each.invoke) for each in alone
    )
    print(f"{options.picture.name}, {options.model.name}\n{bound:6.2f} ms  bound")
    for name, found in analyses.items():
        median = statistics.median(analysis.timings_ms.total for analysis in found)
        print(f"{median:6.2f} ms  {median / bound:.2f} x the bound  {name}")


if __name__ == "__main__":
    main()
