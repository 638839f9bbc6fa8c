"""A model's labels and its rule in words, for two labels, seven or a thousand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.model.rule import UNCERTAIN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.model.contract import Contract
    from edge.model.rule import Rule


def name_some(labels: Sequence[str], most: int) -> str:
    """Return up to ``most`` labels in a row, and how many other labels there are."""
    rest = len(labels) - most
    named = ", ".join(labels[:most])
    return f"{named} and {rest} other label{'s' if rest > 1 else ''}" if rest > 0 else named


def describe_rule(contract: Contract, rule: Rule, form: str = "{}") -> str:
    """Return how a label is chosen: "malignant from 0.31 on", or without a threshold.

    Args:
        contract: the model's.
        rule: the one in use.
        form: how a probability is written, for :meth:`str.format`.

    """
    if rule.threshold is None:
        return "no threshold: the most probable label"
    told = f"{contract.positive} from {form.format(rule.threshold)} on"
    if rule.uncertain is not None:
        low, high = map(form.format, rule.uncertain)
        told = f"{UNCERTAIN} from {low} on, {contract.positive} from {high} on"
    elif len(contract.labels) > 2:
        told += ", else the most probable other label"
    return f"{told} ({rule.operating_point})" if rule.operating_point else told


def seen(contract: Contract, rule: Rule, counts: Mapping[str, int]) -> list[str]:
    """Return the labels to count: the positive one, then the others, the most frequent first.

    Of more than two labels only those others that occur; last what is uncertain, where it can be.
    """
    others = [label for label in contract.labels if label != contract.positive]
    if len(others) > 1:
        others = [label for label in others if counts[label]]
    others.sort(key=lambda label: -counts[label])
    uncertain = [UNCERTAIN] if contract.may_be_uncertain(rule) else []
    return [contract.positive, *others, *uncertain]
