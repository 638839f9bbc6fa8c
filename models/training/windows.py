"""The notebook's network as it is trained: only the windows that its Dense(10) looks at.

Trained as it stands, Dense(10) on 238,144 values overfits, and one picture costs 0.87 billion
multiply-adds.  Here it looks at every eighth place of pool2 in a row, and at every eighth row, as
neighbours see nearly the same; each place sees a window of 13 x 13 pixels.  And its kernel is a sum
of a few rings around the picture's centre, as a lesion has no right way up.  :func:`full_arrays`
writes what was learned into the layers of the whole network, which is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import keras
import numpy as np

from convert.network import LAYERS, output_shapes, receptive_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from convert.network import Layer

EVERY = 8
RINGS = 5
CHANNELS = (16, 16)
"""Of conv1 and conv2; the others of the whole network stay at zero."""
_MAP_SIDE = output_shapes()["pool2"][0]
_UNITS = LAYERS[2].kernel[-1]
_WINDOW, _STEP = receptive_field("pool2")
_COUNT = len(range(0, _MAP_SIDE, EVERY))
_SEEN = (_STEP * EVERY * np.arange(_COUNT)[:, None] + np.arange(_WINDOW)).ravel()
"""The rows, and the columns, of the network's input that a place looks at."""
_KINK = 0.7
_GRAIN = 0.2


def windows(picture: NDArray[Any]) -> NDArray[Any]:
    """Return what the places see of a (500, 500, 3) picture: (208, 208, 3), window by window."""
    seen: NDArray[Any] = picture[_SEEN][:, _SEEN]
    return seen


def warped_windows(picture: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the :func:`windows` of a picture that is moved by a (2, 3) matrix; outside, mirrored.

    As ``warpAffine`` would, but of these pixels only, which takes half the time.
    """
    back = cv2.invertAffineTransform(matrix)
    grid = np.stack(np.meshgrid(_SEEN, _SEEN), axis=-1) @ back[:, :2].T + back[:, 2]
    x, y = np.moveaxis(grid.astype(np.float32), -1, 0).copy()
    out: NDArray[np.uint8] = cv2.remap(
        picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )  # type: ignore[assignment]
    return out


def ring_maps() -> NDArray[np.float64]:
    """Return (places, places, rings): soft rings around the centre, each with sum 1.

    They are triangles over the squared radius, so that they cover areas of like size and no place
    gets far more weight than another.
    """
    axis = np.linspace(-1, 1, _COUNT)
    squared = np.minimum(axis[:, None] ** 2 + axis**2, 1.5) / 1.5
    centres = np.linspace(0, 1, RINGS)
    rings = np.maximum(0, 1 - np.abs(squared[..., None] - centres) * (RINGS - 1))
    found: NDArray[np.float64] = rings / rings.sum((0, 1))
    return found


def build_windows() -> keras.Model:
    """Return the network: (batch, 208, 208, 3) windows in, a probability (batch, 1) out."""
    layers, ops = keras.layers, keras.ops
    first, second = CHANNELS
    picture = keras.Input((_SEEN.size, _SEEN.size, 3), name="windows")
    x = ops.reshape(picture, (-1, _COUNT, _WINDOW, _COUNT, _WINDOW, 3))
    x = ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, _WINDOW, _WINDOW, 3))
    kinks = keras.initializers.RandomUniform(-_KINK, _KINK)
    x = layers.Conv2D(
        first,
        4,
        activation="relu",
        kernel_initializer=_colours_first,
        bias_initializer=kinks,
        name="conv1",
    )(x)
    x = layers.Conv2D(second, 4, use_bias=False, name="conv2")(layers.MaxPooling2D(2)(x))
    x = layers.ReLU(name="conv2_relu")(layers.BatchNormalization(name="conv2_norm")(x))
    x = ops.reshape(layers.MaxPooling2D(2)(x), (-1, _COUNT**2, second))
    rings = ring_maps().reshape(_COUNT**2, RINGS).astype(np.float32)
    x = ops.reshape(ops.einsum("bpc,pr->brc", x, rings), (-1, RINGS * second))
    x = layers.BatchNormalization(scale=False, center=False, name="rings_norm")(x)
    x = layers.Dense(_UNITS, activation="relu", name="dense1")(x)
    x = layers.Dense(1, activation="sigmoid", name="probability")(x)
    return keras.Model(picture, x, name="windows")


def _colours_first(shape: tuple[int, ...], dtype: Any = None) -> Any:
    """Return a first kernel that is nearly the same at all its places: it sees mean colours."""
    deviation = 1 / (shape[0] * shape[1])
    colours = keras.random.normal((1, 1, *shape[2:]), 0, deviation, dtype)
    return colours + keras.random.normal(shape, 0, _GRAIN * deviation, dtype)


def full_arrays(
    network: keras.Model, largest: Mapping[str, NDArray[np.floating[Any]]]
) -> dict[str, Layer]:
    """Return the layers of the whole network that answers as a network of windows does.

    Args:
        network: of :func:`build_windows`.
        largest: of ``conv1``, ``conv2`` and ``dense1``, the largest value of each channel; they
            are scaled to reach 1, so that all use the range of one int8 tensor.

    Returns:
        By name of :data:`convert.network.LAYERS`: (kernel, bias), float32.

    """
    of1, of2, of3 = (largest[name] for name in ("conv1", "conv2", "dense1"))
    conv1, bias1 = _weights(network, "conv1")
    (conv2,) = _weights(network, "conv2")
    gamma, beta, mean, variance = _weights(network, "conv2_norm")
    scale = gamma / np.sqrt(variance + network.get_layer("conv2_norm").epsilon)
    conv2, bias2 = conv2 * of1[:, None] * scale, beta - mean * scale
    mean, variance = _weights(network, "rings_norm")
    deviation = np.sqrt(variance + network.get_layer("rings_norm").epsilon)
    weights, bias = _weights(network, "dense1")
    weights = weights / deviation[:, None] / of3
    bias = bias / of3 - mean @ weights
    last, last_bias = _weights(network, "probability")
    first, second = bias1.size, bias2.size
    full = {
        spec.name: (np.zeros(spec.kernel, np.float32), np.zeros(spec.bias, np.float32))
        for spec in LAYERS
    }
    full["conv1"][0][..., :first], full["conv1"][1][:first] = conv1 / of1, bias1 / of1
    full["conv2"][0][:, :, :first, :second] = conv2 / of2
    full["conv2"][1][:second] = bias2 / of2
    by_place = full["dense1"][0].reshape(_MAP_SIDE, _MAP_SIDE, -1, _UNITS)
    by_ring = weights.reshape(RINGS, second, _UNITS) * of2[:, None]
    by_place[::EVERY, ::EVERY, :second] = np.einsum("yxr,rcu->yxcu", ring_maps(), by_ring)
    full["dense1"][1][:] = bias
    full["dense2"][0][:], full["dense2"][1][:] = last * of3[:, None], last_bias
    return full


def _weights(network: keras.Model, name: str) -> list[NDArray[np.float64]]:
    return [np.asarray(each, np.float64) for each in network.get_layer(name).get_weights()]
