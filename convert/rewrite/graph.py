"""A TFLite flatbuffer as objects: read, changed, pruned and written, always the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import ExportError

from .schema import aligned_builder, schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FILE_IDENTIFIER = b"TFL3"


class Graph:
    """The one graph of a flatbuffer.  Tensors go by their index, as in the schema.

    Args:
        flatbuffer: the file.  Buffers that it keeps behind the flatbuffer proper, by offset and
            size, are read in and written back inside it.

    Raises:
        ExportError: not one graph with one input and one output.

    """

    def __init__(self, flatbuffer: bytes) -> None:
        self._schema = schema()
        try:
            self._model = self._schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
        except Exception as error:
            message = f"the flatbuffer can't be read: {error}"
            raise ExportError(message) from error
        for buffer in self._model.buffers:
            if buffer.data is None and buffer.size:
                buffer.data = np.frombuffer(flatbuffer, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0
        if len(self._model.subgraphs) != 1:
            message = f"the flatbuffer has {len(self._model.subgraphs)} graphs, not one"
            raise ExportError(message)
        self._graph = self._model.subgraphs[0]
        # Signatures name tensors by index; nothing here reads them.
        self._model.signatureDefs = []
        if len(self._graph.inputs) != 1 or len(self._graph.outputs) != 1:
            message = "the graph must have one input and one output"
            raise ExportError(message)

    @property
    def operators(self) -> list[Any]:
        """The operations in order, as the schema's ``OperatorT``; the list may be changed."""
        operators: list[Any] = self._graph.operators
        return operators

    @property
    def input(self) -> int:
        """The tensor that takes the picture."""
        return int(self._graph.inputs[0])

    @property
    def output(self) -> int:
        """The tensor that holds the answer."""
        return int(self._graph.outputs[0])

    @output.setter
    def output(self, tensor: int) -> None:
        self._graph.outputs = [tensor]

    def code(self, operator: Any) -> int:
        """Return an operation's code, of the schema's ``BuiltinOperator``."""
        code = self._model.operatorCodes[operator.opcodeIndex]
        return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return tuple(map(int, self._graph.tensors[tensor].shape))

    def dtype(self, tensor: int) -> int:
        """Return a tensor's type, of the schema's ``TensorType``."""
        return int(self._graph.tensors[tensor].type)

    def quantization(self, tensor: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return a tensor's scales and zero points, (n,) each; empty if it isn't quantised."""
        found = self._graph.tensors[tensor].quantization
        if found is None or found.scale is None:
            return np.empty(0, np.float32), np.empty(0, np.int64)
        return np.asarray(found.scale, np.float32), np.asarray(found.zeroPoint, np.int64)

    def values(self, tensor: int, dtype: type[np.generic]) -> NDArray[Any]:
        """Return a constant's values, read-only.

        Raises:
            ExportError: the tensor is no constant.

        """
        data = self._model.buffers[self._graph.tensors[tensor].buffer].data
        if data is None:
            message = f"tensor {tensor} of the graph was expected to be a constant"
            raise ExportError(message)
        return np.asarray(data, np.uint8).view(dtype).reshape(self.shape(tensor))

    def add_tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: int,
        *,
        scale: NDArray[np.float32] | None = None,
        zero_point: NDArray[np.int64] | None = None,
        values: NDArray[Any] | None = None,
    ) -> int:
        """Add a tensor; a constant if it has values.  Scales of a weight go by its first axis."""
        tensor = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(shape), dtype, 0
        if scale is not None and scale.size:
            tensor.quantization = self._schema.QuantizationParametersT()
            tensor.quantization.scale = np.asarray(scale, np.float32)
            tensor.quantization.zeroPoint = np.asarray(zero_point, np.int64)
        if values is not None:
            buffer = self._schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            self._model.buffers.append(buffer)
            tensor.buffer = len(self._model.buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def make_operator(
        self, name: str, version: int, inputs: Sequence[int], output: int, options: Any
    ) -> Any:
        """Return an operation; the caller puts it among :attr:`operators`.

        Args:
            name: its name in the schema's ``BuiltinOperator``.
            version: the operation's version, as TFLite counts them.
            inputs: tensors.
            output: a tensor.
            options: the schema's options object, of the type that the operation needs.

        """
        code = self._schema.OperatorCodeT()
        code.builtinCode = getattr(self._schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = version
        self._model.operatorCodes.append(code)
        operator = self._schema.OperatorT()
        operator.opcodeIndex = len(self._model.operatorCodes) - 1
        operator.inputs, operator.outputs = list(inputs), [output]
        kind = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, kind)
        operator.builtinOptions = options
        return operator

    def to_bytes(self) -> bytes:
        """Return the flatbuffer, without anything that the output doesn't need."""
        self._prune_operators()
        self._prune_tensors()
        self._prune_buffers()
        self._merge_codes()
        builder = aligned_builder()
        builder.Finish(self._model.Pack(builder), _FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _prune_operators(self) -> None:
        needed = {self.output}
        for index in reversed(range(len(self.operators))):
            operator = self.operators[index]
            if needed.isdisjoint(map(int, operator.outputs)):
                del self.operators[index]
            else:
                needed.update(map(int, operator.inputs))

    def _prune_tensors(self) -> None:
        used = {self.input, self.output}
        for operator in self.operators:
            used.update(int(i) for i in (*operator.inputs, *operator.outputs) if i >= 0)
        kept = sorted(used)
        new = {old: index for index, old in enumerate(kept)} | {-1: -1}
        for operator in self.operators:
            operator.inputs = [new[int(i)] for i in operator.inputs]
            operator.outputs = [new[int(i)] for i in operator.outputs]
        self._graph.inputs, self._graph.outputs = [new[self.input]], [new[self.output]]
        self._graph.tensors = [self._graph.tensors[old] for old in kept]

    def _prune_buffers(self) -> None:
        empty = self._schema.BufferT()
        buffers = [empty]  # buffer 0 is empty by the schema's rule
        owners = [*self._graph.tensors, *(self._model.metadata or [])]
        for owner in owners:
            data = self._model.buffers[owner.buffer].data
            if data is None:
                owner.buffer = 0
                continue
            buffers.append(self._model.buffers[owner.buffer])
            owner.buffer = len(buffers) - 1
        self._model.buffers = buffers
        self._model.metadataBuffer = None

    def _merge_codes(self) -> None:
        merged: list[Any] = []
        seen: dict[tuple[int, int], int] = {}
        for operator in self.operators:
            code = self._model.operatorCodes[operator.opcodeIndex]
            key = (self.code(operator), int(code.version))
            if key not in seen:
                seen[key] = len(merged)
                merged.append(code)
            operator.opcodeIndex = seen[key]
        self._model.operatorCodes = merged
