"""The notebook's network as TFLite flatbuffers: float32, float16, dynamic range and int8.

TensorFlow's converter writes the float32 graph; AI Edge Quantizer makes the others from it.
Every graph has a static batch of 1 and takes the raw BGR bytes of the resized picture: as uint8,
or, for int8, as int8 with each byte's top bit flipped (scale 1, zero point -128).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from convert.errors import ExportError
from convert.network import INPUT_SIZE_WH

from .calibration import BODY_OUTPUT, open_undelegated, operations, tensors_by_layer
from .recipes import apply_recipe, dynamic, half, static

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.network import Arrays, NotebookWeights

    from .calibration import Ranges
    from .preprocessing import Preprocessing

VARIANTS = ("float32", "float16", "dynamic", "int8")


def fold_preprocessing(weights: NotebookWeights, pixels: Preprocessing) -> Arrays:
    """Return the weights of the network that takes raw BGR 0..255: the contract is in conv1."""
    return {**weights.arrays, "conv1": pixels.fold(*weights.arrays["conv1"])}


def export_float32(
    model: Callable[[Any], Any], *, dtype: str, size_wh: tuple[int, int] = INPUT_SIZE_WH
) -> bytes:
    """Return a network as a float32 flatbuffer whose input has the given dtype.

    Args:
        model: takes raw bytes as float32, such as a Keras model whose contract is folded in, or
            what :func:`convert.optimise.build_planned` returns.
        dtype: ``uint8``, with a cast as the first operation, or ``float32`` without.
        size_wh: the picture's width and height.

    Raises:
        ExportError: the converter failed, or left shape arithmetic in the graph.

    """
    import tensorflow as tf

    width, height = size_wh

    def infer(image: Any) -> Any:
        return model(tf.cast(image, tf.float32))

    signature = tf.TensorSpec((1, height, width, 3), dtype, name="image")
    concrete = tf.function(infer, autograph=False).get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    try:
        flatbuffer = bytes(converter.convert())
    except Exception as error:
        raise ExportError(f"TensorFlow's converter failed: {_why(error)}") from error
    _require_static(flatbuffer)
    return flatbuffer


def quantise(float32: bytes, variant: str, ranges: Ranges | None = None) -> bytes:
    """Return a quantised flatbuffer made from a float32 one.

    Args:
        float32: from :func:`export_float32`; with a float32 input for int8, else uint8.
        variant: ``float16``, ``dynamic`` or ``int8``.
        ranges: the calibrated range of each layer, for int8.

    Raises:
        ExportError: the quantiser failed.

    """
    by_tensor = None
    if ranges:
        tensors = tensors_by_layer(open_undelegated(float32))
        by_tensor = {tensor["name"]: ranges[layer] for tensor, layer in tensors}
    return apply_recipe(float32, _RECIPES[variant], by_tensor)


def _why(error: Exception) -> str:
    """Return in a line why it failed; what it says itself is the whole graph, in pages."""
    if lacking := re.search(r"'tf\.(\w+)' op is neither a custom op nor a flex op", str(error)):
        return (
            f"TFLite has no {lacking[1]}; build the model without it (Resizing and UpSampling2D "
            "are possible with nearest and bilinear, without antialias) and save it again"
        )
    return " ".join(str(error).split())[:300]


def _require_static(flatbuffer: bytes) -> None:
    interpreter = open_undelegated(flatbuffer)
    shapeless = _SHAPELESS & {op["op_name"] for op in operations(interpreter)}
    if shapeless:
        raise ExportError(f"the converter left shape arithmetic in the graph: {sorted(shapeless)}")


_SHAPELESS = {"SHAPE", "FILL", "RANGE", "BROADCAST_ARGS", "WHILE", "IF"}
"""Operations that a graph has no use for whose shapes are all known."""

_MOVES = ("GATHER", "SLICE", "CONCATENATION")
"""What :mod:`convert.optimise` moves values with, by constant rows and columns."""

# The head behind dense1, ten multiply-adds and a sigmoid, stays in float32: as int8 it would round
# the probability to 1/256.  Dense layers have one scale a tensor: tflite-runtime 2.14 knows no
# other.
_RECIPES = {
    "float16": [half("CONV_2D"), half("FULLY_CONNECTED")],
    "dynamic": [
        dynamic("CONV_2D", "CHANNELWISE"),
        dynamic("FULLY_CONNECTED", "TENSORWISE", f".*{BODY_OUTPUT}.*"),
    ],
    "int8": [
        static("INPUT", "TENSORWISE"),
        static("CONV_2D", "CHANNELWISE"),
        static("MAX_POOL_2D", "TENSORWISE"),
        *(static(operation, "TENSORWISE") for operation in ("RESHAPE", *_MOVES)),
        static("FULLY_CONNECTED", "TENSORWISE", f".*{BODY_OUTPUT}.*"),
    ],
}
