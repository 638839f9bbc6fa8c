"""The network as it is trained: few free weights, yet exactly of the full kind, and int8 by birth.

Trained as it stands, Dense(10) on 238,144 values dies or overfits.  Here its kernel is a sum of a
few rings around the picture's centre, each the same for all places at one radius: some hundred
numbers instead of 2.4 million.  The convolutions are not trained at all: they look at the mean
colour of 4x4 pixels and of 11x11, so that an answer doesn't hang on how sharp the resize was.

Each kernel is put on a grid of 8-bit whole numbers times a step (:func:`on_grid`) before anything
is fitted to what it sees.  So quantising the weights, to int8 or to float16, changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .network import INPUT_SIZE_WH, LAYERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Arrays = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

SIDE = INPUT_SIZE_WH[0]
MAP_SIDE = 122
_CONV1, _CONV2, _UNITS = (spec.kernel[-1] for spec in LAYERS[:3])
_PATCH = 4
_STRIDE = 4
_DENSITY = 0.2
_COMPONENTS = 6
"""Of the 12 of a 2x2 patch: three colours and the strongest differences between neighbours.  The
others are mostly noise of the JPEG file, and so faint that rounding weights to int8 drowns them."""


@dataclass(frozen=True, slots=True, eq=False)
class Filters:
    """Both convolutions, as the full network holds them."""

    kernel1: NDArray[np.float32]
    bias1: NDArray[np.float32]
    kernel2: NDArray[np.float32]
    bias2: NDArray[np.float32]


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


def ring_maps(count: int) -> NDArray[np.float32]:
    """Return (MAP_SIDE ** 2, count) float32: soft rings around the centre, each with sum 1.

    They are triangles over the squared radius, so that they cover areas of like size and no place
    gets far more weight than another.  Only every fourth place of every fourth row has a weight:
    neighbours see nearly the same, and each term less is a rounding error less in the sum of
    float32 products, where 238,144 of them cost five digits.
    """
    places = np.arange(0, MAP_SIDE, _STRIDE)
    axis = places / places.max() * 2 - 1
    squared = np.minimum(axis[:, None] ** 2 + axis[None, :] ** 2, 1.5) / 1.5
    centres = np.linspace(0, 1, count)
    rings = np.maximum(0, 1 - np.abs(squared[..., None] - centres) * (count - 1))
    maps = np.zeros((MAP_SIDE, MAP_SIDE, count), np.float32)
    maps[::_STRIDE, ::_STRIDE] = rings / rings.sum((0, 1))
    return maps.reshape(-1, count)


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


def make_filters(images: NDArray[np.float32], seed: int) -> Filters:
    """Derive both convolutions from pictures, without their labels.

    conv1 holds ramps: the mean of 4x4 pixels along a direction of colour space, above a quantile
    of what occurs; half of them along the principal components, half along random ones.  conv2
    holds sparse random mixtures of their means over 4x4 places, above random levels.  Each
    channel is scaled to reach 1 on these pictures, so that all use the range of an int8 tensor.

    Args:
        images: (count, SIDE, SIDE, 3) float32, the network's input.
        seed: of the directions, levels and mixtures.

    """
    import tensorflow as tf

    rng = np.random.default_rng(seed)
    colours = images[:, ::7, ::7].reshape(-1, 3).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(colours.T))
    whitening = vectors / np.sqrt(values)
    half = _CONV1 // 2
    directions = [whitening[:, i % 3] * (1, -1)[i // 3 % 2] for i in range(half)]
    directions += [whitening @ rng.normal(0, 1, 3) for _ in range(_CONV1 - half)]
    weights = np.stack(directions, 1)
    levels = [(0.02, 0.3, 0.6)[i // 6] for i in range(half)] + list(rng.uniform(0, 0.85, half))
    along = colours @ weights
    bias = -np.array([np.quantile(along[:, i], level) for i, level in enumerate(levels)])
    kernel = np.broadcast_to(weights / _PATCH**2, (_PATCH, _PATCH, 3, _CONV1))
    kernel1, bias1 = _scaled(kernel, bias, images)
    maps = tf.nn.max_pool2d(
        tf.nn.relu(tf.nn.conv2d(images, kernel1, 1, "VALID") + bias1), 2, 2, "VALID"
    )

    mixtures = rng.normal(0, 1, (_CONV1, _CONV2)) * (rng.random((_CONV1, _CONV2)) < _DENSITY)
    mixtures[rng.integers(_CONV1, size=_CONV2), np.arange(_CONV2)] += 1  # none may be empty
    kernel = np.broadcast_to(mixtures / _PATCH**2, (_PATCH, _PATCH, _CONV1, _CONV2))
    sums = tf.nn.conv2d(maps, kernel.astype(np.float32), 1, "VALID").numpy()
    mean, deviation = sums.mean((0, 1, 2)), sums.std((0, 1, 2))
    bias = -mean + deviation * rng.uniform(-1, 1.5, _CONV2)
    return Filters(kernel1, bias1, *_scaled(kernel, bias, maps.numpy()))


def _scaled(
    kernel: NDArray[np.float64], bias: NDArray[np.float64], inputs: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return kernel and bias on a grid, scaled so that each channel reaches about 1."""
    import tensorflow as tf

    sums = tf.nn.conv2d(inputs, kernel.astype(np.float32), 1, "VALID").numpy() + bias
    largest = np.maximum(sums.max((0, 1, 2)), 1e-3)
    gridded, factor = on_grid(kernel / largest)
    return gridded, (bias / largest * factor).astype(np.float32)


def feature_function(
    filters: Filters, rings: int
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Return a function: (count, SIDE, SIDE, 3) float32 to (count, rings * channels) float32."""
    import tensorflow as tf

    maps = tf.constant(ring_maps(rings))

    def run(images: Any) -> Any:
        x = tf.nn.conv2d(images, filters.kernel1, 1, "VALID") + filters.bias1
        x = tf.nn.max_pool2d(tf.nn.relu(x), 2, 2, "VALID")
        x = tf.nn.conv2d(x, filters.kernel2, 1, "VALID") + filters.bias2
        x = tf.nn.max_pool2d(tf.nn.relu(x), 2, 2, "VALID")
        x = tf.reshape(x, (-1, MAP_SIDE**2, _CONV2))
        return tf.reshape(tf.einsum("bpc,pr->brc", x, maps), (-1, rings * _CONV2))

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


def assemble(filters: Filters, head: Head, rings: int, hidden_max: NDArray[np.float64]) -> Arrays:
    """Write filters and head into the layers of the full network.

    Args:
        filters: both convolutions.
        head: the dense layers.
        rings: how many rings the features have.
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
    by_ring = (weights * scale).reshape(rings, _CONV2, _UNITS)
    kernel = np.einsum("pr,rcu->pcu", ring_maps(rings).astype(np.float64), by_ring)
    step = float(ceil_four_bits(np.abs(kernel).max() / 127))
    used = ring_maps(rings).any(axis=1)
    whole = np.zeros_like(kernel)
    whole[used] = diffuse(kernel[used] / step)
    # A quantiser takes the largest number for 127 steps.
    largest = np.argmax(np.abs(kernel))
    whole.flat[largest] = math.copysign(127, kernel.flat[largest])
    last = (head.last / scale[:, None]).astype(np.float16)
    full: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
        "conv1": (filters.kernel1, filters.bias1),
        "conv2": (filters.kernel2, filters.bias2),
        "dense1": ((whole * step).reshape(LAYERS[2].kernel), bias),
        "dense2": (last, head.last_bias),
    }
    return {name: (k.astype(np.float32), b.astype(np.float32)) for name, (k, b) in full.items()}


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
