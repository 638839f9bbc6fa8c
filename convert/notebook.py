"""The notebook's network as TFLite graphs, by the way made for it: exact, smaller and faster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from convert.network import INPUT_SIZE_WH, LAYERS, build_network
from convert.optimise import build_planned, choose, compact, find_lattice, sample, verify
from convert.quantise.calibration import observe_ranges
from convert.quantise.export import export_float32, fold_preprocessing, quantise
from convert.quantise.plain import Exported
from edge.model.contract import InputSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import keras
    from numpy.typing import NDArray

    from convert.network import Arrays, NotebookWeights

    from .job import Job

RESIZE = InputSpec(INPUT_SIZE_WH)
"""How a picture gets the network's size: as in the notebook, bilinear, its shape not kept."""
_QUANTISATION = {
    "float32": "none",
    "float16": "weights float16, computed in float32",
    "dynamic": "weights int8, activations quantised to int8 at run time; "
    "convolutions per channel, dense1 per tensor, dense2 float32",
    "int8": "weights and activations int8 up to dense1's ten outputs; convolutions per channel, "
    "dense1 per tensor; dense2 and the sigmoid float32",
}


def export_notebook(
    weights: NotebookWeights, job: Job, say: Callable[[str], None]
) -> tuple[dict[str, Exported], bytes | None]:
    """Return the graphs, by variant, and the int8 graph that the faster one was made from, if any.

    Raises:
        ExportError: a converter failed, or the faster graph gave another value than the plain one.

    """
    arrays = fold_preprocessing(weights, job.meaning.pixels.then(weights.front))
    passes = [f"preprocessing folded into {LAYERS[0].name}"]
    lattice = None
    if job.compact:
        arrays, liveness = compact(arrays)
        say(str(liveness))
        passes.append(str(liveness))
        if lattice := find_lattice(arrays):
            passes.append(f"dense1 looks at {lattice}, the others are not computed")
            say(passes[-1])
    plain = build_network(arrays=arrays)
    raw = export_float32(
        build_planned(arrays, sample(lattice)) if lattice else plain, dtype="uint8"
    )
    exported, quantised = {}, None
    for variant in job.variants:
        done = list(passes)
        if variant == "int8":
            flatbuffer, quantised, how = _export_int8(job, arrays, plain, say)
            done += how
        elif variant == "float32":
            flatbuffer = raw
        else:
            say(f"quantising {variant}")
            flatbuffer = quantise(raw, variant)
        signed = replace(RESIZE, dtype="int8", zero_point=-128)
        spec = signed if variant == "int8" else RESIZE
        exported[variant] = Exported(flatbuffer, spec, _QUANTISATION[variant], tuple(done))
    return exported, quantised


def _export_int8(
    job: Job, arrays: Arrays, plain: keras.Model, say: Callable[[str], None]
) -> tuple[bytes, bytes | None, list[str]]:
    """Return the int8 graph, the plain one if there is a faster one, and how that was made.

    The faster one is proven on each picture and its mirror image.  Both have the ranges of the
    plain network, so that they have the same scales.
    """
    say(f"calibrating int8 on {len(job.calibration)} pictures")
    float32 = export_float32(plain, dtype="float32")
    images = job.images(job.calibration, "calibration: pictures")
    ranges = observe_ranges(float32, (image for _, image in images))
    quantised = quantise(float32, "int8", ranges)
    if not job.rewrite:
        return quantised, None, []
    plan = choose(arrays, job.tune_for)
    say(f"rewriting int8: {plan}")
    faster = quantise(export_float32(build_planned(arrays, plan), dtype="float32"), "int8", ranges)
    proof = verify(quantised, faster, _proof_pictures(job))
    say(f"int8: {proof}")
    return faster, quantised, [f"rewritten: {plan}", str(proof)]


def _proof_pictures(job: Job) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    pictures = (*job.calibration, *job.held_out)
    for name, image in job.images(pictures, "rewritten against plain: pictures"):
        yield name, image
        yield f"{name} mirrored", np.ascontiguousarray(image[:, ::-1])
