"""Takes values out of a contract, each checked; an error says key, expected and actual value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.errors import ModelError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_TEXT = 200
_MAX_LABELS = 1000
_LINE = f"a text of 1 to {_MAX_TEXT} printable characters"
_MEND = "correct the contract, or make a model with one: python -m convert --weights FILE"


class Reader:
    """A document as JSON gives it; keys with dots go into objects.

    Every method raises a ModelError for a key that is missing or whose value is another than asked.

    Args:
        document: what is read.
        name: what to call the model file in an error.
        within: what stands before each key in an error, where the document is a part of another.

    """

    def __init__(self, document: Mapping[str, Any], name: str, within: str = "") -> None:
        self.document = document
        self.name = name
        self._within = within

    def inside(self, key: str) -> Reader:
        """Return a reader of the object that is there."""
        value = self.get(key)
        if not isinstance(value, dict):
            raise self.refuse(key, "an object", value)
        return Reader(value, self.name, f"{self._within}{key}.")

    def objects(self, key: str) -> list[Reader]:
        """Return a reader of each object of a list."""
        value = self.get(key)
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise self.refuse(key, "a list of objects", value)
        return [
            Reader(each, self.name, f"{self._within}{key}[{index}].")
            for index, each in enumerate(value)
        ]

    def named_objects(self, key: str, most: int, longest: int) -> dict[str, Reader]:
        """Return a reader of each object of an object, by name.

        Args:
            key: where they are.
            most: how many there may be; one is the least.
            longest: how many printable characters a name may have.

        """
        inside = self.inside(key)
        names = list(inside.document)
        if not 1 <= len(names) <= most or not all(
            0 < len(name) <= longest and name.isprintable() for name in names
        ):
            expected = (
                f"an object of 1 to {most} names, each of 1 to {longest} printable characters"
            )
            raise self.refuse(key, expected, names)
        objects = {}
        for name, value in inside.document.items():  # a name may have a dot: get() would part it
            if not isinstance(value, dict):
                raise inside.refuse(name, "an object", value)
            objects[name] = Reader(value, self.name, f"{self._within}{key}.{name}.")
        return objects

    def has(self, key: str) -> bool:
        """Return whether the key is there."""
        value: Any = self.document
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                return False
            value = value[part]
        return True

    def get(self, key: str) -> Any:
        """Return what is there, unchecked."""
        if not self.has(key):
            raise ModelError(f"{self.name}: its contract has no {self._within + key!r}; {_MEND}")
        value: Any = self.document
        for part in key.split("."):
            value = value[part]
        return value

    def refuse(self, key: str, expected: str, value: object) -> ModelError:
        """Return the error for a value that isn't as expected."""
        return ModelError(
            f"{self.name}: its contract's {self._within}{key} must be {expected}, is "
            f"{shown(value)}; {_MEND}"
        )

    def text(self, key: str) -> str:
        """Return a short printable text."""
        value = self.get(key)
        if not _is_line(value):
            raise self.refuse(key, _LINE, value)
        return str(value)

    def one_of(self, key: str, expected: tuple[str, ...]) -> str:
        """Return one of these texts."""
        value = self.text(key)
        if value not in expected:
            raise self.refuse(key, f"one of {', '.join(expected)}", value)
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            expected = f"a whole number from {low} to {high}" if low < high else str(low)
            raise self.refuse(key, expected, value)
        return value

    def number(self, key: str, low: float, high: float) -> float:
        """Return a number from ``low`` to ``high``."""
        value = self.get(key)
        if not _is_number(value, low, high):
            raise self.refuse(key, _numbers(low, high), value)
        return float(value)

    def two_numbers(self, key: str, low: float, high: float) -> tuple[float, float]:
        """Return two numbers, each from ``low`` to ``high``."""
        first, second = self._numbers(key, 2, "two", low, high)
        return first, second

    def three_numbers(self, key: str, low: float, high: float) -> tuple[float, float, float]:
        """Return three numbers, each from ``low`` to ``high``."""
        first, second, third = self._numbers(key, 3, "three", low, high)
        return first, second, third

    def _numbers(self, key: str, count: int, word: str, low: float, high: float) -> list[float]:
        value = self.get(key)
        if (
            not isinstance(value, list)
            or len(value) != count
            or not all(_is_number(each, low, high) for each in value)
        ):
            raise self.refuse(key, f"a list of {word} numbers, each {_numbers(low, high)}", value)
        return [float(each) for each in value]

    def different_texts(self, key: str) -> tuple[str, ...]:
        """Return two or more texts, no two the same."""
        value = self.get(key)
        texts = value if isinstance(value, list) and len(value) <= _MAX_LABELS else []
        if len(texts) < 2 or not all(map(_is_line, texts)) or len(set(texts)) < len(texts):
            expected = f"a list of two to {_MAX_LABELS} different labels, each {_LINE}"
            raise self.refuse(key, expected, value)
        return tuple(texts)


def _numbers(low: float, high: float) -> str:
    return f"a number from {low:g} to {high:g}" if low < high else f"{low:g}"


def _is_number(value: object, low: float, high: float) -> bool:
    # A comparison with NaN is false, so NaN is refused too.
    return not isinstance(value, bool) and isinstance(value, int | float) and low <= value <= high


def _is_line(value: object) -> bool:
    # It goes to terminals, logs and pictures: no line ends, no escape sequences, no surrogates.
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and value.isprintable()
