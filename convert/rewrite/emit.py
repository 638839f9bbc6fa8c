"""Adds int8 operations to a graph, each with the shape and the quantisation of its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .body import ZERO_POINT
from .schema import schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .body import Stage
    from .graph import Graph


class Emitter:
    """Writes operations, in order, into :attr:`operators`; tensors go by index.

    Args:
        graph: where the tensors are added.  Its own list of operations stays as it is.

    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.operators: list[Any] = []
        self._viewed: dict[int, int] = {}

    def reshape(self, tensor: int, shape: Sequence[int]) -> int:
        """View a tensor in another shape; nothing where it has that shape already.

        A kernel library copies the tensor for that, so a view of a view is one of the tensor that
        was viewed first; what is left over goes when the graph is written.
        """
        tensor = self._viewed.get(tensor, tensor)
        if self.graph.shape(tensor) == tuple(shape):
            return tensor
        options = schema().ReshapeOptionsT()
        options.newShape = list(shape)
        view = self._add("RESHAPE", 1, [tensor, self._int32(shape)], shape, options)
        self._viewed[view] = tensor
        return view

    def slice(self, tensor: int, begin: Sequence[int], size: Sequence[int]) -> int:
        """Cut a box out of a tensor; nothing where it is the whole."""
        if self.graph.shape(tensor) == tuple(size):
            return tensor
        inputs = [tensor, self._int32(begin), self._int32(size)]
        return self._add("SLICE", 2, inputs, size, schema().SliceOptionsT())

    def gather(self, tensor: int, indices: Sequence[int], axis: int) -> int:
        """Take slices along an axis, in the order of their indices."""
        shape = list(self.graph.shape(tensor))
        shape[axis] = len(indices)
        options = schema().GatherOptionsT()
        options.axis = axis
        return self._add("GATHER", 2, [tensor, self._int32(indices)], shape, options)

    def concatenate(self, tensors: Sequence[int], axis: int) -> int:
        """Join tensors of one quantisation; nothing where there is only one."""
        if len(tensors) == 1:
            return tensors[0]
        shape = list(self.graph.shape(tensors[0]))
        shape[axis] = sum(self.graph.shape(tensor)[axis] for tensor in tensors)
        options = schema().ConcatenationOptionsT()
        options.axis = axis
        return self._add("CONCATENATION", 2, tensors, shape, options)

    def convolve(
        self,
        tensor: int,
        stage: Stage,
        kernel: NDArray[np.int8],
        *,
        stride_hw: tuple[int, int] = (1, 1),
        row_dilation: int = 1,
    ) -> int:
        """Convolve with a kernel whose output channels are a stage's, once or several times over.

        Args:
            tensor: (batch, height, width, in).
            stage: scales and biases.
            kernel: (copies * stage channels, kernel height, kernel width, in).
            stride_hw: vertical and horizontal step.
            row_dilation: vertical distance of the kernel's rows.

        """
        batch, height, width, _ = self.graph.shape(tensor)
        channels, kernel_height, kernel_width, _ = kernel.shape
        copies = channels // stage.channels
        types = schema().TensorType
        weights = self.graph.add_tensor(
            f"{stage.name}/kernel", kernel.shape, types.INT8,
            scale=np.tile(stage.kernel_scale, copies),
            zero_point=np.zeros(channels, np.int64), values=kernel,
        )  # fmt: skip
        bias = self.graph.add_tensor(
            f"{stage.name}/bias", (channels,), types.INT32,
            scale=np.tile(stage.bias_scale, copies),
            zero_point=np.zeros(channels, np.int64), values=np.tile(stage.bias, copies),
        )  # fmt: skip
        shape = (
            batch,
            (height - (kernel_height - 1) * row_dilation - 1) // stride_hw[0] + 1,
            (width - kernel_width) // stride_hw[1] + 1,
            channels,
        )
        options = schema().Conv2DOptionsT()
        options.padding = schema().Padding.VALID
        options.fusedActivationFunction = schema().ActivationFunctionType.RELU
        options.strideH, options.strideW = stride_hw
        options.dilationHFactor, options.dilationWFactor = row_dilation, 1
        inputs = [tensor, weights, bias]
        return self._add("CONV_2D", 3, inputs, shape, options, scale=stage.out_scale)

    def dense(self, operator: Any, tensor: int, kernel: NDArray[np.int8]) -> None:
        """Add a dense layer of the plain graph with another input and rearranged weights.

        Args:
            operator: the plain layer; its output, options, scales and bias stay.
            tensor: the input, of any shape: (batch, height, width, channels), flattened as it is.
            kernel: (units, inputs).

        """
        plain = int(operator.inputs[1])
        scale, zero_point = self.graph.quantization(plain)
        weights = self.graph.add_tensor(
            "dense1/kernel", kernel.shape, self.graph.dtype(plain),
            scale=scale, zero_point=zero_point, values=kernel,
        )  # fmt: skip
        operator.inputs = [tensor, weights, *operator.inputs[2:]]
        self.operators.append(operator)

    def max_pool(self, tensor: int, window_hw: tuple[int, int]) -> int:
        """Take the maximum over windows that lie side by side; what is left over is dropped."""
        batch, height, width, channels = self.graph.shape(tensor)
        shape = (batch, height // window_hw[0], width // window_hw[1], channels)
        options = schema().Pool2DOptionsT()
        options.padding = schema().Padding.VALID
        options.filterHeight, options.filterWidth = window_hw
        options.strideH, options.strideW = window_hw
        return self._add("MAX_POOL_2D", 2, [tensor], shape, options)

    def _int32(self, values: Sequence[int]) -> int:
        array = np.asarray(values, np.int32)
        return self.graph.add_tensor("shape", array.shape, schema().TensorType.INT32, values=array)

    def _add(
        self,
        name: str,
        version: int,
        inputs: Sequence[int],
        shape: Sequence[int],
        options: Any,
        *,
        scale: NDArray[np.float32] | None = None,
    ) -> int:
        """Add an operation; its output has the quantisation of its first input unless told."""
        zero_point = np.array([ZERO_POINT], np.int64)
        if scale is None:
            scale, zero_point = self.graph.quantization(inputs[0])
        kind = schema().TensorType.INT8
        label = f"{name.lower()}{len(self.operators)}"
        output = self.graph.add_tensor(label, shape, kind, scale=scale, zero_point=zero_point)
        operator = self.graph.make_operator(name, version, inputs, output, options)
        self.operators.append(operator)
        return output
