"""Turn pictures into features, and choose the head by cross-validation."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_auc_score

from convert.quantise.preprocessing import Preprocessing

from .data import Augmentation, augmented
from .figures import auc_interval
from .head import SIDE, train_head

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from .data import LabelledSet
    from .head import Head

CONTRACT = Preprocessing("BGR", (1 / 128,) * 3, (-1.0,) * 3)
CHUNK = 16
"""Pictures that go through the network at a time."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides the outcome, besides the pictures and the seed."""

    channels: tuple[int, int] = (8, 8)
    """Of conv1 and conv2; the others of the full network stay at zero."""
    candidates: int = 64
    """Channels drawn for conv2, to choose from."""
    rings: int = 5
    every: int = 8
    """Of this many places of pool2 in a row, and of as many rows, Dense(10) looks at one."""
    views: int = 3
    """Augmented copies of each picture, besides the picture itself."""
    folds: int = 5
    decays: tuple[float, ...] = (3e-4, 1e-3, 3e-3, 6e-3, 1e-2, 2e-2)
    """Weight decays to choose from."""
    span_decay: float = 1e-2
    """Keeps small what int8 rounding of the hidden units does to the answer: with it, about 0.2 %
    of the labels flip, with none 0.5 %, which is the whole budget."""
    steps: int = 300
    rate: float = 1e-2
    malignant_weight: float = 2.0
    filter_pictures: int = 48
    augmentation: Augmentation = Augmentation()  # noqa: RUF009 - frozen


def make_features(
    data: LabelledSet,
    function: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    recipe: Recipe,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return (1 + views, count, features) float32: of the pictures, then of augmented copies."""
    views = []
    for view in range(1 + recipe.views):
        parts = []
        for start in range(0, len(data.malignant), CHUNK):
            indices = range(start, min(start + CHUNK, len(data.malignant)))
            pictures = [
                augmented(data.pictures[i], recipe.augmentation, SIDE, rng)
                if view
                else data.resized(i, SIDE)
                for i in indices
            ]
            parts.append(function(inputs_of(pictures)))
        views.append(np.concatenate(parts))
        say(f"view {view + 1} of {1 + recipe.views} filtered")
    return np.stack(views)


def fit_head(
    features: NDArray[np.float32],
    malignant: NDArray[np.bool_],
    decay: float,
    recipe: Recipe,
    seed: int,
) -> Head:
    """Fit a head to all views of some pictures."""
    return train_head(
        features.reshape(-1, features.shape[-1]),
        np.tile(malignant, len(features)),
        decay,
        span_decay=recipe.span_decay,
        steps=recipe.steps,
        rate=recipe.rate,
        weight=recipe.malignant_weight,
        seed=seed,
    )


def held_out_logits(
    features: NDArray[np.float32],
    malignant: NDArray[np.bool_],
    folds: NDArray[np.int64],
    *,
    decay: float,
    recipe: Recipe,
    seed: int,
) -> NDArray[np.float64]:
    """Return (count,) logits, each from a head that saw no view of that picture."""
    logits = np.empty(len(malignant))
    for fold in range(recipe.folds):
        seen = folds != fold
        head = fit_head(features[:, seen], malignant[seen], decay, recipe, seed)
        logits[~seen] = head.logits(features[0, ~seen])
    say(f"weight decay {decay}: cross-validated AUC {roc_auc_score(malignant, logits):.4f}")
    return logits


def choose_decay(
    malignant: NDArray[np.bool_], held_out: dict[float, NDArray[np.float64]], seed: int
) -> tuple[float, dict[str, float]]:
    """Return the largest decay within one standard error of the best, and all AUCs."""
    values = {decay: float(roc_auc_score(malignant, logits)) for decay, logits in held_out.items()}
    best = max(values, key=values.__getitem__)
    low, high = auc_interval(malignant, held_out[best], seed)
    error = (high - low) / (2 * 1.96)
    chosen = max(decay for decay, value in values.items() if value >= values[best] - error)
    return chosen, {str(decay): round(value, 4) for decay, value in values.items()}


def inputs_of(pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return (count, side, side, 3) float32, what the network sees of BGR bytes."""
    return CONTRACT.apply(np.stack(pictures))


def sigmoid(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return probabilities for logits."""
    return 1 / (1 + np.exp(-logits.astype(np.float64)))


def say(line: str) -> None:
    """Report progress."""
    print(line, file=sys.stderr, flush=True)
