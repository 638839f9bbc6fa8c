"""Rounds weights to int8 so that what a layer gives changes least, instead of each weight.

Rounded to the nearest, each weight is off by up to half a step, and a deep network adds that up:
in EfficientNet-Lite0 it was 80 % of what int8 cost.  Here the error of a weight is made good by
those not yet rounded, and by the bias, as far as a layer's inputs go together on the calibration
pictures: Hassibi and Stork, "Second order derivatives for network pruning: Optimal Brain Surgeon",
1992; Frantar et al., "GPTQ", 2022.  The quantiser's own GPTQ knows dense layers only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .graph import Graph

_STEPS = 127
"""A weight becomes -127..127 times its scale."""
_PLACES = 64
"""At how many places a layer's inputs are looked at in each picture, drawn anew each time."""
_TAPS = 5000
"""Layers with more weights to an output are rounded to the nearest: their second moments would
take a hundred megabytes each, and a dense layer behind Flatten has as many inputs as pictures
can't tell apart."""
_DAMPING = 0.01
_SEED = 1


@dataclass(slots=True, eq=False)
class Rounding:
    """The layers of a graph whose weights are rounded, and what their inputs are like."""

    graph: Graph
    layers: list[_Layer] = field(default_factory=list)
    draw: np.random.Generator = field(default_factory=lambda: np.random.default_rng(_SEED))

    @classmethod
    def of(cls, graph: Graph, operators: Sequence[Any]) -> Rounding:
        """Return it for those of the operations that can be rounded."""
        layers = (_Layer.of(graph, each) for each in operators)
        return cls(graph, [each for each in layers if each])

    def look(self, values: Mapping[str, NDArray[np.float32]]) -> None:
        """Take what the graph's tensors hold for one picture into account, by their names."""
        for layer in self.layers:
            source = values[self.graph.name(layer.operator.inputs[0])]
            layer.look(self.graph, source, self.draw)

    def scale(self, factors: Mapping[int, NDArray[np.float32]]) -> None:
        """Take into account that tensors' channels were multiplied since; factors by tensor."""
        for layer in self.layers:
            if (factor := factors.get(layer.operator.inputs[0])) is not None:
                layer.scale(self.graph, factor)

    def apply(self) -> None:
        """Replace the graph's weights by rounded ones, still float32, and the biases."""
        for layer in self.layers:
            layer.apply(self.graph)


@dataclass(slots=True, eq=False)
class _Layer:
    operator: Any
    kind: str
    moments: NDArray[np.float32]
    """(groups, taps, taps): the sum of x xᵀ over the places, with a 1 behind x for the bias."""
    count: int = 0

    @classmethod
    def of(cls, graph: Graph, operator: Any) -> _Layer | None:
        kind = graph.kind(operator)
        if kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            return None
        kernel, bias = graph.constant(operator.inputs[1]), _bias(graph, operator)
        channels = graph.shape(operator.inputs[0])[-1]
        if kernel is None or kernel.shape[-1] != channels:
            return None  # a grouped convolution, or a depthwise one with several outputs a channel
        groups = channels if kind == "DEPTHWISE_CONV_2D" else 1
        taps = kernel[0].size // groups + (bias is not None)
        if taps > _TAPS:
            return None
        return cls(operator, kind, np.zeros((groups, taps, taps), np.float32))

    def look(self, graph: Graph, values: NDArray[np.float32], draw: np.random.Generator) -> None:
        if self.kind == "FULLY_CONNECTED":
            seen = values.reshape(1, -1, values.shape[-1])
        else:
            seen = _windows(graph, self.operator, values[0], draw)
            flat = seen.reshape(1, len(seen), -1)
            seen = flat if self.kind == "CONV_2D" else seen.transpose(2, 0, 1)
        if self.moments.shape[1] > seen.shape[2]:
            seen = np.concatenate([seen, np.ones((*seen.shape[:2], 1), np.float32)], axis=2)
        self.moments += seen.transpose(0, 2, 1) @ seen
        self.count += seen.shape[1]

    def scale(self, graph: Graph, factor: NDArray[np.float32]) -> None:
        places = math.prod(graph.shape(self.operator.inputs[1])[1:3])
        by_channel = self.kind == "DEPTHWISE_CONV_2D"
        taps = (
            np.repeat(factor[:, None], places, 1) if by_channel else np.tile(factor, places)[None]
        )
        rest = np.ones((len(taps), self.moments.shape[1] - taps.shape[1]), np.float32)
        taps = np.concatenate([taps, rest], axis=1)
        self.moments *= taps[:, :, None] * taps[:, None]

    def apply(self, graph: Graph) -> None:
        kernel, bias = graph.constant(self.operator.inputs[1]), _bias(graph, self.operator)
        assert kernel is not None
        by_channel = self.kind == "DEPTHWISE_CONV_2D"
        flat = kernel.reshape(-1, kernel.shape[-1]).T[:, None] if by_channel else kernel[None]
        weights = flat.astype(np.float64).reshape(*flat.shape[:2], -1)
        per_tensor = self.kind == "FULLY_CONNECTED"
        scale = np.abs(weights).max(axis=None if per_tensor else 2, keepdims=True) / _STEPS
        biases = np.zeros((*weights.shape[:2], 0))
        if bias is not None:
            biases = bias.astype(np.float64).reshape(*weights.shape[:2], 1)
        moments = self.moments.astype(np.float64) / max(self.count, 1)
        weights, biases = _round(weights, biases, np.where(scale == 0, 1.0, scale), moments)
        flat = weights[:, 0].T if by_channel else weights
        graph.replace_constant(self.operator, 1, flat.reshape(kernel.shape).astype(np.float32))
        if bias is not None:
            graph.replace_constant(self.operator, 2, biases.reshape(-1).astype(np.float32))


def _bias(graph: Graph, operator: Any) -> NDArray[Any] | None:
    has_one = len(operator.inputs) > 2 and operator.inputs[2] >= 0
    return graph.constant(operator.inputs[2]) if has_one else None


def _windows(
    graph: Graph, operator: Any, values: NDArray[np.float32], draw: np.random.Generator
) -> NDArray[np.float32]:
    """Return what the kernel sees at some places of (height, width, channels).

    Returns:
        (places, taps, channels).

    """
    options = operator.builtinOptions
    kernel_sides, out_sides = graph.shape(operator.inputs[1])[1:3], graph.shape(operator.outputs[0])
    total = out_sides[1] * out_sides[2]
    places = np.unravel_index(
        draw.choice(total, min(total, _PLACES), replace=False), out_sides[1:3]
    )
    steps = (options.strideH, options.strideW)
    dilations = (options.dilationHFactor, options.dilationWFactor)
    taken, padding = [], []
    for axis in range(2):
        taps = np.arange(kernel_sides[axis]) * dilations[axis]
        taken.append(places[axis][:, None] * steps[axis] + taps)
        needed = (out_sides[1 + axis] - 1) * steps[axis] + taps[-1] + 1
        rest = max(int(needed) - values.shape[axis], 0)  # padding "same", as TensorFlow has it
        padding.append((rest // 2, rest - rest // 2))
    rows, columns = taken
    padded = np.pad(values, (*padding, (0, 0)))
    seen: NDArray[np.float32] = padded[rows[:, :, None], columns[:, None]]
    return seen.reshape(len(rows), -1, values.shape[2])


def _round(
    weights: NDArray[np.float64],
    biases: NDArray[np.float64],
    scale: NDArray[np.float64],
    moments: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Round weights to whole multiples of their scale.

    Args:
        weights: (groups, outputs, taps).
        biases: (groups, outputs, 1 or 0): they are not rounded.
        scale: broadcasts against the weights.  The weight that is 127 times it stays, so that the
            quantiser finds the same scale.
        moments: (groups, taps + biases, taps + biases), of the inputs and the 1 for the bias.

    Returns:
        The rounded weights, and the biases.

    """
    groups, _, taps = weights.shape
    power = np.einsum("gii->gi", moments)
    # The inputs of most power first; the bias last, to take what is left.
    order = np.argsort(-power[:, :taps], axis=1, kind="stable")
    order = np.concatenate([order, np.arange(taps, power.shape[1])[None].repeat(groups, 0)], axis=1)
    moments = np.take_along_axis(moments, order[:, :, None], 1)
    moments = np.take_along_axis(moments, order[:, None, :], 2)
    damping = np.maximum(_DAMPING * power.mean(axis=1), 1e-12)[:, None, None]
    inverse = np.linalg.inv(moments + damping * np.eye(power.shape[1]))
    upper = np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2).transpose(0, 2, 1)

    left = np.take_along_axis(np.concatenate([weights, biases], axis=2), order[:, None, :], 2)
    scale = scale[..., 0]
    signs, pinned = np.sign(left), np.abs(left) > (_STEPS - 1e-6) * scale[..., None]
    for at in range(taps):
        column = left[:, :, at].copy()
        whole = np.clip(np.rint(column / scale), -_STEPS, _STEPS)
        whole = np.where(pinned[:, :, at], signs[:, :, at] * _STEPS, whole)
        left[:, :, at] = whole * scale
        error = (column - left[:, :, at]) / upper[:, at, at, None]
        left[:, :, at + 1 :] -= error[:, :, None] * upper[:, at, None, at + 1 :]
    left = np.take_along_axis(left, np.argsort(order, axis=1)[:, None, :], 2)
    return left[:, :, :taps], left[:, :, taps:]
