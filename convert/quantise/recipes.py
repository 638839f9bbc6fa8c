"""AI Edge Quantizer's rules, and a float32 graph quantised by them."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import ExportError

from .calibration import open_undelegated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Rule = dict[str, Any]


def half(operation: str, regex: str = ".*") -> Rule:
    """Return the rule: weights in float16, computed in float32."""
    config = {
        "weight_tensor_config": _weights(16, "TENSORWISE", "FLOAT"),
        "compute_precision": "FLOAT",
        "explicit_dequantize": True,
    }
    return _rule(operation, config, regex, algorithm="float_casting")


def dynamic(operation: str, granularity: str, regex: str = ".*") -> Rule:
    """Return the rule: weights in int8, activations made int8 when the graph runs."""
    config = {
        "weight_tensor_config": _weights(8, granularity),
        "compute_precision": "INTEGER",
        "explicit_dequantize": False,
    }
    return _rule(operation, config, regex)


def static(operation: str, granularity: str, regex: str = ".*") -> Rule:
    """Return the rule: weights and activations in int8.

    Args:
        operation: its name, or ``*`` for whatever the quantiser can make int8.
        granularity: of the weights: ``CHANNELWISE`` or ``TENSORWISE``.
        regex: of an operation's scope: the names of its outputs, a semicolon behind each.

    """
    config = {
        "activation_tensor_config": {**_weights(8, "TENSORWISE"), "symmetric": False},
        "weight_tensor_config": _weights(8, granularity),
        "compute_precision": "INTEGER",
        "explicit_dequantize": False,
    }
    return _rule(operation, config, regex)


def apply_recipe(
    float32: bytes,
    recipe: Sequence[Rule],
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> bytes:
    """Return a quantised flatbuffer made from a float32 one.

    Args:
        float32: the flatbuffer.
        recipe: later rules go before earlier ones.
        ranges: the smallest and the largest value of each tensor, by its name, for static rules.

    Raises:
        ExportError: the quantiser failed.

    """
    from ai_edge_quantizer import quantizer

    statistics: dict[str, dict[str, Any]] | None = None
    if ranges is not None:
        statistics = {}
        for tensor in open_undelegated(float32).get_tensor_details():
            if tensor["name"] in ranges:
                rank = (1,) * len(tensor["shape"])  # the quantiser wants arrays of the tensor's
                low, high = (np.full(rank, end, np.float32) for end in ranges[tensor["name"]])
                statistics[tensor["name"]] = {"min": low, "max": high}
    try:
        # Its progress bar appears for large graphs even where it is told not to.
        with contextlib.redirect_stderr(io.StringIO()):
            tool = quantizer.Quantizer(bytearray(float32), list(recipe))
            result = tool.quantize(
                statistics, enable_progress_bar=False, enable_progress_report=False
            )
    except Exception as error:
        raise ExportError(f"AI Edge Quantizer failed: {error}") from error
    return bytes(result.quantized_model)


def _weights(bits: int, granularity: str, dtype: str = "INT") -> dict[str, Any]:
    return {"num_bits": bits, "symmetric": True, "granularity": granularity, "dtype": dtype}


def _rule(
    operation: str, config: Mapping[str, Any], regex: str = ".*", **more: str
) -> dict[str, Any]:
    algorithm = more.get("algorithm", "min_max_uniform_quantize")
    return {"regex": regex, "operation": operation, "algorithm_key": algorithm, "op_config": config}
