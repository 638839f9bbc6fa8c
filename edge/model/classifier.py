"""A TFLite interpreter around one model file: a picture in, P(malignant) out."""

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
from .interpreter import check_tensors, make_interpreter
from .load import default_model_path, load_model_file
from .preprocess import resize_into

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.results import Timings


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
        flatbuffer, self.document = load_model_file(path, contract)
        self.contract = parse_contract(self.document, name)
        self._num_threads = num_threads
        # The interpreter reads the weights from this buffer as long as it lives.
        self._flatbuffer = flatbuffer
        self._set_up(name)

    def _set_up(self, name: str) -> None:
        self._interpreter = make_interpreter(self._flatbuffer, self._num_threads, name)
        self._input_index, self._output_index = check_tensors(
            self._interpreter, self.contract, name
        )
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

    def predict(self, image_bgr: NDArray[np.uint8], timings: Timings | None = None) -> float:
        """Return P(labels[1]) of a picture, 0..1.

        Args:
            image_bgr: (height, width, 3) uint8, BGR, 0..255.
            timings: gets the milliseconds of ``resize`` and ``invoke``.

        Raises:
            PredictionError: the model's output is no probability (NaN, infinite, not in 0..1).

        """
        with self._lock:
            started = time.perf_counter()
            self._fill_input(image_bgr)
            filled = time.perf_counter()
            try:
                self._interpreter.invoke()
            except (RuntimeError, ValueError) as error:
                raise PredictionError(
                    f"the model {self.contract.name!r} could not be run: {error}"
                ) from error
            probability = float(self._interpreter.get_tensor(self._output_index)[0, 0])
            finished = time.perf_counter()
        if not 0.0 <= probability <= 1.0:  # NaN compares false
            raise PredictionError(
                f"the model {self.contract.name!r} answered {probability}, no probability"
            )
        if timings is not None:
            timings.resize, timings.invoke = (filled - started) * 1e3, (finished - filled) * 1e3
        return probability

    def _fill_input(self, image_bgr: NDArray[np.uint8]) -> None:
        # The view must be gone before invoke(), which refuses to run while one is held.
        view = self._interpreter.tensor(self._input_index)()
        resize_into(image_bgr, view[0].view(np.uint8), self.contract.input)
