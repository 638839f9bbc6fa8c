"""Whether a Keras model takes a picture and answers with probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.errors import WeightsError
from edge.errors import shown

from .allowed import INERT

if TYPE_CHECKING:
    import keras

_MAX_OUTPUTS = 1000
_ASK_FAMILIAR = "if its last output says how familiar a picture is, give --familiar 0.5"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model takes and what it answers with."""

    activation: str
    """``sigmoid`` or ``softmax``."""
    outputs: int
    size_wh: tuple[int, int] | None
    """None where it takes any size."""


def judge(model: keras.Model, *, to_map: bool = False, familiar: bool = False) -> Answer:
    """Return what a model takes and answers with.

    Args:
        model: a classifier, or what outlines the lesion.
        to_map: the latter: it answers with a map of sigmoids.
        familiar: its last output is no label's, but says by a sigmoid how familiar a picture is.

    Raises:
        WeightsError: it takes something else than one picture of three channels, or answers with
            something else than one sigmoid or the softmax of two values or more; or than a map.

    """
    shape = _only(model.inputs, "inputs")
    if len(shape) != 4 or shape[3] != 3:
        raise WeightsError(f"its input is {_listed(shape)}; a picture is (batch, height, width, 3)")
    height, width = shape[1:3]
    size = None if height is None or width is None else (int(width), int(height))
    answers, end = _only(model.outputs, "outputs"), model.outputs[0]
    if to_map:
        _require_map(end, answers)
        return Answer("sigmoid", 1, size)
    if familiar:
        end = _without_familiar(end)
        answers = end.shape
    if len(answers) != 2 or answers[1] is None:
        raise WeightsError(
            f"its output is {_listed(answers)}; probabilities are (batch, 1) by a sigmoid or "
            "(batch, labels) by a softmax"
        )
    outputs, (activation, layer) = int(answers[1]), _end(end)
    if activation not in ("sigmoid", "softmax"):
        fix = "Softmax()" if outputs > 1 else "Activation('sigmoid')"
        raise WeightsError(
            f"its outputs are no probabilities: it ends with {layer}, activation {activation}; add "
            f"keras.layers.{fix} and save it again"
            + ("; " + _ASK_FAMILIAR if "Concatenate" in layer else "")
        )
    if activation == "softmax" and outputs == 1:
        raise WeightsError("its one output is a softmax, which is always 1; it says nothing")
    if activation == "sigmoid" and outputs > 1:
        raise WeightsError(
            f"its {outputs} outputs are sigmoids, each its own yes or no; one label of several "
            "needs a softmax, one probability a single sigmoid"
        )
    if outputs > _MAX_OUTPUTS:
        raise WeightsError(f"it has {outputs} labels; at most {_MAX_OUTPUTS} are taken")
    return Answer(activation, outputs, size)


def _without_familiar(answer: Any) -> Any:
    """Return what the probabilities are, of an answer that ends with how familiar a picture is."""
    last = answer._keras_history.operation  # noqa: SLF001 - nothing public says it
    parts = last.input if type(last).__name__ == "Concatenate" else []
    if len(parts) != 2 or parts[1].shape[1:] != (1,) or _end(parts[1])[0] != "sigmoid":
        raise WeightsError(
            "--familiar is for a model that ends with a Concatenate of its probabilities and one "
            "sigmoid, which says how familiar a picture is; leave it out"
        )
    return parts[0]


def _require_map(answer: Any, answers: tuple[int | None, ...]) -> None:
    if len(answers) != 4 or answers[3] != 1:
        raise WeightsError(
            f"its output is {_listed(answers)}; the outline of a lesion is read from a map, "
            "(batch, height, width, 1)"
        )
    activation, layer = _end(answer)
    if activation != "sigmoid":
        raise WeightsError(
            f"its map is no probability: it ends with {layer}, activation {activation}; add "
            "keras.layers.Activation('sigmoid') and save it again"
        )


def _only(tensors: list[Any], what: str) -> tuple[int | None, ...]:
    if len(tensors) != 1:
        raise WeightsError(f"the model has {len(tensors)} {what}, not one")
    shape: tuple[int | None, ...] = tensors[0].shape
    return shape


def _listed(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in ('batch', *shape[1:]))})"


def _end(tensor: Any) -> tuple[str, str]:
    """Return a tensor's last activation, and the layer it is of as a person would call it.

    Of a model inside it is what that does last.
    """
    import keras

    while True:
        last = tensor._keras_history.operation  # noqa: SLF001 - nothing public says it
        kind = type(last).__name__
        if isinstance(last, keras.Model):
            return _end(last.outputs[0])
        flat = kind in ("Reshape", "Flatten") and math.prod(last.input.shape[1:-1]) == 1
        linear = kind == "Activation" and last.get_config()["activation"] == "linear"
        # Of a layer that is used twice Keras doesn't say the input.
        if not (kind in INERT or flat or linear) or not hasattr(last, "input"):
            break
        tensor = last.input
    config = last.get_config()
    activation = config.get("activation", "linear")
    if isinstance(activation, dict):  # a layer
        kind, config = str(activation.get("class_name")), activation.get("config", {})
        activation = kind
    if kind in ("Softmax", "Sigmoid"):
        axis = config.get("axis", -1)
        activation = kind.lower() if axis in (-1, len(tensor.shape) - 1) else f"{kind} of {axis}"
    return str(activation), f"layer {shown(last.name)} ({type(last).__name__})"
