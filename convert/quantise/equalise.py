"""Gives the channels of a tensor ranges that are more alike, without changing what the graph says.

An int8 tensor has one scale for all its channels, so that a channel of small values has few steps.
Where a tensor is made and taken by convolutions alone, with nothing between that minds, a channel
may be multiplied where it is made and divided where it is taken (Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", 2019).  Factors are powers of two:
in float32 no answer changes by a bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .graph import Graph

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_BY_CHANNEL = ("ADD", "RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR", "AVERAGE_POOL_2D")
"""What works on each channel alone, and alike on each multiple of it."""
_SCALABLE = (0, 1)
"""Fused activations that a positive factor passes through: none, and ReLU."""
_SHARE = 0.5
"""How far a channel goes towards the largest, on a logarithmic scale: the rest of the way would
cost the weights that take it more than it gives."""
_MOST = 6


def equalise(
    graph: Graph, largest: Mapping[str, NDArray[np.float32]]
) -> dict[int, NDArray[np.float32]]:
    """Change the weights of a graph so that its tensors' channels have ranges more alike.

    Args:
        graph: float32; is changed.
        largest: what the largest magnitude of each channel of a tensor was, by the tensor's name.

    Returns:
        The factor of each channel, by tensor; those that aren't there are as they were.

    """
    factors: dict[int, NDArray[np.float32]] = {}
    for group in _groups(graph):
        seen = [largest[graph.name(each)] for each in group if graph.name(each) in largest]
        if len(seen) < len(group):
            continue
        most = np.max(seen, axis=0)
        ratio = most.max() / np.where(most > 0, most, most.max() or 1.0)
        steps = np.rint(_SHARE * np.log2(np.maximum(ratio, 1.0)))
        factor = np.exp2(np.minimum(steps, _MOST)).astype(np.float32)
        factors |= dict.fromkeys(group, factor)
    for operator in graph.operators:
        if graph.kind(operator) in _CONVOLUTIONS:
            _scale(graph, operator, factors)
    return factors


def _scale(graph: Graph, operator: Any, factors: Mapping[int, NDArray[np.float32]]) -> None:
    made, taken = factors.get(operator.outputs[0]), factors.get(operator.inputs[0])
    if made is None and taken is None:
        return
    kernel: Any = graph.constant(operator.inputs[1])
    if taken is not None:
        kernel = kernel / taken
    if made is not None:
        by_channel = graph.kind(operator) == "DEPTHWISE_CONV_2D"
        kernel = kernel * (made if by_channel else made[:, None, None, None])
        bias = graph.constant(operator.inputs[2]) if len(operator.inputs) > 2 else None
        if bias is not None:
            graph.replace_constant(operator, 2, bias * made)
    graph.replace_constant(operator, 1, kernel)


def _groups(graph: Graph) -> list[list[int]]:
    """Return sets of tensors whose channels can be scaled if all of a set are."""
    leader: dict[int, int] = {}

    def find(tensor: int) -> int:
        while leader.setdefault(tensor, tensor) != tensor:
            tensor = leader[tensor]
        return tensor

    for operator in graph.operators:
        (output, *_), inputs = operator.outputs, operator.inputs
        if graph.kind(operator) in _CONVOLUTIONS:
            find(int(output))
        elif graph.kind(operator) in _BY_CHANNEL:
            count = 2 if graph.kind(operator) == "ADD" else 1
            for each in inputs[:count]:
                leader[find(int(each))] = find(int(output))
    groups: dict[int, list[int]] = {}
    for tensor in leader:
        groups.setdefault(find(tensor), []).append(tensor)
    made_by = {int(each.outputs[0]): each for each in graph.operators}
    return [
        group
        for group in groups.values()
        if all(_may_scale(graph, made_by, each) for each in group)
    ]


def _may_scale(graph: Graph, made_by: Mapping[int, Any], tensor: int) -> bool:
    maker, takers = made_by.get(tensor), graph.consumers(tensor)
    if maker is None or not takers:
        return False
    if getattr(maker.builtinOptions, "fusedActivationFunction", 0) not in _SCALABLE:
        return False
    channels = graph.shape(tensor)[-1]
    if graph.kind(maker) in _CONVOLUTIONS:
        kernel = graph.constant(maker.inputs[1])
        depthwise = graph.kind(maker) == "DEPTHWISE_CONV_2D"
        if kernel is None or (depthwise and graph.shape(maker.inputs[0])[-1] != channels):
            return False
    elif graph.kind(maker) not in _BY_CHANNEL or graph.shape(maker.inputs[0])[-1] != channels:
        return False
    return all(_may_take(graph, each, tensor, channels) for each in takers)


def _may_take(graph: Graph, operator: Any, tensor: int, channels: int) -> bool:
    if graph.kind(operator) in _BY_CHANNEL:
        return graph.shape(operator.outputs[0])[-1] == channels
    if graph.kind(operator) not in _CONVOLUTIONS or operator.inputs[0] != tensor:
        return False
    kernel = graph.constant(operator.inputs[1])
    return kernel is not None and kernel.shape[-1] == channels
