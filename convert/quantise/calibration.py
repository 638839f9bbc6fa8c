"""The range of every activation, observed on real pictures, for int8 quantisation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.network import LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

Ranges = dict[str, tuple[float, float]]
"""The smallest and the largest value that each layer with weights gives, by its name; the
picture's is under ``image``.  What lies behind a layer (a pool, a copy) has the layer's range."""

BODY_OUTPUT = "dense1"
"""The layer whose ten values end the int8 body."""
HEADROOM = 1.35
"""How much further than observed an activation may go before it saturates.

A few dozen pictures don't show the most glaring colours of a few thousand.  Without headroom for
the convolutions, 11 of the default model's 2,000 training pictures were off by more than 0.005,
by 0.045 at most: where that was looked into, 2 % to 5 % of the convolutions' values were cut off.
With it, 2 are, by 0.007 at most, and the mean over all went from 0.0005 to 0.0004."""
BODY_OUTPUT_HEADROOM = 1.5
"""The same for the body's output.

Convolutions are observed at many thousand places a picture; the body's output is ten numbers a
picture, so its true maximum is still less likely to be among few."""

_DIGITS = 3


def open_undelegated(flatbuffer: bytes, **options: Any) -> Any:
    """Return an interpreter that runs the graph's own operations, so that each can be seen."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    return Interpreter(
        model_content=flatbuffer,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        **options,
    )


def operations(interpreter: Any) -> list[dict[str, Any]]:
    """Return the graph's operations in order: ``op_name``, and ``outputs`` as tensor indices."""
    found: list[dict[str, Any]] = interpreter._get_ops_details()  # noqa: SLF001 - no public way
    return found


def tensors_by_layer(interpreter: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the details of the input and of each operation's output, in the graph's order.

    With each goes the layer whose values it holds: an operation with weights begins the next one.
    """
    names = iter(spec.name for spec in LAYERS)
    layer = "image"
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    yield interpreter.get_input_details()[0], layer
    for operation in operations(interpreter):
        if operation["op_name"] in ("CONV_2D", "FULLY_CONNECTED"):
            layer = next(names)
        for output in operation["outputs"]:
            yield details[output], layer


def observe_ranges(float32: bytes, images: Iterable[NDArray[np.uint8]]) -> Ranges:
    """Run the notebook's float32 graph on pictures and return each layer's range.

    Args:
        float32: a flatbuffer with a float32 input, (1, height, width, 3), BGR, 0..255.
        images: pictures as the edge resizes them: (height, width, 3) uint8, BGR.

    Returns:
        The input's range is 0..255 by definition.  The others are rounded away from zero.

    """
    seen: Ranges = {}
    for values in run_on(float32, (image.astype(np.float32) for image in images)):
        for name, found in values.items():
            low, high = seen.get(name, (0.0, 0.0))
            seen[name] = (min(low, float(found.min())), max(high, float(found.max())))
    _, *rest = tensors_by_layer(open_undelegated(float32))
    ranges = {"image": (0.0, 255.0)}
    for tensor, layer in rest:
        headroom = BODY_OUTPUT_HEADROOM if layer == BODY_OUTPUT else HEADROOM
        low, high = ranges.get(layer, (0.0, 0.0))
        seen_low, seen_high = with_headroom(seen[tensor["name"]], headroom)
        ranges[layer] = (min(low, seen_low), max(high, seen_high))
    return ranges


def run_on(
    float32: bytes, inputs: Iterable[NDArray[np.float32]]
) -> Iterator[dict[str, NDArray[np.float32]]]:
    """Run a float32 graph and yield what its input and its operations' float32 outputs hold.

    Args:
        float32: a flatbuffer with a float32 input.
        inputs: what the input takes, one after the other, without the batch.

    Yields:
        For each input the tensors' values by the tensors' names.

    """
    interpreter = open_undelegated(float32, experimental_preserve_all_tensors=True, num_threads=2)
    interpreter.allocate_tensors()
    (picture,) = interpreter.get_input_details()
    details = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    computed = [details[output] for each in operations(interpreter) for output in each["outputs"]]
    watched = [picture, *(tensor for tensor in computed if tensor["dtype"] is np.float32)]
    for each in inputs:
        interpreter.set_tensor(picture["index"], each.reshape(picture["shape"]))
        interpreter.invoke()
        yield {tensor["name"]: interpreter.get_tensor(tensor["index"]) for tensor in watched}


def with_headroom(values: tuple[float, float], headroom: float) -> tuple[float, float]:
    """Return a range with headroom, rounded away from zero to three digits.

    So the last bits of a processor's float arithmetic don't reach the quantised file: it comes
    out the same on every machine.
    """
    low, high = values
    return _away(low * headroom), _away(high * headroom)


def _away(value: float) -> float:
    """Round away from zero to three significant digits."""
    if value == 0.0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - _DIGITS + 1)
    return math.copysign(math.ceil(abs(value) / step) * step, value)
