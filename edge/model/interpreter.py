"""Loads a TFLite runtime, and makes an interpreter of a graph that fits its contract."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import ModelError, RuntimeMissingError

if TYPE_CHECKING:
    from .contract import Contract

_RUNTIMES = ("ai_edge_litert", "tflite_runtime")
# (scale, zero point) of an input that takes a picture's bytes as they are.  A scale of 0 is none:
# the graph itself makes numbers of the bytes.
_ENCODINGS = {"int8": ((1, -128),), "uint8": ((1, 0), (0, 0))}
_CONVERT = (
    "correct the contract, or make a model of one uint8 or int8 picture and one float32 "
    "probability: python -m convert --weights FILE"
)


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


def make_interpreter(flatbuffer: bytes, num_threads: int, name: str) -> Any:
    """Return an interpreter with its tensors allocated.

    Args:
        flatbuffer: must live as long as the interpreter, which reads the weights from it.
        num_threads: the interpreter's.
        name: what to call the model in an error.

    Raises:
        ModelError: the runtime can't run the graph.
        RuntimeMissingError: no TFLite runtime that works is installed.

    """
    interpreter_class = load_interpreter_class()
    try:
        interpreter = interpreter_class(model_content=flatbuffer, num_threads=num_threads)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError, MemoryError) as error:
        reason = " ".join(str(error).split()) or "not enough memory is free"
        runtime = interpreter_class.__module__.split(".")[0]
        raise ModelError(
            f"{name}: {runtime} can't run this model ({reason}); "
            "install a newer ai-edge-litert, or convert the model again"
        ) from error
    return interpreter


def check_tensors(interpreter: Any, contract: Contract, name: str) -> tuple[int, int]:
    """Compare the graph's one input and one output with the contract; return their indices.

    Raises:
        ModelError: they are others; the message says which.

    """
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
