"""A TFLite interpreter around one model file: a picture in, a probability for each label out."""

from __future__ import annotations

import copy
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import PredictionError
from edge.files import printable

from .contract import Contract, parse_contract
from .interpreter import complete, make_interpreter, prepare
from .load import default_model_path, load_model_file
from .preprocess import fill_input

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.results import Timings


_SUM = 1e-3
"""How far from 1 a softmax's float32 sum may be."""


class Classifier:
    """A model file, checked and loaded.  Several threads may call :meth:`predict`.

    Args:
        model: the model file; None is the model that the package ships.
        num_threads: the interpreter's threads.
        contract: the contract, a JSON file, of a TFLite file that has none of its own.

    Raises:
        ModelError: a file is missing, damaged, or asks for what this runtime can't do.
        RuntimeMissingError: no TFLite runtime that works is installed.

    """

    contract: Contract
    document: dict[str, Any]
    """The whole contract, as parsed from the model file's ``model.json``."""

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        num_threads: int = 1,
        contract: str | os.PathLike[str] | None = None,
    ) -> None:
        path = default_model_path() if model is None else os.fspath(model)
        name = printable(os.path.basename(path))
        # The interpreter reads the weights from this buffer as long as it lives.
        self._flatbuffer, self.document = load_model_file(path, contract)
        self._num_threads = num_threads
        interpreter = None
        if contract is not None:
            interpreter = make_interpreter(self._flatbuffer, num_threads, name)
            self.document = complete(self.document, interpreter, name)
        self.contract = parse_contract(self.document, name)
        self._set_up(name, interpreter)

    def _set_up(self, name: str, interpreter: Any = None) -> None:
        self._interpreter = interpreter or make_interpreter(
            self._flatbuffer, self._num_threads, name
        )
        self._input_index, self._output_index = prepare(self._interpreter, self.contract, name)
        # An interpreter has one set of tensors: one picture at a time.
        self._lock = threading.Lock()

    def sibling(self) -> Classifier:
        """Return another interpreter, of one thread, for the same model in the same memory.

        It answers while this one is at work.  The file is neither read nor checked again.
        """
        other = copy.copy(self)
        other._num_threads = 1  # noqa: SLF001 - one of its own class
        other._set_up(self.contract.name)  # noqa: SLF001
        return other

    def predict(
        self, image_bgr: NDArray[np.uint8], timings: Timings | None = None
    ) -> NDArray[np.float64]:
        """Return the probability of each of the contract's labels for a picture.

        Args:
            image_bgr: (height, width, 3) uint8, BGR, 0..255.
            timings: gets the milliseconds of ``resize`` and ``invoke``.

        Returns:
            (number of labels,), each 0..1; their sum is 1, as exactly as the output's encoding has
            it.

        Raises:
            PredictionError: the model's output is no probability (NaN, infinite, not in 0..1, or
                those of a softmax don't add up to 1).

        """
        with self._lock:
            started = time.perf_counter()
            # The view must be gone before invoke(), which refuses to run while one is held.
            fill_input(
                image_bgr, self._interpreter.tensor(self._input_index)()[0], self.contract.input
            )
            filled = time.perf_counter()
            try:
                self._interpreter.invoke()
            except (RuntimeError, ValueError) as error:
                raise PredictionError(
                    f"the model {self.contract.name!r} could not be run: {error}"
                ) from error
            elements = self._interpreter.get_tensor(self._output_index)[0]
            finished = time.perf_counter()
        if timings is not None:
            timings.resize, timings.invoke = (filled - started) * 1e3, (finished - filled) * 1e3
        return self._probabilities(elements)

    def _probabilities(self, elements: NDArray[Any]) -> NDArray[np.float64]:
        """Return the probabilities that the output's elements, (1,) or (number of labels,), say."""
        output = self.contract.output
        values = elements.astype(np.float64)
        slack = 0.0  # what rounding to 8 bits may have added
        if output.dtype != "float32":
            values = (values - output.zero_point) * output.scale
            slack = output.scale / 2
        if not (values.min() >= -slack and values.max() <= 1 + slack):  # NaN compares false
            wrong = next(value for value in values if not -slack <= value <= 1 + slack)
            raise PredictionError(
                f"the model {self.contract.name!r} answered {wrong}, no probability"
            )
        values = values.clip(0.0, 1.0)
        if output.activation == "sigmoid":
            return np.array([1.0 - values[0], values[0]])
        if not abs(total := float(values.sum()) - 1.0) <= _SUM + slack * len(values):
            raise PredictionError(
                f"the model {self.contract.name!r} answered probabilities that add up to "
                f"{total + 1.0:.4g}, not 1"
            )
        return values
