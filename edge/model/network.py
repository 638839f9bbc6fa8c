"""A TFLite graph at work: a picture in, the numbers of its one output out."""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.errors import PredictionError

from .interpreter import make_interpreter, prepare
from .preprocess import fill_input

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self  # in the standard library from Python 3.11 on

    from edge.results import Timings

    from .contract import InputSpec, OutputSpec


@dataclass(frozen=True, slots=True)
class Graph:
    """A flatbuffer, and what the contract says of its input and output."""

    flatbuffer: bytes
    input: InputSpec
    output: OutputSpec
    count: int | None
    """How many numbers come out, (1, count); None is a map, (1, height, width, 1)."""
    title: str
    """What it is called where it fails on a picture."""


class Network:
    """A graph in an interpreter of its own.  Several threads may call it.

    Args:
        graph: what runs.
        name: what to call the model file in an error.
        num_threads: the interpreter's threads.
        interpreter: the graph's, if there is one already.

    Raises:
        ModelError: the graph isn't as the contract says, or this runtime can't run it.
        RuntimeMissingError: no TFLite runtime that works is installed.

    """

    def __init__(
        self, graph: Graph, name: str, *, num_threads: int = 1, interpreter: Any = None
    ) -> None:
        # The interpreter reads the weights from the flatbuffer as long as it lives.
        self._graph, self._name = graph, name
        self._set_up(interpreter or make_interpreter(graph.flatbuffer, num_threads, name))

    def _set_up(self, interpreter: Any) -> None:
        graph = self._graph
        self._interpreter = interpreter
        self._input_index, self._output_index = prepare(
            interpreter, graph.input, graph.output, graph.count, self._name
        )
        # An interpreter has one set of tensors: one picture at a time.
        self._lock = threading.Lock()

    def sibling(self) -> Self:
        """Return another interpreter, of one thread, for the same model in the same memory.

        It answers while this one is at work.  The file is neither read nor checked again.
        """
        other = copy.copy(self)
        other._set_up(make_interpreter(self._graph.flatbuffer, 1, self._name))  # noqa: SLF001
        return other

    def _run(
        self, image_bgr: NDArray[np.uint8], dtype: type[np.floating[Any]], timings: Timings | None
    ) -> NDArray[Any]:
        """Return the output's values without its batch, of the dtype, each a probability 0..1.

        Raises:
            PredictionError: they are none.

        """
        with self._lock:
            started = time.perf_counter()
            # The view must be gone before invoke(), which refuses to run while one is held.
            fill_input(
                image_bgr, self._interpreter.tensor(self._input_index)()[0], self._graph.input
            )
            filled = time.perf_counter()
            try:
                self._interpreter.invoke()
            except (RuntimeError, ValueError) as error:
                raise PredictionError(f"{self._graph.title} could not be run: {error}") from error
            elements = self._interpreter.get_tensor(self._output_index)[0]
            finished = time.perf_counter()
        if timings is not None:
            timings.resize, timings.invoke = (filled - started) * 1e3, (finished - filled) * 1e3
        output = self._graph.output
        values: NDArray[Any] = elements.astype(dtype)
        if output.dtype != "float32":
            values = (values - dtype(output.zero_point)) * dtype(output.scale)
        slack = self._slack
        if not (values.min() >= -slack and values.max() <= 1 + slack):  # NaN compares false
            wrong = next(value for value in values.flat if not -slack <= value <= 1 + slack)
            raise PredictionError(f"{self._graph.title} answered {wrong}, no probability")
        return values.clip(0.0, 1.0)

    @property
    def _slack(self) -> float:
        """How far rounding to 8 bits may have moved a value."""
        output = self._graph.output
        return 0.0 if output.dtype == "float32" else output.scale / 2
