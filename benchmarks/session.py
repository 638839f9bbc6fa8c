"""One process that times every route in turns: ``python -m benchmarks.session FOLDER THREADS ...``.

On each picture every route takes a turn, in an order drawn anew; a turn is several invokes, of
which the first is counted apart: it finds the caches full of another route's data, as a device
does that segments a picture between two invokes.  Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import floor, whole
from .names import COMPACT, CUT, PLAIN, PLAIN_UNCOMPACTED, REWRITTEN
from .peers import PEERS, WrongAnswerError, check_answers, keras_peer, reason
from .percentiles import ratio, summary
from .prepare import PICTURES, SETS, UNCOMPACTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .peers import Peer, Route

    Images = Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
    Turns = dict[str, list[list[float]]]

_SEED = 20260101
PEAK = "peak"
_SETTLE_S = 0.02
"""Before a turn with several threads: idle threads of the pool before spin for a while, on the
cores that the next route needs.  Without it our median with two threads is 1.6 times as long."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.session", description=__doc__)
    parser.add_argument("folder", type=Path, help="made by benchmarks.prepare")
    parser.add_argument("threads", type=int)
    parser.add_argument("rounds", type=int, help="turns of each route")
    parser.add_argument("invokes", type=int, help="invokes in a turn, besides the first")
    parser.add_argument("weights", type=Path, help="a model.h5 for the notebook")
    options = parser.parse_args()
    keras_peer.set_threads(options.threads)
    json.dump(_measure(options), sys.stdout)


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    sets = {}
    peak = floor.load(options.folder, options.threads)
    routes: dict[str, Route] = {PEAK: peak}
    images: dict[str, Images] = {}
    for name, made in json.loads((options.folder / SETS).read_text()).items():
        folder = options.folder / name
        pictures = np.load(folder / PICTURES)
        opened, sets[name] = _open_all(name, folder, made, pictures, options.threads)
        for key, route in opened.items():
            routes[f"{name}/{key}"] = route
            images[f"{name}/{key}"] = pictures
    images[PEAK] = pictures
    settle_s = 0.0 if options.threads == 1 else _SETTLE_S
    turns = take_turns(routes, images, options.rounds, options.invokes, settle_s)
    for name, entries in sets.items():
        # Ours takes the picture whole, and leaves out by itself what gathering leaves out.
        ours = turns[f"{COMPACT if name in CUT else name}/{REWRITTEN}"]
        for key, entry in entries.items():
            if f"{name}/{key}" in turns:
                entry.update(figures(turns[f"{name}/{key}"], ours))
    warm = whole.warm(options.folder, options.weights, options.threads, options.rounds)
    return {"sets": sets, "peak": figures(turns[PEAK], turns[PEAK]), "whole": warm}


def _open_all(
    set_name: str, folder: Path, made: dict[str, Any], images: Images, threads: int
) -> tuple[dict[str, Route], dict[str, Any]]:
    """Open every peer on one set of weights and check its answers on all pictures."""
    candidates = [
        (peer.name, peer, folder) for peer in PEERS if not (peer.ours and set_name in CUT)
    ]
    if "multiply_adds_uncompacted" in made:
        plain = next(peer for peer in PEERS if peer.name == PLAIN)
        candidates.append((PLAIN_UNCOMPACTED, plain, folder / UNCOMPACTED))
    routes, entries = {}, {}
    for name, peer, path in candidates:
        if name in made["missing"]:
            entries[name] = {"missing": made["missing"][name]}
            continue
        try:
            route, delta = open_checked(peer, path, threads, images, made["expected"])
        except WrongAnswerError as error:
            entries[name] = {"refused": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever it is, the others can be timed
            entries[name] = {"missing": reason(error)}
        else:
            routes[name] = route
            entries[name] = {"max_delta": delta, "setup": peer.setup, "ours": peer.ours}
            entries[name]["versions"] = peer.versions()
    return routes, entries


def open_checked(
    peer: Peer, folder: Path, threads: int, images: Images, expected: Sequence[float]
) -> tuple[Route, float]:
    """Open a peer and return its route and its largest |Δp| over the pictures.

    Raises:
        WrongAnswerError: it answers something else than Keras.

    """
    route = peer.open(folder, threads)
    answers = []
    for image in images:
        route.load(image)
        answers.append(route.invoke())
    return route, check_answers(peer.name, answers, expected)


def take_turns(
    routes: Mapping[str, Route],
    images: Mapping[str, Images],
    rounds: int,
    invokes: int,
    settle_s: float = 0.0,
) -> Turns:
    """Return each route's timings in seconds, by turn; a turn's first is its first invoke.

    Args:
        routes: by name.
        images: each route's pictures; all have equally many.
        rounds: how many turns each route takes.
        invokes: timed besides the first.
        settle_s: how long nothing is done before a turn.

    """
    order = random.Random(_SEED)  # noqa: S311 - not a secret
    turns: Turns = {name: [] for name in routes}
    for number in range(rounds):
        names = list(routes)
        order.shuffle(names)
        for name in names:
            pictures = images[name]
            routes[name].load(pictures[number % len(pictures)])
            time.sleep(settle_s)
            turns[name].append(_turn(routes[name], invokes + 1))
    return turns


def _turn(route: Route, count: int) -> list[float]:
    timed = getattr(route, "timed", None)
    if timed is not None:  # a worker times itself
        seconds: list[float] = timed(count)[1]
        return seconds
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        route.invoke()
        taken.append(time.perf_counter() - started)
    return taken


def figures(turns: list[list[float]], ours: list[list[float]]) -> dict[str, Any]:
    """Return a route's figures: first invokes, all others, and how many times ours they take."""
    later = [turn[1:] for turn in turns]
    return {
        "first_ms": summary([turn[0] for turn in turns]),
        "ms": summary([each for turn in later for each in turn]),
        "times_ours": ratio(later, [turn[1:] for turn in ours]),
        "first_times_ours": ratio([turn[:1] for turn in turns], [turn[:1] for turn in ours]),
    }


if __name__ == "__main__":
    main()
