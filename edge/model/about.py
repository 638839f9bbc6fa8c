"""What a contract says for people: under which licence a model is, and how good its answers are.

No answer depends on it, and so nothing reads it but what shows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

_MANY = 10**9


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well a model tells the positive label's pictures from others, on one labelled set."""

    set: str
    pictures: int
    positives: int
    auc: float
    """Area under the ROC curve, 0..1; 0.5 is a coin."""
    low: float
    high: float
    """The ends of its 95 % interval."""


@dataclass(frozen=True, slots=True)
class About:
    """A model's licence and figures."""

    licence: str | None
    """None where the contract doesn't say."""
    evaluation: tuple[Evaluation, ...]


def parse_about(document: Mapping[str, Any], name: str) -> About:
    """Check and return ``licence`` and ``evaluation`` of a contract, which may both be absent.

    Args:
        document: the whole contract.
        name: what to call the model file in an error.

    Raises:
        ModelError: one of them has a value that makes no sense; the message names the key.

    """
    read = Reader(document, name)
    return About(
        licence=read.text("licence") if read.has("licence") else None,
        evaluation=tuple(map(_parse_set, read.objects("evaluation")))
        if read.has("evaluation")
        else (),
    )


def _parse_set(read: Reader) -> Evaluation:
    pictures = read.integer("pictures", 2, _MANY)
    auc = read.number("auc", 0.0, 1.0)
    return Evaluation(
        set=read.text("set"),
        pictures=pictures,
        positives=read.integer("positives", 1, pictures - 1),
        auc=auc,
        low=read.number("low", 0.0, auc),
        high=read.number("high", auc, 1.0),
    )
