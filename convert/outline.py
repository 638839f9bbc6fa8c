"""The second network of a model file: it outlines the lesion, and has a gate of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.quantise.plain import export_plain
from convert.verify.maps import DEFAULT_BUDGETS, compare_maps, keras_map
from convert.verify.pictures import resized
from edge.errors import PredictionError
from edge.model.contract import InputSpec, OutputSpec

from .contract import identify
from .errors import ConvertError
from .job import Outlining, counted
from .meaning import outline_pixels

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from convert.quantise.plain import Exported
    from convert.verify.maps import MapParity
    from convert.weights.file import Weights
    from edge.model.outline import OutlineNetwork

    from .job import Job
    from .meaning import Meaning


def plan_outline(
    options: argparse.Namespace, weights: Weights, classifier: Weights, meaning: Meaning
) -> Outlining:
    """Return what the options say of the network.

    Args:
        options: those of the command.
        weights: the network's.
        classifier: what goes into the same file.
        meaning: what its numbers mean.

    Raises:
        UsageError: they don't say how pixels become its input, or that would scale them twice.

    """
    budgets = dict(DEFAULT_BUDGETS)
    for variant, value in options.outline_jaccard:
        budgets[variant] = replace(budgets[variant], jaccard=value)
    rule = meaning.geometry
    return Outlining(
        weights=weights,
        pixels=outline_pixels(options, weights, classifier, meaning.pixels),
        # Its map has to cover the picture, whatever of it the classifier sees: no other resize.
        geometry=InputSpec(weights.size_wh or rule.size_wh, rule.interpolation),
        threshold=options.outline_threshold,
        budgets=budgets,
    )


def export_outline(outline: Outlining, job: Job, say: Callable[[str], None]) -> dict[str, Exported]:
    """Return the network's graphs, by variant; int8 is calibrated on the job's pictures.

    Raises:
        ExportError: a converter failed.

    """
    say("exporting the outline's network")
    pictures = counted("calibration: pictures", job.calibration)
    exported = export_plain(
        outline.weights.model,
        outline.pixels,
        size_wh=outline.geometry.size_wh,
        variants=job.variants,
        images=(resized(picture, outline.geometry) for picture in pictures),
        say=say,
    )
    rule = outline.geometry.interpolation
    return {
        variant: replace(each, input=replace(each.input, interpolation=rule))
        for variant, each in exported.items()
    }


def describe_outline(exported: Exported, outline: Outlining) -> dict[str, Any]:
    """Return the contract's ``outline``, all but its parity figures."""
    return {
        "flatbuffer": identify(exported.flatbuffer),
        "input": exported.input.to_dict(),
        "output": {**OutputSpec("sigmoid").to_dict(), "meaning": "P(lesion) at each place"},
        "threshold": outline.threshold,
        "quantisation": exported.quantisation,
        "weights": outline.source(),
    }


def compare_outlines(
    outline: Outlining,
    job: Job,
    networks: Mapping[str, OutlineNetwork],
    say: Callable[[str], None],
) -> dict[str, MapParity]:
    """Return how each variant's maps of the held-out pictures compare with Keras'.

    Raises:
        ConvertError: Keras' own map has no number somewhere.

    """
    say(f"comparing outlines with Keras on {len(job.held_out)} held-out pictures")
    expected: list[NDArray[np.float32]] = []
    actual: dict[str, list[NDArray[np.float32]]] = {variant: [] for variant in networks}
    for picture in counted("compared: outlines", job.held_out):
        image = resized(picture, outline.geometry)
        theirs = keras_map(outline.weights.model, outline.pixels, image)
        if not np.isfinite(theirs).all():
            raise ConvertError(
                f"{outline.weights.name} itself answers {picture.name} by no numbers, so there is "
                "nothing to compare with: look at its weights and at --outline-preprocessing"
            )
        expected.append(theirs)
        for variant, network in networks.items():
            actual[variant].append(_answer(network, image, theirs.shape))
    names = [picture.name for picture in job.held_out]
    return {
        variant: compare_maps(names, np.stack(expected), np.stack(each), outline.threshold)
        for variant, each in actual.items()
    }


def _answer(
    network: OutlineNetwork, image: NDArray[np.uint8], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    try:
        return network.predict(image)
    except PredictionError:
        return np.full(shape, np.nan, np.float32)
