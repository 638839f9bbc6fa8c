"""The network as TFLite flatbuffers: float32, float16, dynamic range and int8.

TensorFlow's converter writes the float32 graph; AI Edge Quantizer makes the others from it.
Every graph has a static batch of 1 and takes the raw BGR bytes of the resized picture: as uint8,
or, for int8, as int8 with each byte's top bit flipped (scale 1, zero point -128).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import ExportError
from convert.network import INPUT_SIZE_WH

from .calibration import BODY_OUTPUT, open_undelegated, operations, tensors_by_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from convert.network import Arrays, NotebookWeights

    from .calibration import Ranges
    from .preprocessing import Preprocessing

VARIANTS = ("float32", "float16", "dynamic", "int8")


def fold_preprocessing(weights: NotebookWeights, pixels: Preprocessing) -> Arrays:
    """Return the weights of the network that takes raw BGR 0..255: the contract is in conv1."""
    return {**weights.arrays, "conv1": pixels.fold(*weights.arrays["conv1"])}


def export_float32(model: Callable[[Any], Any], *, dtype: str) -> bytes:
    """Return a network as a float32 flatbuffer whose input has the given dtype.

    Args:
        model: takes raw bytes as float32, such as a Keras model whose contract is folded in, or
            what :func:`convert.optimise.build_planned` returns.
        dtype: ``uint8``, with a cast as the first operation, or ``float32`` without.

    Raises:
        ExportError: the converter failed, or left shape arithmetic in the graph.

    """
    import tensorflow as tf

    width, height = INPUT_SIZE_WH

    def infer(image: Any) -> Any:
        return model(tf.cast(image, tf.float32))

    signature = tf.TensorSpec((1, height, width, 3), dtype, name="image")
    concrete = tf.function(infer, autograph=False).get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    try:
        flatbuffer = bytes(converter.convert())
    except Exception as error:
        raise ExportError(f"TensorFlow's converter failed: {error}") from error
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
    from ai_edge_quantizer import quantizer

    calibration = _to_statistics(float32, ranges) if ranges else None
    try:
        tool = quantizer.Quantizer(bytearray(float32), _RECIPES[variant])
        result = tool.quantize(calibration, enable_progress_bar=False, enable_progress_report=False)
    except Exception as error:
        raise ExportError(f"AI Edge Quantizer failed on the {variant} model: {error}") from error
    return bytes(result.quantized_model)


def _to_statistics(float32: bytes, ranges: Ranges) -> dict[str, dict[str, Any]]:
    """Return the ranges in the quantiser's form: arrays of the tensor's rank."""
    statistics = {}
    for tensor, layer in tensors_by_layer(open_undelegated(float32)):
        shape = (1,) * len(tensor["shape"])
        statistics[tensor["name"]] = {
            side: np.full(shape, value, np.float32)
            for side, value in zip(("min", "max"), ranges[layer], strict=True)
        }
    return statistics


def _require_static(flatbuffer: bytes) -> None:
    network = {"CAST", "CONV_2D", "MAX_POOL_2D", "RESHAPE", "FULLY_CONNECTED", "LOGISTIC"}
    allowed = network | set(_MOVES)
    found = {op["op_name"] for op in operations(open_undelegated(flatbuffer))}
    if found - allowed:
        raise ExportError(
            f"the converter left operations in the graph that don't belong: {found - allowed}"
        )


def _weights(bits: int, granularity: str, dtype: str = "INT") -> dict[str, Any]:
    return {"num_bits": bits, "symmetric": True, "granularity": granularity, "dtype": dtype}


def _rule(
    operation: str, config: Mapping[str, Any], regex: str = ".*", **more: str
) -> dict[str, Any]:
    algorithm = more.get("algorithm", "min_max_uniform_quantize")
    return {"regex": regex, "operation": operation, "algorithm_key": algorithm, "op_config": config}


def _half(operation: str) -> dict[str, Any]:
    config = {
        "weight_tensor_config": _weights(16, "TENSORWISE", "FLOAT"),
        "compute_precision": "FLOAT",
        "explicit_dequantize": True,
    }
    return _rule(operation, config, algorithm="float_casting")


def _dynamic(operation: str, granularity: str, regex: str = ".*") -> dict[str, Any]:
    config = {
        "weight_tensor_config": _weights(8, granularity),
        "compute_precision": "INTEGER",
        "explicit_dequantize": False,
    }
    return _rule(operation, config, regex)


def _static(operation: str, granularity: str, regex: str = ".*") -> dict[str, Any]:
    config = {
        "activation_tensor_config": {**_weights(8, "TENSORWISE"), "symmetric": False},
        "weight_tensor_config": _weights(8, granularity),
        "compute_precision": "INTEGER",
        "explicit_dequantize": False,
    }
    return _rule(operation, config, regex)


_MOVES = ("GATHER", "SLICE", "CONCATENATION")
"""What :mod:`convert.optimise` moves values with, by constant rows and columns."""

# The head behind dense1, ten multiply-adds and a sigmoid, stays in float32: as int8 it would round
# the probability to 1/256.  Dense layers have one scale a tensor: tflite-runtime 2.14 knows no
# other.
_RECIPES = {
    "float16": [_half("CONV_2D"), _half("FULLY_CONNECTED")],
    "dynamic": [
        _dynamic("CONV_2D", "CHANNELWISE"),
        _dynamic("FULLY_CONNECTED", "TENSORWISE", f".*{BODY_OUTPUT}.*"),
    ],
    "int8": [
        _static("INPUT", "TENSORWISE"),
        _static("CONV_2D", "CHANNELWISE"),
        _static("MAX_POOL_2D", "TENSORWISE"),
        *(_static(operation, "TENSORWISE") for operation in ("RESHAPE", *_MOVES)),
        _static("FULLY_CONNECTED", "TENSORWISE", f".*{BODY_OUTPUT}.*"),
    ],
}
