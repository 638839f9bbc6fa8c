"""Percentiles of timings: all of them, no outlier left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

PERCENTS = (50, 95, 99)


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return how many timings there are, and their percentiles and minimum, in milliseconds."""
    milliseconds = np.asarray(seconds, np.float64) * 1e3
    figures = {f"p{p}": _short(np.percentile(milliseconds, p)) for p in PERCENTS}
    return {"n": len(milliseconds), "min": _short(milliseconds.min()), **figures}


def ratio(others: Sequence[Sequence[float]], ours: Sequence[Sequence[float]]) -> dict[str, float]:
    """Return how many times our time another route takes.

    Each turn on each picture gives one ratio, of the medians of its timings, so that what slows
    the machine for a while slows both sides of it.

    Args:
        others: timings of the other route, by turn.
        ours: of ours, by the same turns.

    """
    pairs = zip(others, ours, strict=True)
    ratios = [float(np.median(other) / np.median(own)) for other, own in pairs]
    return {f"p{p}": _short(np.percentile(ratios, p)) for p in (5, 50, 95)}


def _short(value: float) -> float:
    return round(float(value), 4)
