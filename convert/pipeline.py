"""From weights to model files, and the proof that they answer as Keras does."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from convert.errors import ExportError
from convert.quantise.calibration import observe_ranges
from convert.quantise.export import export_float32, fold_preprocessing, quantise
from convert.verify.parity import compare, edge_answers, exceeded, keras_answers
from convert.verify.pictures import require_disjoint, resized
from convert.verify.report import Row, time_interleaved
from edge.cli.terminal import Progress
from edge.model.classifier import Classifier
from edge.model.file import pack

from .contract import RESIZE, describe, input_dtype, manifest, manifest_sha256
from .network import build_network
from .optimise import build_planned, choose, compact, find_lattice, sample, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import keras
    from numpy.typing import NDArray

    from convert.quantise.preprocessing import Preprocessing
    from convert.verify.parity import Budget
    from convert.verify.pictures import SamplePicture
    from convert.weights.file import Weights

    from .network import Arrays

Item = TypeVar("Item")

_PARITY_THREADS = 1
"""With one thread an answer doesn't depend on how many cores the machine has."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be converted, and how it is judged."""

    weights: Weights
    pixels: Preprocessing
    """What happens to a picture before it reaches the model of the file."""
    name: str
    labels: tuple[str, str]
    threshold: float
    variants: tuple[str, ...]
    calibration: Sequence[SamplePicture]
    held_out: Sequence[SamplePicture]
    seed: int
    budgets: Mapping[str, Budget]
    rounds: int
    compact: bool = True
    """Take dead channels out before quantisation."""
    rewrite: bool = True
    """Make the int8 graph a faster one with the same values, and prove it."""
    tune_for: str = "x86"
    """The processor that the int8 graph is laid out for: ``x86`` or ``arm``."""

    @property
    def whole_preprocessing(self) -> Preprocessing:
        """What happens to a picture before conv1, in front of the model and inside it."""
        notebook = self.weights.notebook
        return self.pixels.then(notebook.front if notebook else ())


@dataclass(frozen=True, slots=True)
class Outcome:
    """The model files, by variant, and the table's rows; a file over budget is not among them."""

    files: Mapping[str, bytes]
    rows: Sequence[Row]


def run(job: Job, say: Callable[[str], None]) -> Outcome:
    """Export every variant, run each on the edge's runtime beside Keras, and time them.

    Args:
        job: what to do.
        say: told each step, a line at a time.

    Raises:
        UsageError: a held-out picture was calibrated on.
        ExportError: a converter failed, or a rewritten graph gave another value than the plain one.

    """
    require_disjoint(job.calibration, job.held_out)
    say("exporting float32")
    flatbuffers = _export(job, say)
    say(f"asking Keras about {len(job.held_out)} held-out pictures")
    images = [resized(picture, RESIZE) for picture in job.held_out]
    expected = keras_answers(job.weights.model, job.pixels, _counted("Keras: pictures", images))

    documents = {
        variant: describe(
            variant,
            flatbuffer,
            name=job.name,
            labels=job.labels,
            threshold=job.threshold,
            weights=job.weights,
            pixels=job.whole_preprocessing,
            calibration=manifest(job.calibration, job.seed),
        )
        for variant, flatbuffer in flatbuffers.items()
    }
    with tempfile.TemporaryDirectory(prefix="lesion-edge-") as folder:
        classifiers = {
            variant: _load(Path(folder) / f"{variant}.tflite", flatbuffer, documents[variant])
            for variant, flatbuffer in flatbuffers.items()
        }
        parities = {}
        for variant, classifier in classifiers.items():
            say(f"{variant}: comparing with Keras")
            actual = edge_answers(classifier, _counted("pictures", images))
            parities[variant] = compare(job.held_out, expected, actual, classifier.contract)
        say(f"timing {job.rounds} invokes of each, one thread, in turns")
        timings = time_interleaved(classifiers, images, job.rounds)

    files, rows = {}, []
    held_out = {"held_out_sha256": manifest_sha256(job.held_out)}
    for variant, flatbuffer in flatbuffers.items():
        parity = parities[variant]
        over = tuple(exceeded(parity, job.budgets[variant]))
        data = _pack(flatbuffer, {**documents[variant], "parity": {**parity.to_dict(), **held_out}})
        rows.append(Row(variant, len(data), parity, *timings[variant], over))
        if not over:
            files[variant] = data
    return Outcome(files, rows)


def _export(job: Job, say: Callable[[str], None]) -> dict[str, bytes]:
    if job.weights.notebook is None:
        raise ExportError("only the notebook's network can be converted")
    arrays = fold_preprocessing(job.weights.notebook, job.whole_preprocessing)
    lattice = None
    if job.compact:
        arrays, liveness = compact(arrays)
        say(str(liveness))
        if lattice := find_lattice(arrays):
            say(f"dense1 looks at {lattice}, the others are not computed")
    plain = build_network(arrays=arrays)
    raw = export_float32(
        build_planned(arrays, sample(lattice)) if lattice else plain, dtype="uint8"
    )
    flatbuffers = {}
    for variant in job.variants:
        if variant == "float32":
            flatbuffers[variant] = raw
        elif variant == "int8":
            flatbuffers[variant] = _export_int8(job, arrays, plain, say)
        else:
            say(f"quantising {variant}")
            flatbuffers[variant] = quantise(raw, variant)
        say(f"{variant}: {len(flatbuffers[variant]) / 1e6:.2f} MB, input {input_dtype(variant)}")
    return flatbuffers


def _export_int8(job: Job, arrays: Arrays, plain: keras.Model, say: Callable[[str], None]) -> bytes:
    """Return the int8 graph: if asked the faster one, proven on each picture and its mirror image.

    Both have the ranges of the plain network, so that they have the same scales.
    """
    say(f"calibrating int8 on {len(job.calibration)} pictures")
    float32 = export_float32(plain, dtype="float32")
    pictures = _counted("calibration: pictures", job.calibration)
    ranges = observe_ranges(float32, (resized(picture, RESIZE) for picture in pictures))
    quantised = quantise(float32, "int8", ranges)
    if not job.rewrite:
        return quantised
    plan = choose(arrays, job.tune_for)
    say(f"rewriting int8: {plan}")
    faster = quantise(export_float32(build_planned(arrays, plan), dtype="float32"), "int8", ranges)
    say(f"int8: {verify(quantised, faster, _proof_pictures(job))}")
    return faster


def _proof_pictures(job: Job) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    pictures = (*job.calibration, *job.held_out)
    for picture in _counted("rewritten against plain: pictures", pictures):
        image = resized(picture, RESIZE)
        yield picture.name, image
        yield f"{picture.name} mirrored", np.ascontiguousarray(image[:, ::-1])


def _counted(what: str, items: Sequence[Item]) -> Iterator[Item]:
    """Yield the items, and show how many are done."""
    progress = Progress(what, len(items))
    for done, item in enumerate(items, 1):
        yield item
        progress.update(done)
    progress.clear()


def _load(path: Path, flatbuffer: bytes, document: Mapping[str, Any]) -> Classifier:
    path.write_bytes(_pack(flatbuffer, document))
    return Classifier(path, num_threads=_PARITY_THREADS)


def _pack(flatbuffer: bytes, document: Mapping[str, Any]) -> bytes:
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return pack(flatbuffer, f"{text}\n".encode())
