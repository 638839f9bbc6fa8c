"""A float32 TFLite flatbuffer as operations and tensors, to be read and changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES = {0: np.float32, 2: np.int32, 4: np.int64}
"""By the number in TFLite's schema: the types of constants that are looked at."""


class Graph:
    """The one subgraph of a flatbuffer; its tensors go by their index."""

    def __init__(self, flatbuffer: bytes) -> None:
        from ai_edge_litert.tools import flatbuffer_utils

        self._library = flatbuffer_utils
        self._model = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
        (self._graph,) = self._model.subgraphs
        codes = vars(flatbuffer_utils.BuiltinOperator)
        self._kinds: dict[int, str] = {
            code: name for name, code in codes.items() if isinstance(code, int)
        }

    def pack(self) -> bytes:
        """Return the flatbuffer, with what was changed."""
        return bytes(self._library.convert_object_to_bytearray(self._model))

    @property
    def operators(self) -> list[Any]:
        """The operations in order: ``inputs`` and ``outputs`` are lists of tensors."""
        found: list[Any] = self._graph.operators
        return found

    @property
    def kinds(self) -> list[str]:
        """The operations' names in TFLite's schema, such as CONV_2D, in order."""
        return [self.kind(operator) for operator in self.operators]

    @property
    def picture(self) -> int:
        """The graph's input."""
        return int(self._graph.inputs[0])

    def kind(self, operator: Any) -> str:
        """Return an operation's name in TFLite's schema."""
        code: int = self._model.operatorCodes[operator.opcodeIndex].builtinCode
        return self._kinds[code]

    def scope(self, operator: Any) -> str:
        """Return what the quantiser knows an operation by: a semicolon behind each output."""
        return "".join(f"{self.name(output)};" for output in operator.outputs)

    def name(self, tensor: int) -> str:
        """Return a tensor's name."""
        text: bytes = self._graph.tensors[tensor].name
        return text.decode()

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return tuple(map(int, self._graph.tensors[tensor].shape))

    def is_float(self, tensor: int) -> bool:
        """Return whether a tensor is float32."""
        return bool(self._graph.tensors[tensor].type == 0)

    def consumers(self, tensor: int) -> list[Any]:
        """Return the operations that take a tensor."""
        return [each for each in self.operators if tensor in each.inputs]

    def constant(self, tensor: int) -> NDArray[Any] | None:
        """Return a constant's values, or None for what is computed."""
        details = self._graph.tensors[tensor]
        data = self._model.buffers[details.buffer].data
        if data is None or not len(data) or details.type not in _DTYPES:
            return None
        return np.frombuffer(bytes(data), _DTYPES[details.type]).reshape(self.shape(tensor))

    def skip(self, operator: Any) -> None:
        """Take the operation that the picture goes into off: its output becomes the input."""
        self.operators.remove(operator)
        (tensor,) = operator.outputs
        details, before = self._graph.tensors[tensor], self._graph.tensors[self.picture]
        details.name, before.name = before.name, details.name  # each name stands once
        self._graph.inputs = [tensor]
        for signature in self._model.signatureDefs or []:
            signature.inputs[0].tensorIndex = tensor

    def replace_constant(self, operator: Any, at: int, values: NDArray[np.float32]) -> None:
        """Give one operation another float32 constant; what others take stays."""
        schema = self._library.schema_fb
        before = int(operator.inputs[at])
        old = self._graph.tensors[before]
        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)
        # The quantiser wants each name once; the converter may name two constants alike.
        tensor.name = b"%s/folded%d" % (old.name, len(self._graph.tensors))
        tensor.shape, tensor.type = list(values.shape), 0
        tensor.buffer = len(self._model.buffers)
        tensor.quantization = schema.QuantizationParametersT()
        operator.inputs[at] = len(self._graph.tensors)
        self._model.buffers.append(buffer)
        self._graph.tensors.append(tensor)
        sharing = {each.buffer for each in self._graph.tensors if each is not old}
        if not self.consumers(before) and old.buffer not in sharing:
            self._model.buffers[old.buffer].data = None  # or the file would keep it
