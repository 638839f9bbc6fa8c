"""A model's labels and its rule in words, for two labels, seven or a thousand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.model.contract import Contract


def name_some(labels: Sequence[str], most: int) -> str:
    """Return up to ``most`` labels in a row, and how many other labels there are."""
    rest = len(labels) - most
    named = ", ".join(labels[:most])
    return f"{named} and {rest} other label{'s' if rest > 1 else ''}" if rest > 0 else named


def describe_rule(contract: Contract, threshold: float | None, form: str = "{}") -> str:
    """Return how a label is chosen: "malignant from 0.31 on", or without a threshold.

    Args:
        contract: the model's.
        threshold: the one in use.
        form: how it is written, for :meth:`str.format`.

    """
    if threshold is None:
        return "no threshold: the most probable label"
    rule = f"{contract.positive} from {form.format(threshold)} on"
    return rule if len(contract.labels) == 2 else f"{rule}, else the most probable other label"


def seen(contract: Contract, counts: Mapping[str, int]) -> list[str]:
    """Return the labels to count: the positive one, then the others, the most frequent first.

    Of more than two labels only those others that occur.
    """
    others = [label for label in contract.labels if label != contract.positive]
    if len(others) > 1:
        others = [label for label in others if counts[label]]
    return [contract.positive, *sorted(others, key=lambda label: -counts[label])]
