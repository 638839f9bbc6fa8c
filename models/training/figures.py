"""Compute how well a model separates the two classes, for ``figures.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import confusion_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RESAMPLES = 2000


def auc_interval(
    malignant: NDArray[np.bool_], scores: NDArray[np.floating[Any]], seed: int
) -> tuple[float, float]:
    """Return the 95 % interval of the area under the ROC curve: a stratified bootstrap's."""
    rng = np.random.default_rng(seed)
    rows, columns = scores[malignant], scores[~malignant]
    # Mann and Whitney's statistic of all pairs, of which a resample has some more than once.
    won = (rows[:, None] > columns) + 0.5 * (rows[:, None] == columns)
    values = []
    for _ in range(_RESAMPLES):
        drawn = [
            np.bincount(rng.choice(count, count), minlength=count).astype(float)
            for count in won.shape
        ]
        values.append(drawn[0] @ won @ drawn[1] / won.size)
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def rates(
    malignant: NDArray[np.bool_], probabilities: NDArray[np.floating[Any]], threshold: float
) -> dict[str, Any]:
    """Return sensitivity and specificity of ``probability >= threshold``, with their counts."""
    (cleared, alarms), (missed, found) = confusion_matrix(malignant, probabilities >= threshold)
    return {
        "sensitivity": round(float(found / (found + missed)), 4),
        "sensitivity_counts": f"{found} of {found + missed} malignant",
        "specificity": round(float(cleared / (cleared + alarms)), 4),
        "specificity_counts": f"{cleared} of {cleared + alarms} benign",
    }
