"""Puts a network's own weights on the grid of eight bits that int8 has.

A trained network doesn't mind: rounding by inputs moves its answers by 0.002 in the mean.  But
then the int8 file has exactly the weights of the Keras model that was judged, and what is left
between the two is the rounding of activations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from convert.errors import WeightsError
from convert.quantise.export import export_float32
from convert.quantise.graph import Graph
from convert.quantise.plain import find_body, round_body

from .evaluate import inputs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def round_weights(network: keras.Model, pictures: Sequence[NDArray[np.uint8]]) -> None:
    """Round the weights of each convolution with a batch normalisation behind it, in place.

    Normalisation becomes part of the weights and does nothing but add its beta afterwards.

    Args:
        network: a chain of such convolutions, in the order of its layers, and dense layers.
        pictures: (height, width, 3) uint8, BGR, that show what the layers' inputs are like.

    Raises:
        WeightsError: it isn't such a network.

    """
    side = network.input_shape[1]
    graph = Graph(export_float32(network, dtype="float32", size_wh=(side, side)))
    operators = [each for each in find_body(graph) if graph.kind(each) in _CONVOLUTIONS]
    _, factors = round_body(graph, find_body(graph), iter(inputs_of(pictures, side)))
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    found = [layer for layer in network.layers if isinstance(layer, kinds)]
    if len(found) != len(operators):
        raise WeightsError(f"{len(found)} convolutions, {len(operators)} in its graph")
    for layer, operator in zip(found, operators, strict=True):
        kernel, bias = _weights(graph, operator, factors)
        norm = network.get_layer(f"{layer.name}_norm")
        if kernel.shape != layer.kernel.shape:
            raise WeightsError(f"{layer.name}: the graph has its weights in another order")
        layer.set_weights([kernel])
        zeros = np.zeros_like(bias)
        norm.set_weights([zeros + 1, bias, zeros, zeros + 1 - np.float32(norm.epsilon)])


def _weights(
    graph: Graph, operator: Any, factors: dict[int, NDArray[np.float32]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return kernel and bias as Keras has them, without what equalising multiplied them with."""
    kernel, bias = (graph.constant(operator.inputs[at]) for at in (1, 2))
    assert kernel is not None
    assert bias is not None
    made, taken = factors.get(operator.outputs[0]), factors.get(operator.inputs[0])
    by_channel = graph.kind(operator) == "DEPTHWISE_CONV_2D"
    if taken is not None:
        kernel = kernel * taken
    if made is not None:
        kernel = kernel / (made if by_channel else made[:, None, None, None])
        bias = bias / made
    return kernel.transpose((1, 2, 3, 0)).astype(np.float32), bias.astype(np.float32)
