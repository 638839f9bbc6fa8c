"""How well a model separates the two classes: the numbers that go into ``figures.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RESAMPLES = 2000


def auc(malignant: NDArray[np.bool_], scores: NDArray[np.floating[Any]]) -> float:
    """Return the area under the ROC curve: how often a malignant picture scores higher.

    Args:
        malignant: (count,).
        scores: (count,), any monotone score; ties count half.

    """
    positive, negative = scores[malignant][:, None], scores[~malignant][None, :]
    return float((positive > negative).mean() + 0.5 * (positive == negative).mean())


def auc_interval(
    malignant: NDArray[np.bool_], scores: NDArray[np.floating[Any]], seed: int
) -> tuple[float, float]:
    """Return the 95 % interval of :func:`auc`: percentiles of a stratified bootstrap."""
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(malignant), np.flatnonzero(~malignant)]
    values = []
    for _ in range(_RESAMPLES):
        drawn = np.concatenate([rng.choice(group, len(group)) for group in groups])
        values.append(auc(malignant[drawn], scores[drawn]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def youden_threshold(
    malignant: NDArray[np.bool_], probabilities: NDArray[np.floating[Any]]
) -> float:
    """Return the threshold in 0..1 with the largest sum of sensitivity and specificity.

    It lies half-way between two pictures' probabilities, rounded to two digits: more would
    pretend to a precision it does not have.
    """
    order = np.sort(np.unique(probabilities))
    candidates = (order[1:] + order[:-1]) / 2
    above = probabilities[None, :] >= candidates[:, None]
    youden = above[:, malignant].mean(1) - above[:, ~malignant].mean(1)
    return round(float(candidates[np.argmax(youden)]), 2)


def rates(
    malignant: NDArray[np.bool_], probabilities: NDArray[np.floating[Any]], threshold: float
) -> dict[str, Any]:
    """Return sensitivity and specificity of ``probability >= threshold``, with their counts."""
    above = probabilities >= threshold
    found, cleared = int((above & malignant).sum()), int((~above & ~malignant).sum())
    positive, negative = int(malignant.sum()), int((~malignant).sum())
    return {
        "sensitivity": round(found / positive, 4),
        "sensitivity_counts": f"{found} of {positive} malignant",
        "specificity": round(cleared / negative, 4),
        "specificity_counts": f"{cleared} of {negative} benign",
    }


def spread(probabilities: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Return percentiles of the probabilities."""
    levels = (0, 5, 25, 50, 75, 95, 100)
    values = np.percentile(probabilities, levels)
    return {
        f"p{level}": round(float(value), 4) for level, value in zip(levels, values, strict=True)
    }
