"""What the project aims at, as ratios, and what a stored result says of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .names import (
    COMPACT,
    CUT,
    DENSE,
    FORMS,
    MAIN,
    PLAIN,
    PLAIN_UNCOMPACTED,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Aim:
    """One ratio that is aimed at, and what was measured."""

    text: str
    wanted: float
    measured: float | None
    """The median of the turns' ratios; None where the other side could not be measured."""
    spread: tuple[float, float] | None = None
    """Its 5th and 95th percentile."""
    against: str = ""
    """What ours was compared with."""

    @property
    def verdict(self) -> str:
        """Return ``met``, ``not met`` or ``not measured``."""
        if self.measured is None:
            return "not measured"
        return "met" if self.measured >= self.wanted else "not met"


def aims(result: Result, threads: str = MAIN) -> list[Aim]:
    """Return every aim; all from one interleaved run with so many threads."""
    session = result["threads"].get(threads, {"sets": {}, "whole": {"notebook_times_ours": {}}})
    dense = session["sets"].get(DENSE, {})
    shipped = session["sets"].get(COMPACT, {})
    plain, kept = dense.get(PLAIN), shipped.get(PLAIN_UNCOMPACTED)
    warm = session["whole"]["notebook_times_ours"].get(COMPACT)
    cold = result["cold"]["notebook_times_ours"].get(COMPACT)
    return [
        _route("dense: plain int8, same interpreter", 1.3, plain, PLAIN),
        _best("dense: best peer", 1.25, session, [DENSE]),
        _route("shipped: plain int8 of the same model.h5", 3.5, kept, PLAIN_UNCOMPACTED),
        _best("shipped: best peer, its best form", 1.25, session, [COMPACT, *CUT]),
        _ratio("whole picture, warm: the notebook's way", 10, warm, "Keras, model.predict"),
        _ratio("whole picture, cold: the notebook's way", 20, cold, "process start to answer"),
    ]


def timed(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the routes that were timed, without those that are missing or were refused."""
    return {key: entry for key, entry in entries.items() if "ms" in entry}


def best_peer(session: Result, sets: Sequence[str]) -> tuple[str, str, Mapping[str, Any]] | None:
    """Return the set, the name and the entry of the fastest route that isn't ours."""
    peers = [
        (name, key, entry)
        for name in sets
        for key, entry in timed(session["sets"].get(name, {})).items()
        if not entry["ours"]
    ]
    return min(peers, key=lambda found: found[2]["times_ours"]["p50"], default=None)


def _best(text: str, wanted: float, session: Result, sets: Sequence[str]) -> Aim:
    found = best_peer(session, sets)
    if found is None:
        return Aim(text, wanted, None)
    name, key, entry = found
    return _route(text, wanted, entry, f"{key} ({FORMS[name]})")


def _route(text: str, wanted: float, entry: Mapping[str, Any] | None, against: str) -> Aim:
    return _ratio(text, wanted, (entry or {}).get("times_ours"), against)


def _ratio(text: str, wanted: float, ratio: Mapping[str, float] | None, against: str) -> Aim:
    if ratio is None:
        return Aim(text, wanted, None, None, against)
    return Aim(text, wanted, ratio["p50"], (ratio["p5"], ratio["p95"]), against)
