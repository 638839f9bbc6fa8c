"""What the numbers of a model mean: as a person says it, or the file, or as it usually is.

What none of them says is asked for, all of it at once: a guess would be proven against itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convert.network import FrontLayer
from convert.quantise.preprocessing import PRESETS, Preprocessing, triple
from convert.weights.allowed import INERT
from edge.files import printable
from edge.model.contract import InputSpec

from .about import check_thresholds, read_thresholds
from .errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    import keras

    from convert.weights.file import Weights

_DEFAULT_LABELS = ("benign", "malignant")
_PASSED_OVER = ("InputLayer", "Resizing", "ZeroPadding2D", *INERT)
_LEAST_SPAN = 0.25
"""What reaches the first convolution spans more than this, unless it was scaled down twice."""
ASK_PIXELS = (
    "how pixels become its input: give --preprocessing notebook (BGR, 0..255), keras (RGB, divided "
    "by 255), tf (RGB / 127.5 - 1: MobileNet, Inception, Xception), torch (torchvision, DenseNet) "
    "or caffe (ResNet50, VGG), or --channel-order, --scale and --offset"
)
ASK_ORDER = (
    "the order of its channels: give --channel-order RGB (pictures loaded by Keras or PIL) or "
    "--channel-order BGR (by cv2.imread)"
)
ASK_SIZE = "the size of its input: give --size 224x224, or what it was trained on"
OUTPUT_ORDER = "in the order of its outputs (Keras sorts the folders' names)"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What goes into a model and what comes out."""

    pixels: Preprocessing
    """What happens to a picture before it reaches the model of the file."""
    geometry: InputSpec
    """How a picture gets the model's size: only size and resize rule are meant."""
    labels: tuple[str, ...]
    positive: str
    threshold: float | None
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    """The contract's ``uncertain`` and ``operating_points``, as far as they are given."""


def find_meaning(options: argparse.Namespace, weights: Weights) -> Meaning:
    """Return what the options and the file say.

    Raises:
        UsageError: something isn't said, or they contradict each other or the model.

    """
    declared: dict[str, Any] = dict(weights.declared or {})
    pixels, size_wh = _choose_pixels(options, weights), _choose_size(options, weights)
    labels = _choose_labels(options, weights, declared.get("labels"))
    positive = options.positive or (labels[1] if labels and len(labels) == 2 else None)
    missing = []
    if pixels is None:
        missing.append(_ask_for_pixels(weights))
    if size_wh is None:
        missing.append(ASK_SIZE)
    if labels is None:
        missing.append(
            f"what its {weights.outputs} outputs are called: give --labels A,B,... {OUTPUT_ORDER}"
        )
    if positive is None and weights.outputs > 2:
        missing.append(
            "which label's probability is to be shown, and may get a threshold: give --positive "
            f"{_one_of(labels) if labels else 'LABEL'}"
        )
    if missing or not (pixels and size_wh and labels):
        asked = f" {missing[0]}" if len(missing) == 1 else "\n  ".join((":", *missing))
        raise UsageError(f"{weights.name} doesn't say{asked}")
    positive = positive or labels[1]
    if positive not in labels:
        raise UsageError(f"--positive is none of the labels: give {_one_of(labels)}")
    thresholds = read_thresholds(options)
    if thresholds:
        check_thresholds(thresholds, labels, printable(options.thresholds))
    threshold = thresholds.pop("threshold", options.threshold)
    if threshold is None and len(labels) == 2:
        threshold = float(declared.get("threshold", 0.5))
    geometry = InputSpec(size_wh, options.interpolation or "linear", options.resize or "stretch")
    return Meaning(pixels, geometry, labels, positive, threshold, thresholds)


def _one_of(labels: Sequence[str]) -> str:
    shown = labels[:8]
    return ", ".join(shown[:-1]) + f" or {shown[-1]}" + (" ..." if len(labels) > len(shown) else "")


def _choose_labels(
    options: argparse.Namespace, weights: Weights, declared: Sequence[str] | None
) -> tuple[str, ...] | None:
    one = weights.activation == "sigmoid"
    labels = options.labels or declared or (_DEFAULT_LABELS if one else None)
    if labels and len(labels) != (2 if one else weights.outputs):
        what = (
            "one output, the probability of the second of two labels"
            if one
            else f"{weights.outputs} outputs"
        )
        raise UsageError(
            f"--labels names {len(labels)}, {weights.name} has {what}: give as many {OUTPUT_ORDER}"
        )
    return tuple(map(str, labels)) if labels else None


def _choose_size(options: argparse.Namespace, weights: Weights) -> tuple[int, int] | None:
    if options.size and weights.size_wh and options.size != weights.size_wh:
        raise UsageError(
            "{} takes pictures of {}x{} only: leave --size out".format(
                weights.name, *weights.size_wh
            )
        )
    size: tuple[int, int] | None = weights.size_wh or options.size
    return size


def _choose_pixels(options: argparse.Namespace, weights: Weights) -> Preprocessing | None:
    front = tuple(_scaling_in_front(weights))
    inside = ", ".join(map(str, front))
    pixels, declared = given_pixels(options, inside=inside), _declared_pixels(weights)
    if pixels and declared and pixels != declared:
        raise UsageError(
            f"{weights.name} says itself how pixels become its input, and otherwise than is given: "
            f"{declared.channel_order}, scale {declared.scale}, offset {declared.offset}; leave "
            "--preprocessing, --channel-order, --scale and --offset out"
        )
    pixels = pixels or declared
    if pixels:
        _refuse_twice(weights, pixels)
    return pixels


def outline_pixels(
    options: argparse.Namespace, weights: Weights, classifier: Weights, pixels: Preprocessing
) -> Preprocessing:
    """Return what happens to a picture before the network that outlines the lesion.

    Args:
        options: those of the command.
        weights: the network's.
        classifier: what goes into the same file.
        pixels: what happens before that; the same happens here unless the options say otherwise.

    Raises:
        UsageError: it would be scaled twice; or the classifier scales by itself and this doesn't,
            so that the same would be a guess.

    """
    given = options.outline_preprocessing
    raw = {"RGB": Preprocessing("RGB", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))}
    if not given and any(_scaling_in_front(classifier)) and not any(_scaling_in_front(weights)):
        raise UsageError(
            f"{weights.name} doesn't say how pixels become its input, and {classifier.name} scales "
            "them itself: give --outline-preprocessing"
        )
    pixels = {**PRESETS, **raw}[given] if given else pixels
    _refuse_twice(weights, pixels, "--outline-preprocessing RGB, or notebook for BGR")
    return pixels


def _refuse_twice(weights: Weights, pixels: Preprocessing, instead: str | None = None) -> None:
    front = tuple(_scaling_in_front(weights))
    if front and pixels.scales:
        span = 255 * min(map(abs, pixels.then(front).scale))
        if span < _LEAST_SPAN:
            raise UsageError(
                f"{weights.name}: {', '.join(map(str, front))} already scales the input, and what "
                f"is given would scale it again, to a range of {span:.2g}; give it without: "
                + (instead or f"--channel-order {pixels.channel_order} --scale 1 --offset 0")
            )


def _ask_for_pixels(weights: Weights) -> str:
    front = tuple(_scaling_in_front(weights))
    scaled = f"; {', '.join(map(str, front))} scales them itself"
    return f"{ASK_ORDER}{scaled}" if front else ASK_PIXELS


def given_pixels(options: argparse.Namespace, *, inside: str) -> Preprocessing | None:
    """Return what the options say of pixels, if they do.

    Args:
        options: those of the command.
        inside: what scales pixels by itself, so that the order of the channels says enough; or "".

    Raises:
        UsageError: they contradict each other, or don't say all.

    """
    order, scale, offset = explicit = (options.channel_order, options.scale, options.offset)
    if options.preprocessing and any(explicit):
        raise UsageError("give --preprocessing, or --channel-order, --scale and --offset, not both")
    if options.preprocessing:
        return PRESETS[options.preprocessing]
    if not any(explicit):
        return None
    if inside and order and not (scale or offset):
        scale, offset = "1", "0"
    if not (order and scale and offset):
        raise UsageError(
            "--channel-order, --scale and --offset go together; --channel-order alone is enough "
            "for a model that begins with Rescaling or Normalization"
        )
    try:
        factors, shifts = triple(scale.split(",")), triple(offset.split(","))
    except ValueError as error:
        raise UsageError("--scale and --offset take one number, or three with commas") from error
    return Preprocessing(order, factors, shifts)


def _declared_pixels(weights: Weights) -> Preprocessing | None:
    contract = (weights.declared or {}).get("contract")
    return Preprocessing.from_dict(contract) if isinstance(contract, dict) else None


def _scaling_in_front(weights: Weights) -> Iterator[FrontLayer]:
    """Yield the layers that scale a picture before the model does anything else with it."""
    if weights.notebook:
        yield from weights.notebook.front
        return
    for layer in _layers(weights.model):
        kind = type(layer).__name__
        if kind == "Rescaling":
            yield FrontLayer(layer.name, kind, {"scale": layer.scale, "offset": layer.offset})
        elif kind == "Normalization":
            settings = {
                "mean": _numbers(layer.mean),
                "variance": _numbers(layer.variance),
                "invert": layer.invert,
            }
            yield FrontLayer(layer.name, kind, settings)
        elif kind not in _PASSED_OVER:
            return


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        else:
            yield layer


def _numbers(values: Any) -> list[float]:
    import numpy as np

    return [float(value) for value in np.asarray(values).ravel()]
