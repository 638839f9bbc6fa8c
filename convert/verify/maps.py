"""The gate of the network that outlines the lesion: where its map and Keras' part it alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .parity import rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    from numpy.typing import NDArray

    from convert.quantise.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True)
class MapBudget:
    """How far a variant's maps may be from Keras'."""

    jaccard: float
    """The least mean Jaccard index of both lesions: one is all alike."""
    max_delta: float = 1.0
    """The largest |Δp| of any place.  At a lesion's edge P changes from 0 to 1 within a few places,
    so that of a quantised map it says little."""


DEFAULT_BUDGETS = {
    "float32": MapBudget(jaccard=0.999, max_delta=1e-4),
    "float16": MapBudget(jaccard=0.99),
    "dynamic": MapBudget(jaccard=0.98),
    "int8": MapBudget(jaccard=0.97),
}


@dataclass(frozen=True, slots=True)
class MapParity:
    """How a variant's maps compare with Keras' of the same pictures."""

    pictures: int
    max_delta: float
    """The largest |Δp| of any place; NaN if any was no number."""
    mean_delta: float
    """Over all places of all pictures."""
    jaccard: float
    """The mean over the pictures."""
    jaccard_least: float
    worst: str
    """The picture of the least Jaccard index."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types, to five significant digits."""
        return rounded(asdict(self))


def keras_map(
    model: keras.Model, pixels: Preprocessing, image: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return P(lesion) by Keras, (rows, columns), preprocessed as in training.

    Args:
        model: the file's own, (1, height, width, 3) to (1, rows, columns, 1).
        pixels: what happens to a picture before the model.
        image: a picture of the model's size, (height, width, 3) uint8, BGR.

    """
    answer: NDArray[np.float32] = model.predict_on_batch(pixels.apply(image)[None])
    return answer[0, :, :, 0]


def compare_maps(
    names: Sequence[str],
    expected: NDArray[np.float32],
    actual: NDArray[np.float32],
    threshold: float,
) -> MapParity:
    """Compare two sets of maps, (pictures, rows, columns) each, of the same pictures.

    The Jaccard index of two lesions is the number of places that both have, by that of those
    which either has; 1 where neither has any.
    """
    delta = np.abs(actual - expected)
    mine, theirs = actual >= threshold, expected >= threshold
    both = (mine & theirs).sum(axis=(1, 2))
    either = (mine | theirs).sum(axis=(1, 2))
    indices = np.where(either, both / np.maximum(either, 1), 1.0)
    worst = int(np.argmin(indices))
    return MapParity(
        pictures=len(names),
        max_delta=float(delta.max()),
        mean_delta=float(delta.mean(dtype=np.float64)),
        jaccard=float(indices.mean()),
        jaccard_least=float(indices[worst]),
        worst=names[worst],
    )


def exceeded(parity: MapParity, budget: MapBudget) -> list[str]:
    """Return what is over budget, one text each; NaN is over any."""
    over = []
    if not parity.jaccard >= budget.jaccard:
        over.append(
            f"the outline's mean Jaccard index is {parity.jaccard:.4f}, at least "
            f"{budget.jaccard:.4g} is needed; {parity.jaccard_least:.3f} on {parity.worst}"
        )
    if not parity.max_delta <= budget.max_delta:
        over.append(
            f"the outline's max |Δp| is {parity.max_delta:.3g}, its budget {budget.max_delta:.3g}"
        )
    return over
