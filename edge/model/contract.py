"""What a model expects and what its answer means, as read from the model's own file.

Nothing of it is known to the runtime beforehand: size, resize rule, channel order, number encoding,
labels and threshold all come from ``model.json``, and what this version can't honour is refused.
The JSON's keys are described in ``docs/contract.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.errors import ModelError, shown

from .reader import Reader
from .rule import UNCERTAIN, Rule, parse_operating_points, parse_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

SCHEMA = 2
"""The newest version of the contract's form that this code reads; it reads all before it, too."""

INTERPOLATIONS = ("nearest", "linear", "linear_exact", "cubic", "area")
RESIZE_RULES = ("stretch", "crop", "letterbox")
_ZERO_POINTS = {"uint8": (0, 255), "int8": (-128, 127), "float32": (0, 0)}
RAW_ENCODINGS = (("uint8", 1.0, 0), ("int8", 1.0, -128))
"""Encodings (dtype, scale, zero point) whose value is the picture's byte itself."""
_LIMIT = 1e9
"""No number of a picture's values is larger: they are float32 in the end."""
_FEW = 16
_SINCE_2 = (
    "input.resize",
    "input.values",
    "output.activation",
    "positive",
    "outline",
    "segmentation",
    "uncertain",
    "operating_points",
    "familiar",
)

Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The tensor that takes the picture, (1, height, width, 3), and how it gets in there."""

    size_wh: tuple[int, int]
    interpolation: str = "linear"
    """The name of OpenCV's interpolation to resize with, one of ``INTERPOLATIONS``."""
    resize: str = "stretch"
    """``stretch``: the whole picture, its aspect ratio not kept.  ``crop``: the largest centred
    part that has the tensor's aspect ratio.  ``letterbox``: the whole picture, black beside it."""
    channel_order: str = "BGR"
    """``BGR`` or ``RGB``: the order in the tensor."""
    dtype: str = "uint8"
    """``uint8``, ``int8`` or ``float32``."""
    scale: float = 1.0
    """What an element stands for: ``scale * (element - zero_point)``; 1.0 for float32."""
    zero_point: int = 0
    values_scale: Triple = (1.0, 1.0, 1.0)
    """The graph wants ``pixel * values_scale + values_offset``, per channel in ``channel_order``,
    pixels 0..255."""
    values_offset: Triple = (0.0, 0.0, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return it as the contract's ``input``."""
        width, height = self.size_wh
        return {
            "width": width,
            "height": height,
            "resize": self.resize,
            "interpolation": self.interpolation,
            "channel_order": self.channel_order,
            "dtype": self.dtype,
            "scale": self.scale,
            "zero_point": self.zero_point,
            "values": {"scale": list(self.values_scale), "offset": list(self.values_offset)},
        }


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """The tensor that the answer is in: (1, 1) for a sigmoid, (1, number of labels) for softmax."""

    activation: str = "sigmoid"
    """``sigmoid``: P(labels[1]) of two labels.  ``softmax``: a probability for each label."""
    dtype: str = "float32"
    """``float32``, ``uint8`` or ``int8``."""
    scale: float = 1.0
    """What an element stands for: ``scale * (element - zero_point)``; 1.0 for float32."""
    zero_point: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as the contract's ``output``."""
        return {
            "activation": self.activation,
            "dtype": self.dtype,
            "scale": self.scale,
            "zero_point": self.zero_point,
        }


@dataclass(frozen=True, slots=True)
class Contract:
    """A model's contract, checked."""

    name: str
    variant: str
    """float32, float16, dynamic or int8."""
    sha256: str
    """SHA-256 of the flatbuffer, hexadecimal."""
    input: InputSpec
    output: OutputSpec
    labels: tuple[str, ...]
    """Two or more, in the order of the probabilities."""
    positive: str
    """The label that a threshold is about, and that one number of a picture is the probability
    of."""
    threshold: float | None
    """The label is ``positive`` where its probability is at least this.  None, of more than two
    labels only: it is always the most probable one."""
    uncertain: tuple[float, float] | None = None
    """Low and high: where low <= P(positive) < high the label is ``uncertain``."""
    operating_points: tuple[Rule, ...] = ()
    """Other rules than these two values, each with its name."""
    familiar: float | None = None
    """A picture whose last output is below this is unlike those of the model's training.  None:
    the model doesn't say, and all its outputs are labels'."""
    segmentation: str = "otsu"
    """What finds lesions unless someone says otherwise: ``otsu``, the notebook's rule, or
    ``outline``, a network that the model brings."""

    @property
    def positive_index(self) -> int:
        """Where among the labels, and the probabilities, the positive one is."""
        return self.labels.index(self.positive)

    @property
    def rule(self) -> Rule:
        """How a label is chosen unless someone says otherwise."""
        return Rule(self.threshold, self.uncertain)

    def may_be_uncertain(self, rule: Rule) -> bool:
        """Return whether a label can be ``uncertain`` by a rule."""
        return rule.uncertain is not None or self.familiar is not None

    def is_familiar(self, value: float | None = None) -> bool | None:
        """Return whether a picture is like those of training; None where the model doesn't say.

        Args:
            value: the model's last output, 0..1.

        """
        return None if value is None or self.familiar is None else bool(value >= self.familiar)

    def identity(self) -> dict[str, str]:
        """Return what a result says of the model that gave it: name, variant, SHA-256."""
        return {"name": self.name, "variant": self.variant, "sha256": self.sha256}

    def at(self, operating_point: str) -> Rule:
        """Return the rule of this name.

        Raises:
            ModelError: there is none; the message has those that there are.

        """
        for rule in self.operating_points:
            if rule.operating_point == operating_point:
                return rule
        names = ", ".join(str(rule.operating_point) for rule in self.operating_points)
        raise ModelError(
            f"the model {self.name!r} has no operating point {shown(operating_point)}; "
            + (f"it has {names}" if names else "it has none: leave --operating-point out")
        )

    def decide(
        self, probabilities: Sequence[float] | NDArray[np.float64], rule: Rule | None = None
    ) -> str:
        """Return the label that a rule gives.

        In the rule's band it is ``uncertain``.  With a threshold it is the positive label where
        its probability is at least that, else the most probable of the others.  Without, it is
        the most probable label, of equal ones the first.

        Args:
            probabilities: one for each label, in order.
            rule: None is the contract's own.

        """
        rule = rule or self.rule
        positive = float(probabilities[self.positive_index])
        if rule.is_uncertain(positive):
            return UNCERTAIN
        candidates = list(range(len(self.labels)))
        if rule.threshold is not None:
            if positive >= rule.threshold:
                return self.positive
            candidates.remove(self.positive_index)
        return self.labels[max(candidates, key=lambda index: float(probabilities[index]))]


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
    read = Reader(document, name)
    if read.integer("schema", 1, SCHEMA) == 1:
        read = _upgrade(read)
    labels = read.different_texts("labels")
    output = parse_output(read)
    if output.activation == "sigmoid" and len(labels) > 2:
        raise read.refuse("labels", "two for a sigmoid", list(labels))
    rule = parse_rule(read, labels)
    return Contract(
        name=read.text("name"),
        variant=read.text("variant"),
        sha256=read.text("flatbuffer.sha256"),
        input=parse_input(read),
        output=output,
        labels=labels,
        positive=_parse_positive(read, labels),
        threshold=rule.threshold,
        uncertain=rule.uncertain,
        operating_points=parse_operating_points(read, labels),
        familiar=_parse_familiar(read, labels),
        segmentation=_parse_segmentation(read),
    )


def _upgrade(read: Reader) -> Reader:
    """Return a contract of schema 1 as one of schema 2."""
    for key in _SINCE_2:
        if read.has(key):
            # Left alone, it would be honoured by one version and passed over by another.
            raise read.refuse("schema", f"2 where there is a {key!r}", 1)
    added = {"input": {"resize": "stretch"}, "output": {"activation": "sigmoid"}}
    merged = {
        key: {**value, **more} if isinstance(value := read.get(key), dict) else value
        for key, more in added.items()
    }
    return Reader({**read.document, **merged}, read.name)


def parse_input(read: Reader) -> InputSpec:
    """Return what ``input`` says, or raise ModelError."""
    dtype, scale, zero_point = encoding = _parse_encoding(read, "input")
    # Nobody can guess what floats or scaled bytes a graph was made for.
    given = read.has("input.values") or encoding not in RAW_ENCODINGS
    factors, offsets = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
    if given:
        factors = read.three_numbers("input.values.scale", -_LIMIT, _LIMIT)
        offsets = read.three_numbers("input.values.offset", -_LIMIT, _LIMIT)
        if 0.0 in factors:
            raise read.refuse("input.values.scale", "three numbers other than 0", list(factors))
    spec = InputSpec(
        size_wh=(read.integer("input.width", 1, 4096), read.integer("input.height", 1, 4096)),
        interpolation=read.one_of("input.interpolation", INTERPOLATIONS),
        resize=read.one_of("input.resize", RESIZE_RULES),
        channel_order=read.one_of("input.channel_order", ("BGR", "RGB")),
        dtype=dtype,
        scale=scale,
        zero_point=zero_point,
        values_scale=factors,
        values_offset=offsets,
    )
    _refuse_lost_picture(read, spec)
    return spec


def _refuse_lost_picture(read: Reader, spec: InputSpec) -> None:
    """Refuse values that an 8-bit tensor has hardly any elements for, such as 0..255 where 0..1 is.

    A calibrated range may well cut some off, so few have to be left for the mistake to be sure.
    """
    if spec.dtype == "float32":
        return
    low, high = _ZERO_POINTS[spec.dtype]
    for factor, offset in zip(spec.values_scale, spec.values_offset, strict=True):
        steps = (round((pixel * factor + offset) / spec.scale) for pixel in range(256))
        if len({min(max(step + spec.zero_point, low), high) for step in steps}) < _FEW:
            first, last = (spec.scale * (end - spec.zero_point) for end in (low, high))
            raise read.refuse(
                "input.values",
                f"what the tensor can hold, {first:.4g} to {last:.4g}",
                [offset, 255 * factor + offset],
            )


def parse_output(read: Reader, activations: tuple[str, ...] = ("sigmoid", "softmax")) -> OutputSpec:
    """Return what ``output`` says, of one of these activations, or raise ModelError."""
    activation = read.one_of("output.activation", activations)
    if read.one_of("output.dtype", tuple(_ZERO_POINTS)) == "float32" and not (
        read.has("output.scale") or read.has("output.zero_point")
    ):
        return OutputSpec(activation)
    return OutputSpec(activation, *_parse_encoding(read, "output"))


def _parse_encoding(read: Reader, tensor: str) -> tuple[str, float, int]:
    dtype = read.one_of(f"{tensor}.dtype", tuple(_ZERO_POINTS))
    least, most = (1.0, 1.0) if dtype == "float32" else (1 / _LIMIT, _LIMIT)
    scale = read.number(f"{tensor}.scale", least, most)
    return dtype, scale, read.integer(f"{tensor}.zero_point", *_ZERO_POINTS[dtype])


def _parse_positive(read: Reader, labels: tuple[str, ...]) -> str:
    if len(labels) == 2 and not read.has("positive"):
        return labels[1]
    positive = read.text("positive")
    if positive not in labels:
        raise read.refuse("positive", "one of the labels", positive)
    return positive


def _parse_familiar(read: Reader, labels: tuple[str, ...]) -> float | None:
    if not read.has("familiar"):
        return None
    if UNCERTAIN in labels:
        raise read.refuse("labels", f"others than {UNCERTAIN!r} where there is 'familiar'", labels)
    return read.inside("familiar").number("limit", 0.0, 1.0)


def _parse_segmentation(read: Reader) -> str:
    if not read.has("segmentation"):
        return "otsu"
    segmentation = read.one_of("segmentation", ("otsu", "outline"))
    if segmentation == "outline" and not read.has("outline"):
        raise read.refuse("segmentation", "'otsu' where there is no 'outline'", segmentation)
    return segmentation
