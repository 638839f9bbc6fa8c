"""Types of command-line arguments that both commands take, for :mod:`argparse`."""

from __future__ import annotations

from argparse import ArgumentTypeError


def count(text: str) -> int:
    """Return a whole number of 1 or more.

    Raises:
        ValueError: not a whole number.
        ArgumentTypeError: below 1.

    """
    value = int(text)
    if value < 1:
        raise ArgumentTypeError("must be 1 or more")
    return value


def share(text: str) -> float:
    """Return a number from 0 to 1.

    Raises:
        ValueError: not a number.
        ArgumentTypeError: outside, or NaN.

    """
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise ArgumentTypeError("must be from 0 to 1")
    return value
