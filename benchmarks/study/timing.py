"""Check each runtime's answers against Keras', then time their invokes in turns."""

from __future__ import annotations

import time
from functools import partial
from itertools import chain, cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.bench.turns import ratio, seconds, summary, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
    from typing import TypeVar

    from numpy.typing import NDArray

    from .peers import Route

    Images = Sequence[NDArray[np.uint8]]
    Name = TypeVar("Name", bound=Hashable)
    Turns = Sequence[Sequence[float]]

MAX_DELTA = 0.05
"""A peer that is further than this from Keras' probability on any picture is not timed."""
INVOKES = 6
"""In a turn.  The first finds the caches full of another route's data, as on a device that segments
a picture between two invokes; it is counted apart."""
_SETTLE_S = 0.02
"""Before a turn with several threads: idle threads of the pool before spin for a while, on the
cores that the next route needs.  Without it our median with two threads is 1.6 times as long."""


class WrongAnswerError(Exception):
    """The peer answers something else than Keras, so its speed says nothing."""


def answers(route: Route, images: Images) -> list[float]:
    """Return a route's probability for each picture."""
    found = []
    for image in images:
        route.load(image)
        found.append(route.invoke())
    return found


def check_answers(found: Sequence[float], expected: Sequence[float]) -> float:
    """Return the largest |Δp| of a peer's answers from Keras'.

    Raises:
        WrongAnswerError: it is over :data:`MAX_DELTA`, or one is no number.

    """
    largest = float(np.abs(np.subtract(found, expected)).max())
    if not largest <= MAX_DELTA:  # so that NaN is refused
        raise WrongAnswerError(f"its probability is off by {largest:.3g}, over {MAX_DELTA}")
    return largest


def time_routes(
    routes: Mapping[Name, Route],
    images: Images,
    rounds: int,
    threads: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, list[list[float]]]:
    """Let each route take a turn of several invokes on each picture, timed by a clock.

    Returns:
        Each route's timings in seconds, by turn; a turn's first is its first invoke.

    """
    settle_s = 0.0 if threads == 1 else _SETTLE_S
    calls = {
        name: partial(_turn, route, chain([images[-1]], cycle(images)), settle_s, clock)
        for name, route in routes.items()
    }
    return take_turns(calls, rounds)


def _turn(
    route: Route,
    images: Iterator[NDArray[np.uint8]],
    settle_s: float,
    clock: Callable[[], float],
) -> list[float]:
    route.load(next(images))
    time.sleep(settle_s)
    return [seconds(route.invoke, clock) for _ in range(INVOKES)]


def figures(turns: Turns, ours: Turns) -> dict[str, Any]:
    """Return a route's figures: first invokes, all others, and how many times ours they take."""
    later = [turn[1:] for turn in turns]
    return {
        "first_ms": summary([turn[0] for turn in turns]),
        "ms": summary([each for turn in later for each in turn]),
        "times_ours": ratio(later, [turn[1:] for turn in ours]),
        "first_times_ours": ratio([turn[0] for turn in turns], [turn[0] for turn in ours]),
    }
