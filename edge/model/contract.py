"""What a model expects and what its answer means, as read from the model's own file.

Nothing of it is known to the runtime beforehand: size, channel order, interpolation, number
encoding, labels and threshold all come from ``model.json``, and what this version can't honour
is refused.  The JSON's keys are described in ``models/MODEL_CARD.md``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.errors import ModelError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = 1
"""The newest version of the contract's form that this code reads."""

_ENCODINGS = {
    # A byte b as the tensor holds it: value = scale * (element - zero_point) = b, exactly.
    ("uint8", 1.0, 0): 0x00,
    ("int8", 1.0, -128): 0x80,
}
_MAX_TEXT = 200
_LINE = f"a text of 1 to {_MAX_TEXT} printable characters"
_MEND = "correct the contract, or make a model with one: python -m convert --weights FILE"
_INTERPOLATIONS = ("nearest", "linear", "cubic", "area")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The tensor that takes the picture: (1, height, width, 3), raw bytes 0..255 in BGR order."""

    size_wh: tuple[int, int]
    interpolation: str
    """The name of OpenCV's interpolation to resize with: nearest, linear, cubic or area."""
    dtype: str
    """``uint8`` or ``int8``."""
    byte_mask: int
    """What each byte is XORed with to become an element: 0x00 for uint8, 0x80 for int8."""


@dataclass(frozen=True, slots=True)
class Contract:
    """A model's contract, checked.  The output is P(labels[1]), float32, shape (1, 1)."""

    name: str
    variant: str
    """float32, float16, dynamic or int8."""
    sha256: str
    """SHA-256 of the flatbuffer, hexadecimal."""
    input: InputSpec
    labels: tuple[str, str]
    threshold: float
    """The label is ``labels[1]`` where the probability is at least this, else ``labels[0]``."""

    def identity(self) -> dict[str, str]:
        """Return what a result says of the model that gave it: name, variant, SHA-256."""
        return {"name": self.name, "variant": self.variant, "sha256": self.sha256}

    def label(self, probability: float, threshold: float | None = None) -> str:
        """Return the label that the decision rule gives."""
        limit = self.threshold if threshold is None else threshold
        return self.labels[1] if probability >= limit else self.labels[0]


def parse_contract(document: Mapping[str, Any], name: str) -> Contract:
    """Check a contract and return it.

    Args:
        document: the parsed ``model.json``.
        name: what to call the model file in an error.

    Raises:
        ModelError: a newer schema, or a key that is missing or has a value that this runtime
            can't honour; the message names the key, the expected and the actual value.

    """
    schema = document.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise ModelError(
            f"{name}: its contract has schema {shown(schema)}, this version reads up to {SCHEMA}; "
            "install a newer lesion-edge"
        )
    read = _Reader(document, name)
    read.equal("schema", SCHEMA)
    read.equal("input.channel_order", "BGR")
    read.equal("output.dtype", "float32")
    encoding = (
        read.one_of("input.dtype", ("uint8", "int8")),
        read.number("input.scale", 0.0, sys.float_info.max),
        read.integer("input.zero_point", -128, 127),
    )
    if encoding not in _ENCODINGS:
        raise ModelError(
            f"{name}: its contract's input encoding (dtype, scale, zero_point) is {encoding}; "
            f"this runtime feeds raw bytes only: {' or '.join(map(str, _ENCODINGS))}; {_MEND}"
        )
    size_wh = (read.integer("input.width", 1, 4096), read.integer("input.height", 1, 4096))
    return Contract(
        name=read.text("name"),
        variant=read.text("variant"),
        sha256=read.text("flatbuffer.sha256"),
        input=InputSpec(
            size_wh=size_wh,
            interpolation=read.one_of("input.interpolation", _INTERPOLATIONS),
            dtype=encoding[0],
            byte_mask=_ENCODINGS[encoding],
        ),
        labels=read.two_texts("labels"),
        threshold=read.number("threshold", 0.0, 1.0),
    )


class _Reader:
    """Takes values out of the document, each checked; keys with dots go into objects."""

    def __init__(self, document: Mapping[str, Any], name: str) -> None:
        self.document = document
        self.name = name

    def _get(self, key: str) -> Any:
        value: Any = self.document
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                raise ModelError(f"{self.name}: its contract has no {key!r}; {_MEND}")
            value = value[part]
        return value

    def _refuse(self, key: str, expected: str, value: object) -> ModelError:
        return ModelError(
            f"{self.name}: its contract's {key} must be {expected}, is {shown(value)}; {_MEND}"
        )

    def equal(self, key: str, expected: object) -> None:
        value = self._get(key)
        if type(value) is not type(expected) or value != expected:
            raise self._refuse(key, repr(expected), value)

    def text(self, key: str) -> str:
        value = self._get(key)
        if not _is_line(value):
            raise self._refuse(key, _LINE, value)
        return str(value)

    def one_of(self, key: str, expected: tuple[str, ...]) -> str:
        value = self.text(key)
        if value not in expected:
            raise self._refuse(key, f"one of {', '.join(expected)}", value)
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._refuse(key, f"a whole number from {low} to {high}", value)
        return value

    def number(self, key: str, low: float, high: float) -> float:
        value = self._get(key)
        # A comparison with NaN is false, so NaN is refused too.
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise self._refuse(key, f"a number from {low} to {high}", value)
        return float(value)

    def two_texts(self, key: str) -> tuple[str, str]:
        value = self._get(key)
        labels = value if isinstance(value, list) else []
        if len(labels) != 2 or labels[0] == labels[1] or not all(map(_is_line, labels)):
            raise self._refuse(key, f"two different labels, each {_LINE}", value)
        return (labels[0], labels[1])


def _is_line(value: object) -> bool:
    # It goes to terminals, logs and pictures: no line ends, no escape sequences, no surrogates.
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT and value.isprintable()
