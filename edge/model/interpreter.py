"""Loads a TFLite runtime, and makes an interpreter of a graph that fits its contract."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import ModelError, RuntimeMissingError
from edge.files import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .contract import InputSpec, OutputSpec

_RUNTIMES = ("ai_edge_litert", "tflite_runtime")
_CONVERT = "correct the contract, or make a model with one: python -m convert --weights FILE"


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
    """Return an interpreter that knows its graph; :func:`prepare` makes it ready to run.

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
        return interpreter_class(model_content=flatbuffer, num_threads=num_threads)
    except (RuntimeError, ValueError, MemoryError) as error:
        raise _cant_run(name, interpreter_class, error) from error


def _cant_run(name: str, interpreter_class: type, error: Exception) -> ModelError:
    reason = " ".join(str(error).split()) or "not enough memory is free"
    runtime = interpreter_class.__module__.split(".")[0]
    return ModelError(
        f"{name}: {runtime} can't run this model ({reason}); "
        "install a newer ai-edge-litert, or convert the model again"
    )


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a graph."""

    index: int
    shape: tuple[int, ...]
    """With a batch of 1, and -1 for a side that the graph leaves open."""
    dtype: str
    scale: float
    """A value is ``scale * (element - zero_point)``; 1.0 and 0 where the graph has no such rule."""
    zero_point: int


def read_tensors(interpreter: Any, name: str, *, to_map: bool = False) -> tuple[Tensor, Tensor]:
    """Return the graph's one input, a picture, and its one output, a row of numbers or a map.

    Raises:
        ModelError: it has others.

    """
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if (len(inputs), len(outputs)) != (1, 1):
        raise ModelError(
            f"{name}: the graph has {len(inputs)} inputs and {len(outputs)} outputs, where one "
            f"picture goes in and one answer comes out; {_CONVERT}"
        )
    picture, answer = _tensor(inputs[0], name), _tensor(outputs[0], name)
    fitting, asked = answer.shape[:-1] == (1,), "one row of numbers, (1, count)"
    if to_map:
        fitting = answer.shape[::3] == (1, 1) and min(answer.shape) > 0
        asked = "one map, (1, height, width, 1)"
    for what, tensor, fits, expected in (
        ("input", picture, picture.shape[::3] == (1, 3), "one picture, (1, height, width, 3)"),
        ("output", answer, fitting, asked),
    ):
        if not fits or tensor.dtype not in ("float32", "uint8", "int8"):
            raise ModelError(
                f"{name}: the graph's {what} is {tensor.shape} {tensor.dtype}, not {expected} of "
                f"float32, uint8 or int8; {_CONVERT}"
            )
    return picture, answer


def _tensor(details: Mapping[str, Any], name: str) -> Tensor:
    if len(details["quantization_parameters"]["scales"]) > 1:
        raise ModelError(
            f"{name}: the graph's {printable(details['name'])} has a scale for each channel, where "
            f"one for all is understood; {_CONVERT}"
        )
    scale, zero_point = details["quantization"]
    batch, *sides = map(int, details["shape_signature"])
    return Tensor(
        index=int(details["index"]),
        shape=(1 if batch == -1 else batch, *sides),
        dtype=details["dtype"].__name__,
        scale=float(scale) or 1.0,
        zero_point=int(zero_point) if scale else 0,
    )


def complete(document: Mapping[str, Any], interpreter: Any, name: str) -> dict[str, Any]:
    """Return a contract that someone wrote, with what the graph itself says where it is left out.

    Those are width, height, dtype, scale and zero point.  Raises what :func:`read_tensors` raises.
    """
    picture, answer = read_tensors(interpreter, name)
    _, height, width, _ = picture.shape
    size = {key: side for key, side in (("width", width), ("height", height)) if side > 0}
    known = {"input": {**size, **_encoding(picture)}, "output": _encoding(answer)}
    return {
        **document,
        **{
            key: {**said, **given}
            for key, said in known.items()
            if isinstance(given := document.get(key, {}), dict)
        },
    }


def _encoding(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": tensor.dtype, "scale": tensor.scale, "zero_point": tensor.zero_point}


def prepare(
    interpreter: Any, spec: InputSpec, output: OutputSpec, count: int | None, name: str
) -> tuple[int, int]:
    """Make an interpreter ready to run; return the indices of its input and its output.

    Args:
        interpreter: as :func:`make_interpreter` made it.
        spec: what the contract says of the input.
        output: what it says of the output.
        count: how many numbers the output has; None where it is a map.
        name: what to call the model in an error.

    Raises:
        ModelError: they are others than the contract says (the message has both), or the runtime
            can't run the graph.

    """
    picture, answer = read_tensors(interpreter, name, to_map=count is None)
    open_size = -1 in picture.shape
    width, height = spec.size_wh
    if open_size:
        picture = replace(picture, shape=(1, height, width, 3))
    expected = answer.shape if count is None else (1, count)
    _compare("input", picture, (1, height, width, 3), spec, name)
    _compare("output", answer, expected, output, name)
    try:
        if open_size:
            interpreter.resize_tensor_input(picture.index, picture.shape, strict=True)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError, MemoryError) as error:
        raise _cant_run(name, type(interpreter), error) from error
    return picture.index, answer.index


def _compare(
    what: str, actual: Tensor, shape: tuple[int, ...], spec: InputSpec | OutputSpec, name: str
) -> None:
    if (actual.shape, actual.dtype) != (shape, spec.dtype):
        raise ModelError(
            f"{name}: the graph's {what} is {actual.shape} {actual.dtype}, its contract says "
            f"{shape} {spec.dtype}; {_CONVERT}"
        )
    # The graph's are float32, a contract's may have been rounded to be read by people.
    if (actual.scale, actual.zero_point) != (float(np.float32(spec.scale)), spec.zero_point):
        raise ModelError(
            f"{name}: the graph's {what} has (scale, zero point) "
            f"{(actual.scale, actual.zero_point)}, its contract says "
            f"{(spec.scale, spec.zero_point)}; {_CONVERT}"
        )
