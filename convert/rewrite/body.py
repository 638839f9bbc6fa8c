"""The int8 body of the plain graph, read into arrays, and what of it can't reach the output.

The body is conv1, pool1, conv2, pool2, flatten, dense1.  Every layer's output is ReLU's, so its
zero point is -128: the byte that stands for 0, and also the lowest there is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import ExportError

from .dead import at_least_one
from .schema import schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .graph import Graph

ZERO_POINT = -128
_HIGHEST = 127 - ZERO_POINT
"""The largest difference of an element from its zero point, as of a pixel from 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A convolution (stride 1, no padding, ReLU) and the 2x2 max-pooling behind it."""

    name: str
    kernel: NDArray[np.int8]
    """(out, height, width, in); zero point 0."""
    kernel_scale: NDArray[np.float32]
    """(out,)"""
    bias: NDArray[np.int32]
    """(out,)"""
    bias_scale: NDArray[np.float32]
    """(out,)"""
    out_scale: NDArray[np.float32]
    """(1,), of the convolution's and the pool's output; their zero point is -128."""

    @property
    def channels(self) -> int:
        """How many channels come out."""
        return int(self.kernel.shape[0])

    def keep_outputs(self, live: NDArray[np.bool_]) -> Stage:
        """Return the stage with only some of its output channels."""
        return replace(
            self,
            kernel=self.kernel[live],
            kernel_scale=self.kernel_scale[live],
            bias=self.bias[live],
            bias_scale=self.bias_scale[live],
        )

    def keep_inputs(self, live: NDArray[np.bool_]) -> Stage:
        """Return the stage with only some of its input channels."""
        return replace(self, kernel=np.ascontiguousarray(self.kernel[..., live]))


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """The plain graph's int8 body."""

    input_hw: tuple[int, int]
    stages: tuple[Stage, Stage]
    dense: NDArray[np.int8]
    """(units, height, width, channels): dense1's weights, by what of pool2 they weigh."""
    operators: int
    """How many of the graph's first operations the stages and the flattening take."""


def read_body(graph: Graph) -> Body:
    """Read the body of a graph as :func:`convert.export.quantise` writes it.

    Raises:
        ExportError: any operation, option or zero point is not as expected.

    """
    kinds = schema().BuiltinOperator
    expected = [kinds.CONV_2D, kinds.MAX_POOL_2D] * 2 + [kinds.RESHAPE, kinds.FULLY_CONNECTED]
    found = [graph.code(operator) for operator in graph.operators[: len(expected)]]
    _require(found == expected, f"its operations are {found}, expected {expected}")
    conv1, pool1, conv2, pool2, flatten, dense = graph.operators[: len(expected)]
    chain = [graph.input]
    for operator in (conv1, pool1, conv2, pool2, flatten, dense):
        _require(operator.inputs[0] == chain[-1], "its operations are not one chain")
        chain.append(int(operator.outputs[0]))
    for tensor in chain[:-1]:
        kind = graph.dtype(tensor)
        _require(kind == schema().TensorType.INT8, f"tensor {tensor} is of type {kind}, not int8")
        zero_point = graph.quantization(tensor)[1].tolist()
        _require(zero_point == [ZERO_POINT], f"tensor {tensor} has the zero point {zero_point}")
    shape = graph.shape(chain[4])
    weights = graph.values(int(dense.inputs[1]), np.int8)
    _require(weights.shape[1] == np.prod(shape), "dense1 doesn't fit pool2")
    return Body(
        input_hw=graph.shape(graph.input)[1:3],  # type: ignore[arg-type]
        stages=(_stage("conv1", graph, conv1, pool1), _stage("conv2", graph, conv2, pool2)),
        dense=weights.reshape(-1, *shape[1:]),
        operators=len(expected) - 1,
    )


def drop_dead(body: Body) -> Body:
    """Leave out channels that can't change the body's output.

    A channel is dead if its largest possible sum is not positive, and its least one still an int32
    so that none wraps around.  It is then requantised to at most 0 and clamped there, so every
    element is the zero point, pooled or not.  The next layer subtracts the zero point first: the
    channel adds exactly 0 to each of its sums, and no bias has to change.  A channel that nothing
    weighs, all its weights in the next layer 0, is dead likewise.  At least one channel is kept,
    for the graph to stay one.
    """
    first, second = body.stages
    live1 = at_least_one(_alive(first) & second.kernel.any(axis=(0, 1, 2)))
    first, second = first.keep_outputs(live1), second.keep_inputs(live1)
    live2 = at_least_one(_alive(second) & body.dense.any(axis=(0, 1, 2)))
    second = second.keep_outputs(live2)
    dense = np.ascontiguousarray(body.dense[..., live2])
    smaller = replace(body, stages=(first, second), dense=dense)
    # A channel of conv2 that went may have been the only one to weigh a channel of conv1.
    if np.all(live1) and np.all(live2):
        return smaller
    return drop_dead(smaller)


def _alive(stage: Stage) -> NDArray[np.bool_]:
    """Tell which output channels can be above their zero point, for some input."""
    wide = stage.kernel.astype(np.int64)
    highest = stage.bias + _HIGHEST * np.maximum(wide, 0).sum(axis=(1, 2, 3))
    least = stage.bias + _HIGHEST * np.minimum(wide, 0).sum(axis=(1, 2, 3))
    alive: NDArray[np.bool_] = (highest > 0) | (least < np.iinfo(np.int32).min)
    return alive


def _stage(name: str, graph: Graph, conv: Any, pool: Any) -> Stage:
    valid, relu = schema().Padding.VALID, schema().ActivationFunctionType.RELU
    options = conv.builtinOptions
    found = (
        options.padding, options.fusedActivationFunction, options.strideH, options.strideW,
        options.dilationHFactor, options.dilationWFactor,
    )  # fmt: skip
    _require(found == (valid, relu, 1, 1, 1, 1), f"{name} has the options {found}")
    options = pool.builtinOptions
    found = (
        options.padding, options.fusedActivationFunction, options.strideH, options.strideW,
        options.filterHeight, options.filterWidth,
    )  # fmt: skip
    _require(found == (valid, 0, 2, 2, 2, 2), f"the pool behind {name} has the options {found}")
    kernel, bias = int(conv.inputs[1]), int(conv.inputs[2])
    out_scale, _ = graph.quantization(int(conv.outputs[0]))
    pool_scale, _ = graph.quantization(int(pool.outputs[0]))
    _require(np.array_equal(out_scale, pool_scale), f"the pool behind {name} changes the scale")
    kernel_scale, kernel_zero = graph.quantization(kernel)
    channels = graph.shape(kernel)[0]
    _require(kernel_scale.size == channels, f"{name} is not quantised channel by channel")
    _require(not kernel_zero.any(), f"{name}'s kernel has zero points other than 0")
    bias_scale, _ = graph.quantization(bias)
    return Stage(
        name=name,
        kernel=graph.values(kernel, np.int8),
        kernel_scale=kernel_scale,
        bias=graph.values(bias, np.int32),
        bias_scale=bias_scale,
        out_scale=out_scale,
    )


def _require(holds: object, what: str) -> None:
    if not holds:
        message = f"the int8 graph is not as the quantiser writes it, so not rewritten: {what}"
        raise ExportError(message)
