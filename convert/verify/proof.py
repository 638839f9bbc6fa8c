"""Proves that a faster int8 graph gives the plain graph's values, on pictures and bad cases."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import ExportError
from edge.model.interpreter import load_interpreter_class

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Picture = tuple[str, NDArray[np.uint8]]

_SEED = 20260101
_RANDOM = 8
_BYTE_MASK = 0x80
"""What makes an int8 element of a pixel, as the edge does: scale 1, zero point -128."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What was compared, without a difference."""

    pictures: int
    values: int
    """Elements compared, over all pictures."""

    def __str__(self) -> str:
        return f"{self.values} int8 values on {self.pictures} pictures identical"


def body_only(flatbuffer: bytes) -> bytes:
    """Cut the float head off a graph: dense1's int8 values become its output.

    The interpreter then runs the body as it does on the device, delegate and all, and its values
    can be read, which those inside a delegate can't.

    Raises:
        ExportError: the graph has no dense layer.

    """
    import flatbuffers  # type: ignore[import-untyped, unused-ignore]
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(flatbuffer, 0)
    for buffer in model.buffers:
        if buffer.size:  # of data that lies behind the flatbuffer proper
            buffer.data = np.frombuffer(flatbuffer, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    graph = model.subgraphs[0]
    dense = schema.BuiltinOperator.FULLY_CONNECTED
    codes = [model.operatorCodes[each.opcodeIndex].builtinCode for each in graph.operators]
    if dense not in codes:
        raise ExportError("the graph has no dense layer, so no body to compare")
    body = codes.index(dense) + 1
    graph.outputs = graph.operators[body - 1].outputs
    graph.operators = graph.operators[:body]
    model.signatureDefs = []
    builder = flatbuffers.Builder(len(flatbuffer))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def verify(plain: bytes, rewritten: bytes, images: Iterable[Picture], *, threads: int = 1) -> Proof:
    """Compare two graphs' int8 bodies and answers, element by element, and require no difference.

    Besides the pictures given, both see random bytes, random blocks, all 0, all 255 and
    checkerboards.

    Args:
        plain: the quantiser's flatbuffer.
        rewritten: the same, rewritten.
        images: names, and pictures as the edge resizes them: (height, width, 3) uint8, BGR.
        threads: the interpreters' threads.

    Raises:
        ExportError: a value differs; the message names the picture and counts the values.

    """
    bodies = [_open(body_only(flatbuffer), threads) for flatbuffer in (plain, rewritten)]
    wholes = [_open(flatbuffer, threads) for flatbuffer in (plain, rewritten)]
    _, height, width, _ = bodies[0].get_input_details()[0]["shape"]
    pictures = values = 0
    for name, image in chain(images, _hard_cases(int(height), int(width))):
        expected, actual = (_run(body, image) for body in bodies)
        if expected.shape != actual.shape:
            raise ExportError(
                f"the rewritten body gives {actual.shape} values, the plain one {expected.shape}"
            )
        differing = int((expected != actual).sum())
        if differing:
            raise ExportError(
                f"the rewritten graph differs from the plain one on {name}: "
                f"{differing} of {expected.size} int8 values of the body"
            )
        answer, rewritten_answer = (_run(whole, image) for whole in wholes)
        if not np.array_equal(answer, rewritten_answer):
            raise ExportError(
                f"the rewritten graph differs from the plain one on {name}: "
                f"the body's values agree, the answers are {rewritten_answer} and {answer}"
            )
        pictures += 1
        values += expected.size
    return Proof(pictures, values)


def _hard_cases(height: int, width: int) -> Iterator[Picture]:
    """Yield made pictures, (height, width, 3) uint8 each, always the same ones."""
    shape = (height, width, 3)
    yield "all 0", np.zeros(shape, np.uint8)
    yield "all 255", np.full(shape, 255, np.uint8)
    rows, columns = np.indices((height, width))
    for size in (1, 2, 3):
        board = ((rows // size + columns // size) % 2 * 255).astype(np.uint8)
        yield f"checkerboard of {size}", np.repeat(board[..., None], 3, axis=2)
    for channel in range(3):
        one = np.zeros(shape, np.uint8)
        one[..., channel] = 255
        yield f"channel {channel} alone", one
    draw = np.random.default_rng(_SEED)
    for index in range(_RANDOM):
        yield f"random bytes {index}", draw.integers(0, 256, shape, np.uint8)
        yield f"random extremes {index}", draw.integers(0, 2, shape, np.uint8) * np.uint8(255)
        # Even patches, where sums get large and layers saturate.
        coarse = draw.integers(0, 256, (height // 10 + 1, width // 10 + 1, 3), np.uint8)
        blocks = coarse.repeat(10, axis=0).repeat(10, axis=1)[:height, :width]
        yield f"random blocks {index}", np.ascontiguousarray(blocks)


def _open(flatbuffer: bytes, threads: int) -> Any:
    interpreter = load_interpreter_class()(model_content=flatbuffer, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _run(interpreter: Any, image_bgr: NDArray[np.uint8]) -> NDArray[Any]:
    elements = np.bitwise_xor(image_bgr, _BYTE_MASK).view(np.int8)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], elements[None])
    interpreter.invoke()
    output: NDArray[Any] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return output
