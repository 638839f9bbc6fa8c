"""Someone's own TFLite file, packed into one that describes itself.

What the file says (size, dtypes, quantisation) is read from its graph, what it can't say is taken
from a contract of a person's or from options, and asked for, all at once, where nothing says it.
With the Keras model that it came from, it has to pass the same gate as a file made here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.quantise.preprocessing import Preprocessing
from convert.verify.parity import (
    compare,
    edge_answers,
    exceeded,
    keras_answers,
    notes_on_answers,
)
from convert.verify.pictures import resized
from convert.verify.report import Row, time_interleaved
from edge.errors import ModelError, PredictionError
from edge.files import printable
from edge.model.classifier import Classifier
from edge.model.contract import RAW_ENCODINGS, SCHEMA, parse_contract
from edge.model.file import has_contract
from edge.model.interpreter import complete, make_interpreter, read_tensors
from edge.model.load import read_whole
from edge.results import NOTICE

from .contract import identify, manifest_sha256, pack_document
from .errors import ConvertError, UsageError
from .job import counted
from .meaning import ASK_ORDER, ASK_PIXELS, ASK_SIZE, OUTPUT_ORDER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from convert.verify.parity import Budget
    from convert.verify.pictures import SamplePicture
    from convert.weights.file import Weights
    from edge.model.contract import Contract
    from edge.model.interpreter import Tensor

_TIMEOUT_S = 120
_RUN_ONCE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from convert.tflite import run_once; run_once(sys.argv[2])"
)


@dataclass(frozen=True, slots=True)
class Packed:
    """A model file, and how it compares with Keras."""

    data: bytes
    document: Mapping[str, Any]
    """Its contract, as written."""
    contract: Contract
    row: Row | None
    """None where there was no Keras model to compare with; its variant is the graph's own, whatever
    the contract calls it."""
    notes: tuple[str, ...]


def pack_tflite(
    path: Path,
    said: Mapping[str, Any],
    *,
    reference: Weights | None,
    held_out: Sequence[SamplePicture],
    budgets: Mapping[str, Budget],
    rounds: int,
    say: Callable[[str], object],
) -> Packed:
    """Return the model file of a TFLite file that has no contract.

    Args:
        path: the TFLite file.
        said: what a person says of it, a contract or a part of one, unchecked.
        reference: the Keras model that it was made from; None for no comparison.
        held_out: what it is compared on; without a reference, asked about all the same.
        budgets: by variant.
        rounds: timed invokes.
        say: told each step, a line at a time.

    Raises:
        ModelError: no TFLite file, a contract that can't be honoured, or not this file's.
        UsageError: something isn't said, or the file and the reference don't go together.
        ConvertError: its answers are no probabilities.

    """
    name = printable(os.path.basename(path))
    flatbuffer = read_whole(path)
    if has_contract(flatbuffer, name):
        raise UsageError(
            f"{name} has a contract of its own: run it as it is, python -m edge.run PICTURES "
            f"--model {printable(path)}"
        )
    _require_sound(path, name)
    interpreter = make_interpreter(flatbuffer, 1, name)
    document = _describe(said, flatbuffer, interpreter, name)
    contract = parse_contract(document, name)
    document["input"] = contract.input.to_dict()
    document["output"] = {**document["output"], **contract.output.to_dict()}
    say(f"{name}: {contract.variant}, input {contract.input.dtype}, {len(contract.labels)} labels")
    with tempfile.TemporaryDirectory(prefix="lesion-edge-") as folder:
        packed = Path(folder, path.name)
        try:
            packed.write_bytes(pack_document(flatbuffer, document))
        except ValueError as error:  # more keys than are checked: NaN, half a character
            raise UsageError(
                f"{name}: --contract has what JSON in UTF-8 can't hold ({error}); take it out"
            ) from error
        classifier = Classifier(packed, num_threads=1)
    row = None
    if reference is None:
        notes = notes_on_answers(_ask(classifier, held_out, name), "its")
        say(f"{name}: not compared with Keras; give the model it was made from: --weights FILE")
    else:
        _require_fit(reference, contract, name)
        say(f"comparing with Keras on {len(held_out)} held-out pictures")
        expected, actual, images = _compare(classifier, reference, held_out, rounds)
        parity, notes = compare(held_out, expected, actual, contract), notes_on_answers(expected)
        document["weights"] = {"file": reference.name, "sha256": reference.sha256}
        document["parity"] = {**parity.to_dict(), "held_out_sha256": manifest_sha256(held_out)}
        variant = _variant(interpreter)
        over = tuple(exceeded(parity, budgets[variant]))
        timings = time_interleaved({"": classifier}, images, rounds)[""]
        row = Row(variant, len(flatbuffer), parity, *timings, over)
    return Packed(pack_document(flatbuffer, document), document, contract, row, tuple(notes))


def _require_sound(path: Path, name: str) -> None:
    """Have a process of its own run the graph, for a damaged one may end it.

    Raises:
        ModelError: it did.

    """
    command = [sys.executable, "-c", _RUN_ONCE, json.dumps(sys.path), os.fspath(path)]
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{name}: no answer to one picture in {_TIMEOUT_S} s") from error
    if result.returncode < 0:
        died = signal.Signals(-result.returncode).name
        raise ModelError(
            f"{name}: damaged, the runtime dies of it ({died}); copy it again, or make it again"
        )


def run_once(path: str) -> None:
    """Run a graph as it is; what it raises, raises again where it is told."""
    interpreter = make_interpreter(read_whole(path), 1, path)
    interpreter.allocate_tensors()
    interpreter.invoke()


def _describe(
    said: Mapping[str, Any], flatbuffer: bytes, interpreter: Any, name: str
) -> dict[str, Any]:
    """Return the contract: what the graph says, what a person said, and what is usual."""
    picture, answer = read_tensors(interpreter, name)
    count = answer.shape[1] - ("familiar" in said)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "name": name.removesuffix(".tflite"),
        "variant": _variant(interpreter),
        "intended_use": NOTICE,
        "flatbuffer": identify(flatbuffer),
        **said,
    }
    usual = {
        "input": {"resize": "stretch", "interpolation": "linear"},
        "output": {"activation": "sigmoid" if count == 1 else "softmax"},
    }
    for key, values in usual.items():
        given = document.get(key, {})
        document[key] = {**values, **given} if isinstance(given, dict) else given
    if missing := list(_missing(document, picture, count)):
        between = "\n  " if len(missing) > 1 else " "
        raise UsageError(f"{name} doesn't say{between}{between.join(missing)}")
    labels = document["labels"]
    outputs = max(count, 2)
    if isinstance(labels, list) and len(labels) != outputs:
        what = "one output, for two labels" if count == 1 else f"{count} outputs"
        raise UsageError(f"{len(labels)} labels are given, {name} has {what}: give as many")
    if outputs == 2 and isinstance(labels, list):
        document.setdefault("positive", labels[1])
    document.setdefault("threshold", 0.5 if outputs == 2 else None)
    return complete(document, interpreter, name)


def _missing(document: Mapping[str, Any], picture: Tensor, count: int) -> list[str]:
    """Return what neither the file nor a person says, and how to say it."""
    missing = []
    given = document["input"] if isinstance(document["input"], dict) else {}
    raw = (picture.dtype, picture.scale, picture.zero_point) in RAW_ENCODINGS
    if "values" not in given and not raw:
        bare = "" if "channel_order" not in given else " (1 and 0 where the graph scales by itself)"
        missing.append(
            f"{ASK_PIXELS}{bare}; or input.channel_order and input.values in --contract FILE"
        )
    elif "channel_order" not in given:
        missing.append(f"{ASK_ORDER}; or input.channel_order in --contract FILE")
    if -1 in picture.shape and not {"width", "height"} <= set(given):
        missing.append(f"{ASK_SIZE}; or input.width and input.height in --contract FILE")
    if "labels" not in document:
        what = f"what its {count} outputs are called"
        if count == 1:
            what = "which two labels its output tells apart; it is the second one's probability"
        missing.append(
            f"{what}: give --labels A,B{',...' if count > 2 else ''} {OUTPUT_ORDER}; or labels in "
            "--contract FILE"
        )
    if count > 2 and "positive" not in document:
        missing.append(
            "which label's probability is to be shown, and may get a threshold: give --positive "
            "LABEL; or positive in --contract FILE"
        )
    return missing


def _variant(interpreter: Any) -> str:
    """Return what of the graph is quantised, by its tensors' dtypes, as a variant is called."""
    dtypes = {each["index"]: each["dtype"] for each in interpreter.get_tensor_details()}
    operations = interpreter._get_ops_details()  # noqa: SLF001 - no public way
    computed = {dtypes.get(index) for each in operations for index in each["outputs"]}
    if computed & {np.int8, np.uint8, np.int16}:
        return "int8"
    stored = set(dtypes.values())
    return "dynamic" if np.int8 in stored else "float16" if np.float16 in stored else "float32"


def _require_fit(reference: Weights, contract: Contract, name: str) -> None:
    softmax = contract.output.activation == "softmax"
    outputs = len(contract.labels) if softmax else 1
    if (reference.activation, reference.outputs) != (contract.output.activation, outputs):
        raise UsageError(
            f"{name} has {outputs} output{'s' * softmax} by {contract.output.activation}, "
            f"{reference.name} has {reference.outputs} by {reference.activation}: give --weights "
            "the model that it was made from"
        )
    if reference.size_wh not in (None, contract.input.size_wh):
        raise UsageError(
            "{} takes pictures of {}x{}, {} of {}x{}: give --weights the model that it was made "
            "from".format(name, *contract.input.size_wh, reference.name, *reference.size_wh)
        )


def _ask(
    classifier: Classifier, pictures: Sequence[SamplePicture], name: str
) -> NDArray[np.float64]:
    """Return its answers, (pictures, labels); raise ConvertError unless they are probabilities."""
    spec = classifier.contract.input
    try:
        asked = counted("asked: pictures", pictures)
        return np.array([classifier.predict(resized(picture, spec)) for picture in asked])
    except PredictionError as error:
        raise ConvertError(
            f"{name}: its answers are no probabilities ({error}); if it ends without a sigmoid or "
            "softmax, add that to the Keras model and make the file again"
        ) from error


def _compare(
    classifier: Classifier, reference: Weights, pictures: Sequence[SamplePicture], rounds: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[NDArray[np.uint8]]]:
    """Return Keras' answers, the file's, and the first pictures, to time the model with."""
    spec = classifier.contract.input
    pixels = Preprocessing(spec.channel_order, spec.values_scale, spec.values_offset)
    expected, actual = [], []
    some: list[NDArray[np.uint8]] = []
    for picture in counted("compared: pictures", pictures):
        image = resized(picture, spec)
        expected.append(
            keras_answers(
                reference.model,
                pixels,
                [image],
                familiar=classifier.contract.familiar is not None,
            )
        )
        actual.append(edge_answers(classifier, [image]))
        if len(some) < rounds:
            some.append(image)
    return np.concatenate(expected), np.concatenate(actual), some
