"""Rules for the settings of a layer: each lets a plain value through, or says what it should be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Rule = Callable[[Any], Any]
    """Returns the value as it may go on, or raises a ValueError that says what it should be."""

MAX_SIDE = 4096
"""Of an input, a window, a step, a picture after Resizing."""
_MAX_NUMBERS = 4096


def whole(low: int, high: int) -> Rule:
    """Return a rule for a whole number."""

    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return check


def number(low: float = -3e38, high: float = 3e38) -> Rule:
    """Return a rule for a finite number."""

    def check(value: Any) -> float:
        if type(value) not in (int, float) or not low <= value <= high:
            raise ValueError(f"a number from {low:g} to {high:g}")
        return float(value)

    return check


def one_of(*values: object) -> Rule:
    """Return a rule for one of some values, of the same type."""

    def check(value: Any) -> object:
        for known in values:
            if type(value) is type(known) and value == known:
                return known
        raise ValueError(" or ".join(map(repr, values)))

    return check


def maybe(rule: Rule) -> Rule:
    """Return a rule that lets None through, too."""
    return lambda value: None if value is None else rule(value)


def pair(rule: Rule) -> Rule:
    """Return a rule for one value, or for two in a list."""

    def check(value: Any) -> Any:
        if not isinstance(value, list):
            return rule(value)
        if len(value) != 2:
            raise ValueError("one value or two")
        return tuple(map(rule, value))

    return check


def some(rule: Rule, most: int = 8) -> Rule:
    """Return a rule for a list of 1 to ``most`` values."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise ValueError(f"a list of 1 to {most} values")
        return tuple(map(rule, value))

    return check


def numbers(value: Any) -> Any:
    """Let through a finite number, or lists of them in lists; also as Keras writes an array."""
    value = _array(value).get("value") if isinstance(value, dict) else value
    _count(value, 4)
    return value


def operand(value: Any) -> Any:
    """Let through a finite number, or an array of float32."""
    if not isinstance(value, dict):
        return number()(value)
    config = _array(value)
    if config.get("dtype") != "float32":
        raise ValueError("an array of float32")
    _count(config.get("value"), 4)
    return np.asarray(config["value"], np.float32)


def _array(value: dict[str, Any]) -> dict[str, Any]:
    config = value.get("config")
    known = value.get("class_name") in ("__numpy__", "__tensor__")
    return config if known and isinstance(config, dict) else {}


def _count(value: Any, depth: int) -> int:
    if type(value) in (int, float) and abs(value) <= 3e38 and math.isfinite(value):
        return 1
    if isinstance(value, list) and depth and 0 < len(value) <= _MAX_NUMBERS:
        count = sum(_count(each, depth - 1) for each in value)
        if count <= _MAX_NUMBERS:
            return count
    raise ValueError("numbers")


def axis(value: Any) -> int:
    """Let through the channels' axis; Keras 2 wrote it as a list."""
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    return int(whole(-1, 3)(value))


def axes(value: Any) -> int | tuple[int, ...]:
    """Let through one axis or several, of a LayerNormalization."""
    found: tuple[int, ...] = some(whole(-3, 3))(value if isinstance(value, list) else [value])
    return found[0] if len(found) == 1 else found


def input_shape(value: Any) -> tuple[int | None, ...]:
    """Let through a batch and one to three sizes; return them without the batch."""
    if not isinstance(value, list) or not 2 <= len(value) <= 4:
        raise ValueError("a batch and one to three sizes")
    *sides, last = (maybe(whole(1, 1 << 26))(size) for size in value[1:])
    if any(side is not None and side > MAX_SIDE for side in sides):
        raise ValueError(f"sides of at most {MAX_SIDE}")
    return (*sides, last)


def statistics_axis(value: Any) -> int | None:
    """Let through -1, the channels' axis, or None: one number for all."""
    if value in (-1, 3, [-1], [3]):
        return -1
    if value in (None, [], [None]):
        return None
    raise ValueError("-1 or None")
