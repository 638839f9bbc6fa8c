"""Draw the convolutions: colour filters, on grids that int8 keeps exactly.

conv1 holds ramps, conv2 mixtures of them.  Many mixtures are drawn at random, and those are kept
that together tell most (:func:`choose_channels`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PATCH = 4
_DENSITY = 0.6
_SIDES = tuple((component, sign) for component in (0, 1, 2) for sign in (1, -1))
_LEVELS = (0.02, 0.5)
"""Quantiles above which the first ramps rise.  Those at 0.02 are nearly straight lines: with both
signs, nothing of the colour is lost."""
_RIDGE = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Filters:
    """Both convolutions, with those channels that are in use."""

    kernel1: NDArray[np.float32]
    bias1: NDArray[np.float32]
    kernel2: NDArray[np.float32]
    bias2: NDArray[np.float32]

    def take(self, channels: list[int]) -> Filters:
        """Return the filters with only these channels of conv2, in this order."""
        return Filters(self.kernel1, self.bias1, self.kernel2[..., channels], self.bias2[channels])


def on_grid(kernel: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Scale each output channel of a kernel a little, and round it to whole numbers times a step.

    The largest number of a channel is 127, so that a quantiser (step = largest / 127) finds the
    very same grid.  The step has four significant bits and the numbers seven, so that float16,
    with eleven, holds the products exactly.

    Args:
        kernel: (..., channels).

    Returns:
        The kernel on its grid, and the (channels,) positive factors it was scaled by: a rectified
        channel may be scaled freely, if its bias and what follows are too.

    """
    largest = np.abs(kernel).reshape(-1, kernel.shape[-1]).max(0)
    step = ceil_four_bits(largest / 127)
    factor = 127 * step / largest
    return (np.rint(kernel * factor / step) * step).astype(np.float32), factor


def ceil_four_bits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smallest numbers of four significant bits that are not below ``values``."""
    mantissa, exponent = np.frexp(values)
    rounded: NDArray[np.float64] = np.ldexp(np.ceil(mantissa * 16) / 16, exponent)
    return rounded


def draw_filters(images: NDArray[np.float32], seed: int, ramps: int, mixtures: int) -> Filters:
    """Draw both convolutions from pictures, without their labels.

    conv1 holds ramps: the mean of 4x4 pixels along a direction of colour space, above a quantile
    of what occurs; first along both sides of the principal components, then along random ones.
    conv2 holds random mixtures of their means over 4x4 places, above random levels.  Each channel
    is scaled to reach 1 on these pictures, so that all use the range of an int8 tensor.

    Args:
        images: (count, side, side, 3) float32, the network's input.
        seed: of the directions, levels and mixtures.
        ramps: channels of conv1.
        mixtures: channels of conv2.

    """
    import tensorflow as tf

    rng = np.random.default_rng(seed)
    colours = images[:, ::7, ::7].reshape(-1, 3).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(colours.T))
    whitening = (vectors / np.sqrt(values))[:, ::-1]  # the strongest component first
    weights = [whitening[:, component] * sign for _ in _LEVELS for component, sign in _SIDES]
    levels = [level for level in _LEVELS for _ in _SIDES]
    while len(weights) < ramps:
        weights.append(whitening @ rng.normal(0, 1, 3))
        levels.append(rng.uniform(0, 0.85))
    directions = np.stack(weights[:ramps], 1)
    along = colours @ directions
    bias = -np.array([np.quantile(along[:, i], level) for i, level in enumerate(levels[:ramps])])
    kernel = np.broadcast_to(directions / _PATCH**2, (_PATCH, _PATCH, 3, ramps))
    kernel1, bias1 = _scaled(kernel, bias, images)
    maps = tf.nn.relu(tf.nn.conv2d(images, kernel1, 1, "VALID") + bias1)
    maps = tf.nn.max_pool2d(maps, 2, 2, "VALID")

    mixed = rng.normal(0, 1, (ramps, mixtures)) * (rng.random((ramps, mixtures)) < _DENSITY)
    mixed[rng.integers(ramps, size=mixtures), np.arange(mixtures)] += 1  # none may be empty
    kernel = np.broadcast_to(mixed / _PATCH**2, (_PATCH, _PATCH, ramps, mixtures))
    sums = tf.nn.conv2d(maps, kernel.astype(np.float32), 1, "VALID").numpy()
    mean, deviation = sums.mean((0, 1, 2)), sums.std((0, 1, 2))
    bias = -mean + deviation * rng.uniform(-1, 1.8, mixtures)
    return Filters(kernel1, bias1, *_scaled(kernel, bias, maps.numpy()))


def choose_channels(
    features: NDArray[np.float32],
    malignant: NDArray[np.bool_],
    folds: NDArray[np.int64],
    count: int,
    *,
    weight: float,
) -> list[int]:
    """Choose channels of conv2 one by one, each the best beside those chosen before.

    Judged by a ridge regression on the channels' rings, cross-validated.

    Args:
        features: (pictures, rings, channels) float32.
        malignant: (pictures,).
        folds: (pictures,), the fold of each.
        count: how many to choose.
        weight: what a malignant picture counts, a benign one being 1.

    """
    chosen: list[int] = []
    while len(chosen) < count:
        left = (channel for channel in range(features.shape[2]) if channel not in chosen)
        worth = {
            channel: _ridge_auc(features[:, :, [*chosen, channel]], malignant, folds, weight)
            for channel in left
        }
        chosen.append(max(worth, key=worth.__getitem__))
    return chosen


def _ridge_auc(
    features: NDArray[np.float32],
    malignant: NDArray[np.bool_],
    folds: NDArray[np.int64],
    weight: float,
) -> float:
    """Return the mean over the folds of a ridge regression's area under the ROC curve."""
    from sklearn.linear_model import Ridge
    from sklearn.metrics import roc_auc_score

    flat = features.reshape(len(features), -1).astype(np.float64)
    flat = (flat - flat.mean(0)) / (flat.std(0) + 1e-9)
    weights = np.where(malignant, weight, 1.0)
    areas = []
    for fold in np.unique(folds):
        seen = folds != fold
        ridge = Ridge(alpha=_RIDGE * seen.sum(), solver="cholesky")
        ridge.fit(flat[seen], np.where(malignant[seen], 1.0, -1.0), weights[seen])
        areas.append(roc_auc_score(malignant[~seen], ridge.predict(flat[~seen])))
    return float(np.mean(areas))


def _scaled(
    kernel: NDArray[np.float64], bias: NDArray[np.float64], inputs: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return kernel and bias on a grid, scaled so that each channel reaches about 1."""
    import tensorflow as tf

    sums = tf.nn.conv2d(inputs, kernel.astype(np.float32), 1, "VALID").numpy() + bias
    largest = np.maximum(sums.max((0, 1, 2)), 1e-3)
    gridded, factor = on_grid(kernel / largest)
    return gridded, (bias / largest * factor).astype(np.float32)
