"""Let several calls take turns, and sum their timings up in percentiles and ratios.

The machine's speed drifts: what is compared is measured in the same rounds, and a ratio is that of
timings taken next to each other.
"""

from __future__ import annotations

import math
import random
import time
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from edge.cli.terminal import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    Name = TypeVar("Name", bound=Hashable)
    Result = TypeVar("Result")

PERCENTS = (50, 95, 99)
_SEED = 20260101


def take_turns(
    calls: Mapping[Name, Callable[[], Result]], rounds: int, most_s: float = math.inf
) -> dict[Name, list[Result]]:
    """Call all of them in each round, in an order drawn anew, and return their results.

    One round more is made before and left out: first calls allocate and fill caches.

    Args:
        calls: by name.
        rounds: how often each is called.
        most_s: after so many seconds no further round begins, but for the second.

    Returns:
        By name, what each round's call returned.

    """
    draw = random.Random(_SEED)  # noqa: S311 - an order, no secret
    progress = Progress("rounds:", rounds)
    results: dict[Name, list[Result]] = {name: [] for name in calls}
    names = list(calls)
    until = time.perf_counter() + most_s
    for number in range(rounds + 1):
        draw.shuffle(names)
        for name in names:
            result = calls[name]()
            if number:
                results[name].append(result)
        progress.update(number)
        if number and time.perf_counter() > until:
            break
    progress.clear()
    return results


def seconds(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return how long a call takes by a clock."""
    started = clock()
    call()
    return clock() - started


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return how many timings there are, and their percentiles and minimum, in milliseconds.

    No outlier is left out.
    """
    milliseconds = np.asarray(seconds, np.float64) * 1e3
    figures = {f"p{p}": _short(np.percentile(milliseconds, p)) for p in PERCENTS}
    return {"n": len(milliseconds), "min": _short(milliseconds.min()), **figures}


def ratio(
    others: Sequence[float | Sequence[float]], ours: Sequence[float | Sequence[float]]
) -> dict[str, float]:
    """Return how many times our time another call takes: the 5th, 50th and 95th percentile.

    Each round gives one ratio, of the medians of its timings, so that what slows the machine for a
    while slows both sides of it.

    Args:
        others: timings of the other call, by round: one number, or several.
        ours: of ours, by the same rounds.

    """
    pairs = zip(others, ours, strict=True)
    ratios = [float(np.median(other) / np.median(own)) for other, own in pairs]
    return {f"p{p}": _short(np.percentile(ratios, p)) for p in (5, 50, 95)}


def _short(value: float) -> float:
    return round(float(value), 4)
