"""Measure a classifier; ``python -m models.training.evaluate`` prints its card's tables.

What the command does is in :mod:`models.training.cards`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from convert.quantise.preprocessing import Preprocessing
from edge.model.contract import InputSpec
from edge.model.preprocess import resize_into

from .efficientnet_lite import PIXEL_DIVISOR, PIXEL_OFFSET
from .figures import auc_interval, rates

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    from numpy.typing import NDArray

_PIXELS = Preprocessing("RGB", (1 / PIXEL_DIVISOR,) * 3, (-PIXEL_OFFSET / PIXEL_DIVISOR,) * 3)
_CHUNK = 32
_BINS = 10


def inputs_of(
    pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], side: int
) -> NDArray[np.float32]:
    """Return (count, side, side, 3) float32: BGR pictures of any size as the networks take them.

    The picture is stretched to a square by ``INTER_LINEAR_EXACT``, which gives the same bytes on
    every processor.
    """
    spec = InputSpec((side, side), "linear_exact")
    resized = np.empty((len(pictures), side, side, 3), np.uint8)
    for picture, out in zip(pictures, resized, strict=True):
        resize_into(picture, out, spec)
    return _PIXELS.apply(resized)


def predict(
    network: keras.Model, pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], side: int
) -> NDArray[np.float32]:
    """Return what a network of one output says of BGR pictures: (count, ...) float32."""
    parts = [
        np.asarray(
            network.predict_on_batch(inputs_of(pictures[start : start + _CHUNK], side)), np.float32
        )
        for start in range(0, len(pictures), _CHUNK)
    ]
    return np.concatenate(parts)


def logit(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return ``log(p / (1 - p))``, with p kept a little off 0 and 1."""
    p = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.log(p / (1 - p))


def sigmoid(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return probabilities for logits."""
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def jaccard(maps: NDArray[np.float32], masks: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return (count,): the Jaccard index at the masks' own size.

    Args:
        maps: (count, side / 4, side / 4, 1), 0..1; resized bilinearly, lesion from 0.5.
        masks: (count, height, width), lesion from 128.

    """
    values = []
    for guess, mask in zip(maps[..., 0], masks, strict=True):
        lesion = cv2.resize(guess, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
        truth = mask > 127
        values.append((lesion & truth).sum() / max((lesion | truth).sum(), 1))
    return np.array(values)


def calibration_error(
    malignant: NDArray[np.bool_], probabilities: NDArray[np.floating[Any]]
) -> float:
    """Return the expected calibration error over ten bins of equal width."""
    bins = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
    total = 0.0
    for i in range(_BINS):
        inside = bins == i
        if inside.any():
            gap = abs(float(probabilities[inside].mean()) - float(malignant[inside].mean()))
            total += gap * inside.mean()
    return total


def fit_calibration(
    malignant: NDArray[np.bool_],
    logits: NDArray[np.floating[Any]],
    weights: NDArray[np.floating[Any]],
) -> tuple[float, float]:
    """Return slope and offset of Platt's calibration: ``sigmoid(slope * logit + offset)``."""
    model = LogisticRegression(C=1e6).fit(logits[:, None], malignant, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def threshold_at(
    malignant: NDArray[np.bool_],
    probabilities: NDArray[np.floating[Any]],
    sensitivity: float,
    weights: NDArray[np.floating[Any]],
) -> float:
    """Return the largest threshold that finds at least a share of the melanomas."""
    found = probabilities[malignant]
    order = np.argsort(-found, kind="stable")
    share = np.cumsum(weights[malignant][order]) / weights[malignant].sum()
    return float(found[order][int(np.searchsorted(share, sensitivity))])


def judge(
    malignant: NDArray[np.bool_],
    probabilities: NDArray[np.floating[Any]],
    threshold: float,
    seed: int = 0,
) -> dict[str, Any]:
    """Return the figures of a set: AUC with its interval, rates, calibration error."""
    low, high = auc_interval(malignant, probabilities, seed)
    return {
        "pictures": len(malignant),
        "melanomas": int(malignant.sum()),
        "auc": round(float(roc_auc_score(malignant, probabilities)), 4),
        "auc_95": [round(low, 4), round(high, 4)],
        **rates(malignant, probabilities, threshold),
        "calibration_error": round(calibration_error(malignant, probabilities), 4),
    }


if __name__ == "__main__":
    from .cards import main

    raise SystemExit(main())
