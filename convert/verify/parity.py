"""The gate: every exported file runs on the edge's own runtime, beside Keras, before it ships."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import keras
    from numpy.typing import NDArray

    from convert.quantise.preprocessing import Preprocessing
    from edge.model.classifier import Classifier
    from edge.model.contract import Contract

    from .pictures import SamplePicture


_LEAST_SPREAD = 0.02
"""Where the answers for all pictures lie closer together, agreeing with them shows nothing."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How far a variant may be from Keras."""

    max_delta: float
    """The largest |Δp| of any label on any picture."""
    mean_delta: float = 1.0
    """The mean over the pictures of the largest |Δp| of any label."""
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
    """The largest |Δp| of any label; NaN if any answer was no number."""
    mean_delta: float
    """Of each picture's largest |Δp|."""
    flips: int
    """Pictures on which the label differs."""
    worst: str
    """The picture of the largest |Δp|."""
    auc: float | None
    """Area under the ROC curve of the variant's P(positive); None without labels of both kinds."""
    auc_keras: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types, to five significant digits."""
        return rounded(asdict(self))


def rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures as JSON types, floats to five significant digits and NaN as None."""
    found = {
        key: float(f"{value:.5g}") if isinstance(value, float) else value
        for key, value in figures.items()
    }
    # JSON has no NaN.
    return {key: None if value != value else value for key, value in found.items()}  # noqa: PLR0124


def keras_answers(
    model: keras.Model,
    pixels: Preprocessing,
    images: Iterable[NDArray[np.uint8]],
    *,
    familiar: bool = False,
) -> NDArray[np.float64]:
    """Return each label's probability by Keras, (pictures, labels), preprocessed as in training.

    Args:
        model: the file's own, nothing folded in: one sigmoid, P(the second of two labels), or a
            softmax over all labels.
        pixels: what happens to a picture before the model.
        images: resized pictures, (height, width, 3) uint8, BGR.
        familiar: the model's last output is no label's but says how familiar a picture is; so is
            the last column that is returned.

    """
    # As predict does, compiled: a call of the model takes many times as long.
    values = [model.predict_on_batch(pixels.apply(image)[None]) for image in images]
    answers = np.concatenate(values).astype(np.float64)
    one = answers.shape[1] - familiar == 1
    return np.hstack([1 - answers[:, :1], answers]) if one else answers


def notes_on_answers(expected: NDArray[np.float64], whose: str = "Keras' own") -> list[str]:
    """Return what has to be said of answers, (pictures, labels), of Keras or whose they are."""
    spread = float(np.ptp(expected, axis=0).max())
    if spread >= _LEAST_SPREAD:
        return []
    text = (
        f"{whose} answers differ by {spread:.2g} between the pictures: a file that never looks "
        "at them would do as well; is the model trained, and --preprocessing that of its training?"
    )
    return [text]


def edge_answers(
    classifier: Classifier, images: Iterable[NDArray[np.uint8]]
) -> NDArray[np.float64]:
    """Return each label's probability by the edge's runtime, (pictures, labels).

    Where the model says how familiar a picture is, that is one more column.  A picture that the
    model answers with no probabilities has NaN in its row.

    Args:
        classifier: the variant.
        images: resized pictures, (height, width, 3) uint8, BGR.

    """
    return np.array([_answer(classifier, image) for image in images], np.float64)


def _answer(classifier: Classifier, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    contract = classifier.contract
    try:
        probabilities, familiar = classifier.answer(image)
    except PredictionError:
        return np.full(len(contract.labels) + (contract.familiar is not None), np.nan)
    return probabilities if familiar is None else np.append(probabilities, familiar)


def compare(
    pictures: Sequence[SamplePicture],
    expected: NDArray[np.float64],
    actual: NDArray[np.float64],
    contract: Contract,
) -> Parity:
    """Compare two sets of answers, (pictures, labels) each, for the same pictures.

    A picture's |Δp| is the largest over its labels; its label is what the contract decides.  Where
    it counts as familiar in one set only, it has another label, too.
    """
    count = len(contract.labels)
    delta = np.abs(actual - expected)[:, :count].max(axis=1)
    labelled = np.array([picture.label is not None for picture in pictures])
    positives = np.array([picture.label == contract.positive for picture in pictures])[labelled]
    worst = int(np.argmax(np.where(np.isfinite(delta), delta, np.inf)))
    return Parity(
        pictures=len(pictures),
        max_delta=float(delta.max()),  # NaN if there is one
        mean_delta=float(delta.mean()),
        flips=sum(
            not np.isfinite(mine).all()
            or contract.decide(mine[:count]) != contract.decide(theirs[:count])
            or contract.is_familiar(*mine[count:]) != contract.is_familiar(*theirs[count:])
            for mine, theirs in zip(actual, expected, strict=True)
        ),
        worst=pictures[worst].name,
        auc=area_under_curve(actual[labelled, contract.positive_index], positives),
        auc_keras=area_under_curve(expected[labelled, contract.positive_index], positives),
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
