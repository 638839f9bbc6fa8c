"""A TFLite interpreter around one model file: a picture in, P(malignant) out."""

from __future__ import annotations

import copy
import importlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import ModelError, PredictionError, RuntimeMissingError
from edge.files import open_regular, printable, read_bounded

from .contract import Contract, parse_contract
from .file import MAX_CONTRACT_BYTES, describe, unpack, unpack_beside
from .preprocess import resize_into

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.results import Timings

MAX_MODEL_BYTES = 256 << 20
_RUNTIMES = ("ai_edge_litert", "tflite_runtime")
_MAX_DEFAULT_THREADS = 4
# (scale, zero point) of an input that takes a picture's bytes as they are.  A scale of 0 is none:
# the graph itself makes numbers of the bytes.
_ENCODINGS = {"int8": ((1, -128),), "uint8": ((1, 0), (0, 0))}
_CONVERT = (
    "correct the contract, or make a model of one uint8 or int8 picture and one float32 "
    "probability: python -m convert --weights FILE"
)


class Classifier:
    """A model file, checked and loaded.  Several threads may call :meth:`predict`.

    Args:
        model: the model file; None is the model that the package ships.
        threads: the interpreter's threads; None is one for each core that this process may
            use, four at most.
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
        threads: int | None = None,
        contract: str | os.PathLike[str] | None = None,
    ) -> None:
        path = default_model_path() if model is None else os.fspath(model)
        name = printable(os.path.basename(path))
        flatbuffer, self.document = load_model_file(path, contract)
        self.contract = parse_contract(self.document, name)
        self.threads = default_threads() if threads is None else threads
        # The interpreter reads the weights from this buffer as long as it lives.
        self._flatbuffer = flatbuffer
        self._set_up(name)

    def _set_up(self, name: str) -> None:
        self._interpreter = _make_interpreter(self._flatbuffer, self.threads, name)
        self._input_index, self._output_index = _check_tensors(
            self._interpreter, self.contract, name
        )
        # An interpreter has one set of tensors: one picture at a time.
        self._lock = threading.Lock()

    def sibling(self) -> Classifier:
        """Return another interpreter, of one thread, for the same model in the same memory.

        It answers while this one is at work.  The file is neither read nor checked again.
        """
        other = copy.copy(self)
        other.threads = 1
        other._set_up(self.contract.name)  # noqa: SLF001 - one of its own class
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


def default_threads() -> int:
    """Return how many threads the interpreter gets unless told: one a core, four at most.

    Measured on two cores, the segmentation beside it (``python -m benchmarks.one_picture``): two
    threads are as fast as one where the model takes 0.2 ms, as the default one does, and make the
    whole 5 % faster where it takes 1.1 ms.  Four cores are not measured; by the same reasoning a
    fifth thread, the segmentation's, costs little, since it has ended before a slow model has.
    """
    return min(usable_cores(), _MAX_DEFAULT_THREADS)


def usable_cores() -> int:
    """Return how many processor cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def default_model_path() -> str:
    """Return where the model is that the package ships: installed, or in a checkout."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed, checkout = (
        os.path.join(folder, "models", "lesion-int8.tflite")
        for folder in (package, os.path.dirname(package))
    )
    return installed if os.path.exists(installed) else checkout


def load_model_file(
    path: str | os.PathLike[str], contract: str | os.PathLike[str] | None = None
) -> tuple[bytes, dict[str, Any]]:
    """Read a model file once and return its flatbuffer and its contract, checked by hash.

    Args:
        path: the model file.
        contract: the contract's file, where the model is a TFLite file without one.

    Raises:
        ModelError: missing, unreadable, too large, or not exactly as it was written.

    """
    name = printable(os.path.basename(path))
    data = _read(path, MAX_MODEL_BYTES, "the model")
    if contract is None:
        return unpack(data, name)
    contract_json = _read(contract, MAX_CONTRACT_BYTES, "the contract")
    return data, unpack_beside(data, contract_json, name, printable(contract))


def _read(path: str | os.PathLike[str], max_bytes: int, what: str) -> bytes:
    try:
        with open_regular(path) as stream:
            data = read_bounded(stream, max_bytes)
    except (OSError, ValueError, MemoryError) as error:
        from edge.picture.kinds import identify_folder  # read only where a file is refused

        reason = getattr(error, "strerror", None) or error or "not enough memory is free"
        kind = identify_folder(path) if what == "the model" else None
        problem = "not a model file" if kind else f"{what} can't be read: {reason}"
        from edge.rights import advice

        way_out = advice(path, error)
        text = f"{problem}{way_out}" if way_out else describe(kind, problem)
        raise ModelError(f"{printable(path)}: {text}") from error
    if data is None:
        raise ModelError(
            f"{printable(path)}: larger than the limit of {max_bytes} bytes for {what}"
        )
    return data


def load_interpreter_class() -> Any:
    """Return the Interpreter class of the TFLite runtime that is installed.

    ai-edge-litert comes first; tflite-runtime is its predecessor.

    Raises:
        RuntimeMissingError: neither is there, or the one that is can't work here; the message
            says what to install.

    """
    problems, fixes = [], []
    for package in _RUNTIMES:
        try:
            module = importlib.import_module(f"{package}.interpreter")
            interpreter_class = module.Interpreter
        except Exception as error:  # noqa: BLE001 - a broken package may raise anything
            missing = (package, f"{package}.interpreter")
            if not isinstance(error, ModuleNotFoundError) or error.name not in missing:
                from edge.libraries import explain  # where it loads, nothing has to be explained

                reason, fix = explain(str(error), package.replace("_", "-"))
                problems.append(f"{package} is installed but can't be loaded ({reason}): {fix}")
                fixes.append(fix)
            continue
        if package == "tflite_runtime" and int(np.__version__.split(".")[0]) > 1:
            # It would fail at the first Interpreter, with an error that doesn't say so.
            from edge.libraries import pip

            fix = pip("pip install 'numpy<2' 'opencv-python-headless<4.12'")
            problems.append(f"tflite-runtime needs numpy 1, this is numpy {np.__version__}: {fix}")
            continue
        return interpreter_class
    command = install_command()
    missing_error = RuntimeMissingError(
        f"no TFLite runtime works here: {'; or '.join([*problems, command])}"
    )
    missing_error.fix = (fixes or [command])[0]
    raise missing_error


def install_command() -> str:
    """Return the pip command that installs a runtime for this Python: 32-bit has only the old."""
    from edge.libraries import pip  # no good run needs it

    if sys.maxsize > 2**32:
        return pip("pip install ai-edge-litert")
    return pip("pip install tflite-runtime==2.14.0 'numpy<2' 'opencv-python-headless<4.12'")


def _make_interpreter(flatbuffer: bytes, threads: int, name: str) -> Any:
    interpreter_class = load_interpreter_class()
    try:
        interpreter = interpreter_class(model_content=flatbuffer, num_threads=threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError, MemoryError) as error:
        reason = " ".join(str(error).split()) or "not enough memory is free"
        runtime = interpreter_class.__module__.split(".")[0]
        raise ModelError(
            f"{name}: {runtime} can't run this model ({reason}); "
            "install a newer ai-edge-litert, or convert the model again"
        ) from error
    return interpreter


def _check_tensors(interpreter: Any, contract: Contract, name: str) -> tuple[int, int]:
    """Compare the graph's one input and one output with the contract; return their indices."""
    width, height = contract.input.size_wh
    expected_in = [((1, height, width, 3), contract.input.dtype)]
    expected_out = [((1, 1), "float32")]
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    for what, expected, details in (("in", expected_in, inputs), ("out", expected_out, outputs)):
        actual = [(tuple(map(int, each["shape"])), each["dtype"].__name__) for each in details]
        if actual != expected:
            raise ModelError(
                f"{name}: the graph's {what}put is {actual}, its contract says {expected}; "
                f"{_CONVERT}"
            )
    encoding, taken = inputs[0]["quantization"], _ENCODINGS[contract.input.dtype]
    if encoding not in taken:
        raise ModelError(
            f"{name}: the graph's input has (scale, zero point) {encoding}, not {taken[0]}; "
            f"{_CONVERT}"
        )
    return inputs[0]["index"], outputs[0]["index"]
