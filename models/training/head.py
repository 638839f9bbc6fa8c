"""Fit the dense layers with few free weights, and write them into the full network.

Trained as it stands, Dense(10) on 238,144 values dies or overfits.  Here its kernel is a sum of a
few rings around the picture's centre, each the same for all places at one radius: some hundred
numbers instead of 2.4 million.  The convolutions (:mod:`models.training.filters`) look at the
mean colour of 4x4 pixels and of 11x11, so that an answer doesn't hang on how sharp the resize was.

Each kernel is put on a grid of 8-bit whole numbers times a step
(:func:`~models.training.filters.on_grid`) before anything is fitted to what it sees.  So
quantising the weights, to int8 or to float16, changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.network import INPUT_SIZE_WH, LAYERS, output_shapes

from .filters import ceil_four_bits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .filters import Filters

    Arrays = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

SIDE = INPUT_SIZE_WH[0]
MAP_SIDE = output_shapes()["pool2"][0]
_UNITS = LAYERS[2].kernel[-1]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The two dense layers, on standardised features."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    weights: NDArray[np.float64]
    """(features, units)."""
    bias: NDArray[np.float64]
    last: NDArray[np.float64]
    """(units, 1)."""
    last_bias: NDArray[np.float64]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (count,) for (count, features)."""
        out: NDArray[np.float64] = (self.hidden(features) @ self.last + self.last_bias)[:, 0]
        return out

    def hidden(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (count, units), not below 0, for (count, features)."""
        sums = (features - self.mean) / self.deviation @ self.weights + self.bias
        hidden: NDArray[np.float64] = np.maximum(sums, 0)
        return hidden


def ring_maps(count: int, every: int) -> NDArray[np.float32]:
    """Return (MAP_SIDE ** 2, count) float32: soft rings around the centre, each with sum 1.

    They are triangles over the squared radius, so that they cover areas of like size and no place
    gets far more weight than another.  Only one place of ``every`` in a row, and one row of as
    many, has a weight.  Neighbours see nearly the same; the converter needn't compute what nothing
    looks at; and each term less is a rounding error less in the sum of float32 products, where
    238,144 of them cost five digits.
    """
    places = np.arange(0, MAP_SIDE, every)
    axis = places / places.max() * 2 - 1
    squared = np.minimum(axis[:, None] ** 2 + axis[None, :] ** 2, 1.5) / 1.5
    centres = np.linspace(0, 1, count)
    rings = np.maximum(0, 1 - np.abs(squared[..., None] - centres) * (count - 1))
    maps = np.zeros((MAP_SIDE, MAP_SIDE, count), np.float32)
    maps[::every, ::every] = rings / rings.sum((0, 1))
    return maps.reshape(-1, count)


def feature_function(
    filters: Filters, maps: NDArray[np.float32]
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return a function: (count, SIDE, SIDE, 3) float32 to (count, rings * channels) float32.

    Args:
        filters: both convolutions.
        maps: from :func:`ring_maps`.

    """
    import tensorflow as tf

    rings = maps.shape[1]
    count = filters.bias2.size

    def run(images: Any) -> Any:
        x = tf.nn.conv2d(images, filters.kernel1, 1, "VALID") + filters.bias1
        x = tf.nn.max_pool2d(tf.nn.relu(x), 2, 2, "VALID")
        x = tf.nn.conv2d(x, filters.kernel2, 1, "VALID") + filters.bias2
        x = tf.nn.max_pool2d(tf.nn.relu(x), 2, 2, "VALID")
        x = tf.reshape(x, (-1, MAP_SIDE**2, count))
        return tf.reshape(tf.einsum("bpc,pr->brc", x, maps), (-1, rings * count))

    traced = tf.function(run, autograph=False)

    def call(images: NDArray[np.float32]) -> NDArray[np.float32]:
        out: NDArray[np.float32] = traced(tf.constant(images)).numpy()
        return out

    return call


def train_head(
    features: NDArray[np.float32],
    malignant: NDArray[np.bool_],
    decay: float,
    *,
    span_decay: float,
    steps: int,
    rate: float,
    weight: float,
    seed: int,
) -> Head:
    """Fit the dense layers to features, all of them at every step.

    Args:
        features: (count, features) float32.
        malignant: (count,).
        decay: factor of half the squared weights in the loss.
        span_decay: factor of half the squared spans, a span being how far one unit can move the
            logit.  A unit is rounded to a 255th of its range in an int8 model, so the sum of the
            squares is the noise that rounding adds; without this, units of large and opposite
            spans cancel each other out.
        steps: of Adam, its rate falling to zero.
        rate: the first one.
        weight: what a malignant picture counts, a benign one being 1.
        seed: of the first weights.

    """
    import keras
    import tensorflow as tf

    mean, deviation = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64) + 1e-6
    rng = np.random.default_rng(seed)
    count = features.shape[1]
    inputs = tf.constant(((features - mean) / deviation).astype(np.float32))
    truth = tf.constant(malignant[:, None].astype(np.float32))
    weights = tf.Variable(rng.normal(0, count**-0.5, (count, _UNITS)).astype(np.float32))
    bias = tf.Variable(np.full(_UNITS, 0.5, np.float32))
    # Units speak for and against malignancy in turn, or they would all become one.
    signs = np.where(np.arange(_UNITS) % 2, -1.0, 1.0)
    last = tf.Variable((0.3 * signs[:, None]).astype(np.float32))
    last_bias = tf.Variable(np.zeros(1, np.float32))
    variables = [weights, bias, last, last_bias]
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))
    optimizer.build(variables)

    def step() -> None:
        with tf.GradientTape() as tape:
            hidden = tf.nn.relu(inputs @ weights + bias)
            logits = hidden @ last + last_bias
            losses = tf.nn.weighted_cross_entropy_with_logits(truth, logits, weight)
            loss = tf.reduce_mean(losses)
            loss += decay * (tf.nn.l2_loss(weights) + tf.nn.l2_loss(last))
            spans = last[:, 0] * tf.reduce_max(hidden, axis=0)
            loss += span_decay * tf.nn.l2_loss(spans)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    traced = tf.function(step, autograph=False)
    for _ in range(steps):
        traced()
    return Head(mean, deviation, *(variable.numpy().astype(np.float64) for variable in variables))


def assemble(
    filters: Filters, head: Head, maps: NDArray[np.float32], hidden_max: NDArray[np.float64]
) -> Arrays:
    """Write filters and head into the layers of the full network.

    Args:
        filters: both convolutions.
        head: the dense layers.
        maps: from :func:`ring_maps`.
        hidden_max: (units,) the largest value of each hidden unit on the training pictures.  The
            units are scaled to reach 1, so that all use the range of one int8 tensor.

    Returns:
        By name of :data:`convert.network.LAYERS`: (kernel, bias), float32.  The kernel of dense1
        is on one grid for all; its rounding errors are passed on from place to place, so that
        the mean over a ring is as exact as without.

    """
    scale = 1 / hidden_max
    weights = head.weights / head.deviation[:, None]
    bias = (head.bias - head.mean @ weights) * scale
    by_ring = (weights * scale).reshape(maps.shape[1], -1, _UNITS)
    kernel = np.einsum("pr,rcu->pcu", maps.astype(np.float64), by_ring)
    step = float(ceil_four_bits(np.abs(kernel).max() / 127))
    used = maps.any(axis=1)
    whole = np.zeros_like(kernel)
    whole[used] = diffuse(kernel[used] / step)
    # A quantiser takes the largest number for 127 steps.
    largest = np.argmax(np.abs(kernel))
    whole.flat[largest] = math.copysign(127, kernel.flat[largest])
    last = (head.last / scale[:, None]).astype(np.float16)
    first, second = filters.bias1.size, filters.bias2.size
    full = {
        spec.name: (np.zeros(spec.kernel, np.float32), np.zeros(spec.bias, np.float32))
        for spec in LAYERS
    }
    full["conv1"][0][..., :first], full["conv1"][1][:first] = filters.kernel1, filters.bias1
    full["conv2"][0][:, :, :first, :second] = filters.kernel2
    full["conv2"][1][:second] = filters.bias2
    by_place = full["dense1"][0].reshape(MAP_SIDE**2, -1, _UNITS)
    by_place[:, :second], full["dense1"][1][:] = whole * step, bias
    full["dense2"][0][:], full["dense2"][1][:] = last, head.last_bias
    return full


def diffuse(kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to whole numbers of -127..127, passing each place's error on to the next.

    Error diffusion along the first axis (as Floyd and Steinberg's, 1976, in one dimension): sums
    over many neighbouring places keep their value to within one step.
    """
    whole, error = np.empty_like(kernel), np.zeros(kernel.shape[1:])
    for place, wanted in enumerate(kernel):
        whole[place] = np.clip(np.rint(wanted + error), -127, 127)
        error += wanted - whole[place]
    return whole
