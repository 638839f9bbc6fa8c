"""The gate: every exported file runs on the edge's own runtime, beside Keras, before it ships."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import keras
    from numpy.typing import NDArray

    from convert.quantise.preprocessing import Preprocessing
    from edge.model.classifier import Classifier

    from .pictures import SamplePicture


@dataclass(frozen=True, slots=True)
class Budget:
    """How far a variant may be from Keras."""

    max_delta: float
    """The largest |Δp| on any picture."""
    mean_delta: float = 1.0
    """The mean |Δp| over the pictures."""
    flips: float = 0.0
    """The share of pictures whose label differs."""


DEFAULT_BUDGETS = {
    "float32": Budget(max_delta=1e-5, flips=0.005),
    "float16": Budget(max_delta=1e-3, flips=0.005),
    "dynamic": Budget(max_delta=0.01, flips=0.005),
    "int8": Budget(max_delta=0.02, mean_delta=0.002, flips=0.005),
}


@dataclass(frozen=True, slots=True)
class Parity:
    """How a variant's answers compare with Keras' on the same pictures."""

    pictures: int
    max_delta: float
    """The largest |Δp|; NaN if any answer was no number."""
    mean_delta: float
    flips: int
    """Pictures on which the label differs."""
    worst: str
    """The picture of the largest |Δp|."""
    auc: float | None
    """Area under the ROC curve of the variant; None without labels of both kinds."""
    auc_keras: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types, to five significant digits."""
        rounded = {
            key: float(f"{value:.5g}") if isinstance(value, float) else value
            for key, value in asdict(self).items()
        }
        # JSON has no NaN.
        return {key: None if value != value else value for key, value in rounded.items()}  # noqa: PLR0124


def keras_answers(
    model: keras.Model,
    pixels: Preprocessing,
    images: Iterable[NDArray[np.uint8]],
) -> NDArray[np.float64]:
    """Return P(malignant) by Keras, with the weights and the preprocessing as they were trained.

    Args:
        model: the network, its contract not folded in.
        pixels: the weights' contract.
        images: resized pictures, (height, width, 3) uint8, BGR.

    """
    values = (pixels.apply(image)[None] for image in images)
    return np.array([float(model(each, training=False)[0, 0]) for each in values], np.float64)


def edge_answers(
    classifier: Classifier, images: Iterable[NDArray[np.uint8]]
) -> NDArray[np.float64]:
    """Return P(malignant) by the edge's runtime for pictures, (height, width, 3) uint8, BGR."""
    return np.array([classifier.predict(image) for image in images], np.float64)


def compare(
    pictures: Sequence[SamplePicture],
    expected: NDArray[np.float64],
    actual: NDArray[np.float64],
    *,
    threshold: float,
    positive: str,
) -> Parity:
    """Compare two sets of answers, (n,) each, for the same pictures."""
    delta = np.abs(actual - expected)
    labelled = np.array([picture.label is not None for picture in pictures], bool)
    positives = np.array([picture.label == positive for picture in pictures], bool)[labelled]
    worst = int(np.argmax(np.where(np.isfinite(delta), delta, np.inf)))
    return Parity(
        pictures=len(pictures),
        max_delta=float(delta.max()),  # NaN if there is one
        mean_delta=float(delta.mean()),
        # A NaN is on neither side of the threshold: count it as a flip.
        flips=int(
            ((actual >= threshold) != (expected >= threshold)).sum() + np.isnan(actual).sum()
        ),
        worst=pictures[worst].name,
        auc=area_under_curve(actual[labelled], positives),
        auc_keras=area_under_curve(expected[labelled], positives),
    )


def exceeded(parity: Parity, budget: Budget) -> list[str]:
    """Return what is over budget, one text each; NaN is over any."""
    # Written so that a comparison with NaN, which is false, counts as exceeded.
    checks = (
        ("max |Δp|", parity.max_delta, budget.max_delta, f"on {parity.worst}"),
        ("mean |Δp|", parity.mean_delta, budget.mean_delta, ""),
        ("flips", parity.flips / parity.pictures, budget.flips, f"{parity.flips} pictures"),
    )
    return [
        f"{what} is {value:.3g}, its budget {limit:.3g} {where}".rstrip()
        for what, value, limit, where in checks
        if not value <= limit
    ]


def area_under_curve(scores: NDArray[np.float64], positives: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve; None unless there are scores of both kinds.

    It is the probability that a positive scores above a negative, ties counting half (Hanley and
    McNeil, Radiology 143, 1982).
    """
    above, below = scores[positives], scores[~positives]
    if not above.size or not below.size:
        return None
    difference = above[:, None] - below[None, :]
    return float((difference > 0).mean() + (difference == 0).mean() / 2)
