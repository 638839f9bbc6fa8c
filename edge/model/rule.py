"""How a label follows from P(positive): a threshold, and around it a band in which it isn't known.

A contract has one such rule, and may have others by name, its operating points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .reader import Reader

UNCERTAIN = "uncertain"
"""The label of what is in the band."""
_MOST = 16
_NAME_MOST = 30


@dataclass(frozen=True, slots=True)
class Rule:
    """How a label follows from P(positive), 0..1."""

    threshold: float | None
    """The label is the positive one from this probability on.  None, of more than two labels only:
    it is the most probable one."""
    uncertain: tuple[float, float] | None = None
    """Low and high: the label is ``uncertain`` where low <= P < high, whatever the threshold says.
    Of two labels only; None is no such band."""
    operating_point: str | None = None
    """Its name, if it is one of the contract's operating points."""

    def is_uncertain(self, probability: float) -> bool:
        """Return whether P(positive) lies in the band."""
        return self.uncertain is not None and self.uncertain[0] <= probability < self.uncertain[1]


def parse_rule(read: Reader, labels: Sequence[str], operating_point: str | None = None) -> Rule:
    """Return what ``threshold`` and ``uncertain`` say, or raise ModelError.

    Args:
        read: a contract, or one of its operating points.
        labels: the contract's.
        operating_point: its name, if it is one: then it has a threshold of its own.

    """
    may_lack = len(labels) > 2 and operating_point is None
    threshold = None
    if not may_lack or read.get("threshold") is not None:
        threshold = read.number("threshold", 0.0, 1.0)
    if not read.has("uncertain"):
        return Rule(threshold, None, operating_point)
    given = read.get("uncertain")
    low, high = band = read.two_numbers("uncertain", 0.0, 1.0)
    if len(labels) > 2 or threshold is None:
        raise read.refuse("uncertain", "left out where there are more than two labels", given)
    if UNCERTAIN in labels:
        raise read.refuse("uncertain", f"left out where a label is called {UNCERTAIN!r}", given)
    if not (low < high and low <= threshold <= high):
        expected = f"[low, high] with low < high, around the threshold {threshold:g}"
        raise read.refuse("uncertain", expected, given)
    return Rule(threshold, band, operating_point)


def parse_operating_points(read: Reader, labels: Sequence[str]) -> tuple[Rule, ...]:
    """Return the rules that ``operating_points`` gives names to, or raise ModelError."""
    if not read.has("operating_points"):
        return ()
    points = read.named_objects("operating_points", _MOST, _NAME_MOST)
    return tuple(parse_rule(point, labels, name) for name, point in points.items())
