"""Any Keras model as TFLite graphs that take raw bytes, in four variants."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import UsageError
from edge.model.contract import InputSpec

from .calibration import open_undelegated, run_on
from .equalise import equalise
from .export import export_float32
from .front import fold, lift
from .graph import Graph
from .ranges import Seen, find_ranges
from .recipes import apply_recipe, dynamic, half, static
from .rounding import Rounding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import keras
    from numpy.typing import NDArray

    from .preprocessing import Preprocessing

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED")
_EXACT = ("PAD", "MAX_POOL_2D", "RESIZE_NEAREST_NEIGHBOR", "STRIDED_SLICE", "RESHAPE", "TRANSPOSE")
"""Operations that only move values: in int8 as exact as in float32."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A graph, and what is to be said of it in its contract and in the report."""

    flatbuffer: bytes
    input: InputSpec
    quantisation: str
    """In plain words."""
    passes: tuple[str, ...] = ()
    """What was done to the graph, and what it gave."""


def export_plain(
    model: keras.Model,
    pixels: Preprocessing,
    *,
    size_wh: tuple[int, int],
    variants: Sequence[str],
    images: Iterable[NDArray[np.uint8]],
    say: Callable[[str], None],
    float_until: str | None = None,
) -> dict[str, Exported]:
    """Return a model's graphs, by variant.

    Args:
        model: takes float32 (batch, height, width, 3) and gives (batch, n) probabilities.
        pixels: what happens to a picture before the model.
        size_wh: the picture's width and height.
        variants: of float32, float16, dynamic and int8.
        images: pictures to calibrate int8 on, resized: (height, width, 3) uint8, BGR.  They are
            gone through once, and only for int8.
        say: told each step, a line at a time.
        float_until: the layer up to which int8 stays in float32.

    Raises:
        UsageError: the model has no such layer.
        ExportError: TensorFlow's converter or the quantiser failed.

    """
    exported = {}
    raw = export_float32(_from_bytes(model, pixels), dtype="uint8", size_wh=size_wh)
    graph = Graph(raw)
    passes = _folded_normalisations(model, graph)
    kept = [each for each in graph.operators if not graph.scope(each).startswith(_PREPROCESSING)]
    body = [each for each in graph.operators[: _head(graph)] if each in kept]
    points = [each for each in body if _is_pointwise(graph, each)]
    recipes = {
        "float16": [half(kind, _scopes(graph, kept, None)) for kind in _QUANTISED],
        # Depthwise convolutions have few weights, and in this form they were six times slower.
        # tflite-runtime 2.14 computes those of one pixel wrongly with a scale a channel.
        "dynamic": [
            dynamic("CONV_2D", "CHANNELWISE", _scopes(graph, body, None)),
            dynamic("CONV_2D", "TENSORWISE", _scopes(graph, points, None)),
            dynamic("FULLY_CONNECTED", "TENSORWISE", _scopes(graph, body, None)),
        ],
    }
    for variant in variants:
        if variant == "int8":
            say("calibrating int8")
            values = export_float32(model, dtype="float32", size_wh=size_wh)
            done = _export_int8(values, pixels, images, float_until)
            exported[variant] = replace(done, passes=(*passes, *done.passes))
            continue
        flatbuffer = raw
        if variant != "float32":
            say(f"quantising {variant}")
            flatbuffer = apply_recipe(raw, recipes[variant])
        exported[variant] = Exported(
            flatbuffer,
            InputSpec(size_wh),
            _QUANTISATION[variant],
            (*passes, "preprocessing is in the graph, in float32"),
        )
    return exported


_PREPROCESSING = "bytes-to-values"
"""What the names of the operations begin with that are not the model's.

With a hyphen, which no name has that a file's model is built with."""
_QUANTISED = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE", "FULLY_CONNECTED")
"""The operations with weights, as the quantiser calls them."""
_QUANTISATION = {
    "float32": "none",
    "float16": "weights float16, computed in float32",
    "dynamic": "weights int8, activations quantised to int8 at run time; convolutions per channel, "
    "those of one pixel and dense layers per tensor; depthwise ones and the last layer float32",
}


def _from_bytes(model: Any, pixels: Preprocessing) -> Any:
    """Return the function of TensorFlow's that takes BGR bytes as float32.

    Preprocessing is a convolution of one pixel: it scales, orders the channels and adds, and the
    products with 0 leave the sums as they are.
    """
    import tensorflow as tf

    if pixels.channel_order == "BGR" and not pixels.scales:
        return model
    matrix = np.diag(np.asarray(pixels.scale, np.float32))
    if pixels.channel_order == "RGB":
        matrix = matrix[::-1]

    def infer(x: Any) -> Any:
        with tf.name_scope(_PREPROCESSING):
            values = tf.nn.conv2d(x, matrix[None, None], 1, "VALID")
            values += np.asarray(pixels.offset, np.float32)
        return model(values)

    return infer


def _export_int8(
    float32: bytes,
    pixels: Preprocessing,
    images: Iterable[NDArray[np.uint8]],
    float_until: str | None,
) -> Exported:
    graph = Graph(float32)
    values = lift(graph, pixels)
    folded = fold(graph, values)
    if folded:
        zero, off = folded
        order, scale, offset = "BGR", np.ones(3), np.full(3, -float(zero))
        done = "preprocessing folded into the first convolution"
        if zero:
            done += f", whose padding is pixel value {zero}"
        if off > 0.01:
            done += f" ({off:.2g} of 255 from what the model pads with)"
    else:
        order = values.channel_order
        scale, offset = np.asarray(values.scale), np.asarray(values.offset)
        done = "preprocessing is how a picture's bytes become the input's int8 values"

    def fed() -> Iterable[NDArray[np.float32]]:
        for image in images:
            ordered = image if order == "BGR" else image[..., ::-1]
            yield (ordered * scale + offset).astype(np.float32)

    body = find_body(graph, float_until)
    seen, _ = round_body(graph, body, fed())
    ranges = find_ranges(graph, seen)
    ends = np.stack([offset, 255 * scale + offset])
    ranges[graph.name(graph.picture)] = (min(float(ends.min()), 0.0), max(float(ends.max()), 0.0))
    recipe = [
        static("INPUT", "TENSORWISE"),
        static("*", "CHANNELWISE", _scopes(graph, body, None)),
        static("FULLY_CONNECTED", "TENSORWISE", _scopes(graph, body, ("FULLY_CONNECTED",))),
    ]
    flatbuffer = apply_recipe(graph.pack(), recipe, ranges)
    (picture,) = open_undelegated(flatbuffer).get_input_details()
    spec_scale, zero_point = picture["quantization"]
    _, height, width, _ = graph.shape(graph.picture)
    spec = InputSpec(
        (width, height),
        channel_order=order,
        dtype="int8",
        scale=float(spec_scale),
        zero_point=int(zero_point),
        values_scale=tuple(scale.tolist()),
        values_offset=tuple(offset.tolist()),
    )
    words, left = _describe(graph, body, Graph(flatbuffer))
    if float_until is not None:
        words += f"; up to {float_until} all is float32"
    return Exported(flatbuffer, spec, words, (done, *left))


def round_body(
    graph: Graph, operators: Sequence[Any], inputs: Iterable[NDArray[np.float32]]
) -> tuple[Seen, dict[int, NDArray[np.float32]]]:
    """Equalise operations' channels and round their weights by what they see of pictures.

    Args:
        graph: float32; is changed.
        operators: of it.
        inputs: what the graph takes, without the batch.

    Returns:
        What the tensors of the changed graph hold, and what each channel was multiplied with, by
        tensor.

    """
    seen = Seen()
    rounding = Rounding.of(graph, operators)
    for tensors in run_on(graph.pack(), inputs):
        seen.look(tensors)
        rounding.look(tensors)
    largest = {name: np.abs(ends).max(axis=0) for name, ends in seen.ends.items()}
    factors = equalise(graph, largest)
    for tensor, factor in factors.items():
        seen.scale(graph.name(tensor), factor)
    rounding.scale(factors)
    rounding.apply()
    return seen, factors


def find_body(graph: Graph, float_until: str | None = None) -> list[Any]:
    """Return the operations that are made int8, where the quantiser can.

    What computes a variance stays in float32 with all that its layer does: its values go over
    many powers of ten.

    Args:
        graph: float32.
        float_until: a Keras layer; what is computed up to it stays in float32.

    Raises:
        UsageError: nothing of the graph was made from that layer.

    """
    first = _first(graph)
    if float_until is not None:
        # The converter joins the names of what it fuses, and Keras numbers a name that is in use.
        is_its = re.compile(rf"(^|[/;]){re.escape(float_until)}(_\d+)?/").search
        its = [at for at, each in enumerate(graph.operators) if is_its(graph.name(each.outputs[0]))]
        if not its:
            raise UsageError(
                f"--float-until {float_until}: the model computes no layer of that name"
            )
        first = max(first, its[-1] + 1)
    body = graph.operators[first : _head(graph)]
    layers = {_layer(graph, each) for each in body if graph.kind(each) in ("RSQRT", "SQRT")}
    return [each for each in body if _layer(graph, each) not in layers]


def _layer(graph: Graph, operator: Any) -> str:
    """Return the Keras layer that an operation was made from, by the tensor's name."""
    return graph.name(operator.outputs[0]).split(";")[0].rpartition("/")[0]


def _first(graph: Graph) -> int:
    """Return the index of the first operation that is made int8; what is before stays float32."""
    kinds = graph.kinds
    weighted = next((at for at, kind in enumerate(kinds) if kind in _WEIGHTED), len(kinds))
    inexact = [at for at, kind in enumerate(kinds[:weighted]) if kind not in _EXACT]
    return inexact[-1] + 1 if inexact else 0


def _head(graph: Graph) -> int:
    """Return the index of the first operation of the head, which stays float32.

    It begins with the last dense layer, or a convolution that gives one pixel, which is as much,
    and the mean over places in front of it; or behind the last convolution.  A probability of 8
    bits would have steps of 1/256.  Where two answers are joined, all dense layers are the head.
    """
    kinds = graph.kinds
    dense = ("FULLY_CONNECTED",) if kinds[-1:] == ["CONCATENATION"] else ()
    weighted = [at for at, kind in enumerate(kinds) if kind in _WEIGHTED and kind not in dense]
    if not weighted:
        return 0
    head = weighted[-1]
    *places, _ = graph.shape(graph.operators[head].outputs[0])
    if math.prod(places) > 1:
        return head + 1
    while head and kinds[head - 1] in ("MEAN", "RESHAPE"):
        head -= 1
    return head


def _is_pointwise(graph: Graph, operator: Any) -> bool:
    is_convolution = graph.kind(operator) == "CONV_2D"
    return is_convolution and graph.shape(operator.inputs[1])[1:3] == (1, 1)


def _scopes(graph: Graph, operators: Sequence[Any], kinds: tuple[str, ...] | None) -> str:
    """Return a regular expression that fits these operations and no other."""
    scopes = [
        re.escape(graph.scope(each))
        for each in operators
        if kinds is None or graph.kind(each) in kinds
    ]
    return f"^(?:{'|'.join(scopes)})$" if scopes else "^$"


def _describe(graph: Graph, body: Sequence[Any], quantised: Graph) -> tuple[str, list[str]]:
    """Return an int8 graph's quantisation in words, and what of its body stayed in float32."""
    names = {graph.name(output) for each in body for output in each.outputs}
    stayed = Counter(
        quantised.kind(each)
        for each in quantised.operators
        if quantised.kind(each) != "DEQUANTIZE"
        and any(
            quantised.name(output) in names and quantised.is_float(output)
            for output in each.outputs
        )
    )
    words = (
        "weights and activations int8 up to the head, which is float32; "
        "convolutions per channel, dense layers per tensor"
    )
    if not stayed:
        return words, []
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(stayed.items()))
    return f"{words}; in float32 also: {listed}", [f"{listed} can't be int8 and stay float32"]


def _folded_normalisations(model: keras.Model, graph: Graph) -> list[str]:
    """Say how many batch normalisations the converter folded into other layers."""
    import keras

    layers = list(model._flatten_layers())  # noqa: SLF001 - no public way into nested models
    count = sum(isinstance(each, keras.layers.BatchNormalization) for each in layers)
    if not count:
        return []
    left = {
        graph.name(output).partition("/batchnorm")[0]
        for each in graph.operators
        if graph.kind(each) in ("MUL", "ADD", "SUB")
        for output in each.outputs
        if "/batchnorm" in graph.name(output)
    }
    return [
        f"{count - len(left)} of {count} batch normalisations folded into the layers before them"
    ]
