"""From a model to model files, and the proof that they answer as Keras does."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.quantise.plain import export_plain
from convert.verify.maps import exceeded as exceeded_by_maps
from convert.verify.parity import (
    compare,
    edge_answers,
    exceeded,
    keras_answers,
    notes_on_answers,
)
from convert.verify.pictures import require_disjoint
from convert.verify.report import OutlineRow, Row, time_interleaved
from edge.model.classifier import Classifier

from .contract import describe, manifest_sha256, pack_document
from .errors import ConvertError
from .notebook import export_notebook
from .outline import compare_outlines, describe_outline, export_outline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from convert.quantise.plain import Exported
    from convert.verify.report import Timed

    from .job import Job

_PARITY_THREADS = 1
"""With one thread an answer doesn't depend on how many cores the machine has."""
_PLAIN = "plain int8"
"""What is timed beside a faster int8 graph: the one that it was made from."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The model files, by variant, and the table's rows; a file over budget is not among them."""

    files: Mapping[str, bytes]
    rows: Sequence[Row]
    notes: tuple[str, ...] = ()
    """What a reader of the table has to know."""


def run(job: Job, say: Callable[[str], None]) -> Outcome:
    """Export every variant, run each on the edge's runtime beside Keras, and time them.

    Args:
        job: what to do.
        say: told each step, a line at a time.

    Raises:
        UsageError: a held-out picture was calibrated on.
        ExportError: a converter failed, or a rewritten graph gave another value than the plain one.
        ConvertError: Keras itself has no answer for a picture.

    """
    require_disjoint(job.calibration, job.held_out)
    exported, plain = _export(job, say)
    outlines = export_outline(job.outline, job, say) if job.outline else {}
    documents = {
        variant: describe(variant, each, job, _describe_second(job, outlines.get(variant)))
        for variant, each in exported.items()
    }
    with tempfile.TemporaryDirectory(prefix="lesion-edge-") as folder:
        classifiers = {
            variant: _load(
                Path(folder), _pack(each, documents[variant], outlines.get(variant)), variant
            )
            for variant, each in exported.items()
        }
        networks = {
            variant: network
            for variant, classifier in classifiers.items()
            if (network := classifier.outline_network())
        }
        expected, actual, some = _ask(job, classifiers, say)
        parities = {
            variant: compare(job.held_out, expected, actual[variant], classifier.contract)
            for variant, classifier in classifiers.items()
        }
        maps = compare_outlines(job.outline, job, networks, say) if job.outline else {}
        if plain:
            document = describe("int8", replace(exported["int8"], flatbuffer=plain), job)
            classifiers[_PLAIN] = _load(Path(folder), pack_document(plain, document), _PLAIN)
        say(f"timing {job.rounds} invokes of each, one thread, in turns")
        timed: dict[str, Timed] = {
            **classifiers,
            **{_second(variant): each for variant, each in networks.items()},
        }
        timings = time_interleaved(timed, some, job.rounds)

    files, rows = {}, []
    held_out = {"held_out_sha256": manifest_sha256(job.held_out)}
    for variant, each in exported.items():
        parity = parities[variant]
        over = tuple(exceeded(parity, job.budgets[variant]))
        document = {**documents[variant], "parity": {**parity.to_dict(), **held_out}}
        passes, outline = each.passes, None
        if job.outline:
            second = outlines[variant]
            document["outline"]["parity"] = {**maps[variant].to_dict(), **held_out}
            over = (*over, *exceeded_by_maps(maps[variant], job.outline.budgets[variant]))
            passes = (*passes, *(f"the outline's network: {done}" for done in second.passes))
            outline = OutlineRow(len(second.flatbuffer), maps[variant], *timings[_second(variant)])
        data = _pack(each, document, outlines.get(variant))
        if job.familiar is not None:
            passes = (*passes, "whether a picture is familiar is compared, too: no is a flip")
        if variant == "int8" and plain:
            faster = timings[_PLAIN][0] / timings[variant][0]
            passes = (*passes, f"{faster:.2g} times as fast as before it was rewritten")
        rows.append(Row(variant, len(data), parity, *timings[variant], over, passes, outline))
        if not over:
            files[variant] = data
    return Outcome(
        files, rows, (*job.notes, *notes_on_answers(expected[:, : len(job.meaning.labels)]))
    )


def _describe_second(job: Job, exported: Exported | None) -> dict[str, Any] | None:
    return describe_outline(exported, job.outline) if job.outline and exported else None


def _pack(exported: Exported, document: Mapping[str, Any], outline: Exported | None) -> bytes:
    return pack_document(exported.flatbuffer, document, outline.flatbuffer if outline else None)


def _second(variant: str) -> str:
    return f"{variant} outline"


def _export(job: Job, say: Callable[[str], None]) -> tuple[Mapping[str, Exported], bytes | None]:
    """Return the graphs, and the one that the int8 graph was before it was made faster, if any."""
    say("exporting float32")
    plain = None
    if job.weights.notebook:
        exported, plain = export_notebook(job.weights.notebook, job, say)
    else:
        calibration = job.images(job.calibration, "calibration: pictures")
        exported = export_plain(
            job.weights.model,
            job.meaning.pixels,
            size_wh=job.meaning.geometry.size_wh,
            variants=job.variants,
            images=(image for _, image in calibration),
            say=say,
            float_until=job.float_until,
        )
    rule = job.meaning.geometry
    placed = {}
    for variant, each in exported.items():
        say(f"{variant}: {len(each.flatbuffer) / 1e6:.2f} MB, input {each.input.dtype}")
        spec = replace(each.input, resize=rule.resize, interpolation=rule.interpolation)
        placed[variant] = replace(each, input=spec)
    return placed, plain


def _ask(
    job: Job, classifiers: Mapping[str, Classifier], say: Callable[[str], None]
) -> tuple[NDArray[np.float64], dict[str, NDArray[np.float64]], list[NDArray[np.uint8]]]:
    """Return Keras' answers, each variant's, and the first pictures, to time the variants with.

    Answers are (pictures, labels).  A picture is asked about by all before the next is decoded, so
    that a set of any size fits into memory.
    """
    say(f"comparing with Keras on {len(job.held_out)} held-out pictures")
    expected: list[NDArray[np.float64]] = []
    some: list[NDArray[np.uint8]] = []
    actual: dict[str, list[NDArray[np.float64]]] = {variant: [] for variant in classifiers}
    for name, image in job.images(job.held_out, "compared: pictures"):
        answer = keras_answers(
            job.weights.model, job.meaning.pixels, [image], familiar=job.familiar is not None
        )
        if not np.isfinite(answer).all():
            raise ConvertError(
                f"{job.weights.name} itself answers {name} by no number, so there is nothing to "
                "compare with: look at its weights and at --preprocessing"
            )
        expected.append(answer)
        for variant, classifier in classifiers.items():
            actual[variant].append(edge_answers(classifier, [image]))
        if len(some) < job.rounds:
            some.append(image)
    answers = {variant: np.concatenate(each) for variant, each in actual.items()}
    return np.concatenate(expected), answers, some


def _load(folder: Path, data: bytes, variant: str) -> Classifier:
    path = folder / f"{variant}.tflite"
    path.write_bytes(data)
    return Classifier(path, num_threads=_PARITY_THREADS)
