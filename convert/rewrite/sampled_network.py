"""The float network so that only a lattice of pool2's places is computed; see :mod:`.lattice`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .lattice import POOL, Lattice, Window, window_kernel
from .network import by_place
from .stages import pack_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


def find_lattice(arrays: Mapping[str, Layer]) -> Lattice | None:
    """Return the places of pool2 that dense1 looks at; None if they are too close to each other.

    Args:
        arrays: (kernel, bias) of conv1, conv2, dense1 and dense2, as Keras has them.

    """
    return Lattice.of(np.asarray(by_place(arrays).any(axis=(2, 3))))


def build_sampled(arrays: Mapping[str, Layer], lattice: Lattice) -> Callable[[Any], Any]:
    """Return the network as a function that computes no more than a lattice of pool2's places.

    It adds the same products, but for those with a weight of 0, in another order: exact in real
    arithmetic, judged by the parity gate like all else.

    Args:
        arrays: (kernel, bias) of conv1, conv2, dense1 and dense2, as Keras has them.
        lattice: from :func:`find_lattice`.

    Returns:
        A function of TensorFlow's: float32 (1, 500, 500, 3) to (1, 1).

    """
    import tensorflow as tf

    (kernel1, bias1), (kernel2, bias2) = (_first_out(arrays[name]) for name in ("conv1", "conv2"))
    dense1_bias, (dense2, dense2_bias) = arrays["dense1"][1], arrays["dense2"]
    window = Window.of(kernel1.shape[1:3], kernel2.shape[1:3])
    rows, columns = lattice.rows, lattice.columns
    of_rows = tf.constant(window.pixel_rows(rows))
    phases = window.column_phases(columns)
    first = tf.constant(pack_kernel(kernel1, phases, 1).transpose(1, 2, 3, 0))
    first_bias = tf.constant(np.tile(bias1, len(phases)))
    height, wide = window.pixels_hw[0], window.pooled_hw[1] * bias1.size
    square = window_kernel(kernel2)
    square = square.reshape(square.shape[0], square.shape[1], 1, wide)
    second = tf.constant(square.transpose(1, 2, 3, 0))
    second_bias = tf.constant(np.tile(bias2, POOL**2))
    seen = lattice.take(by_place(arrays)).reshape(-1, dense1_bias.size)
    step = POOL**2 * columns.step

    def infer(image: Any) -> Any:
        x = tf.reshape(tf.gather(image, of_rows, axis=1), (rows.count, height, -1, 3))
        x = tf.nn.relu(tf.nn.conv2d(x, first, (1, 1, step, 1), "VALID") + first_bias)
        x = tf.reshape(x, (rows.count, x.shape[1], POOL * x.shape[2], wide))
        x = tf.nn.max_pool2d(x, POOL, POOL, "VALID")
        x = tf.nn.relu(tf.nn.conv2d(x, second, 1, "VALID") + second_bias)
        if x.shape[2] > columns.count:
            x = tf.slice(x, (0, 0, 0, 0), (rows.count, 1, columns.count, x.shape[3]))
        x = tf.nn.max_pool2d(tf.reshape(x, (-1, POOL, POOL, bias2.size)), POOL, POOL, "VALID")
        with tf.name_scope("dense1"):  # the quantiser's recipes go by the name
            x = tf.nn.relu(tf.matmul(tf.reshape(x, (1, -1)), seen) + dense1_bias)
        return tf.nn.sigmoid(tf.matmul(x, dense2) + dense2_bias)

    return infer


def _first_out(layer: Layer) -> Layer:
    """Return (kernel, bias) with the kernel's output channels first."""
    return layer[0].transpose(3, 0, 1, 2), layer[1]
