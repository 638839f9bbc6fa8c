"""Computes a convolution and the pool behind it in the layout that a processor is fastest with.

A row of a picture, ``width`` pixels of ``channels`` values, is in memory also a row of
``width / packed`` packed pixels of ``packed * channels`` values.  A kernel of ``k`` columns is then
one of ``ceil(k / packed)`` packed columns with the same weights and zeros around them, which add 0
to every sum.  That fills the groups of 8 (or 4) input channels to which a kernel library pads.

Packed pixels lie ``packed`` columns apart, and an output is wanted at every column:

* **phases**: the same weights at several places of the kernel, as further output channels, give
  the outputs of several columns.  They fill the tiles of 16 output channels.
* **shifts**: the picture once more, moved by a column, gives the columns between.  Both pictures
  go through one convolution, their rows in turns, with a row dilation of 2.

Pooling takes a maximum, and in any order: over two rows of two shifts it is a window of 4x1.
With phases in the order (column parity, pooled column, channel) the outputs of a row, seen as
twice as many pixels, are a picture of (pooled columns * channels) channels to pool 2x2.  Either
way what comes out is pool's picture in its usual order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.network import NETWORK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.network import Layer

POOL, _ = NETWORK[1].window
"""The rows and columns of a pool's window, which are also its steps."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to compute a convolution and its pool."""

    packed: int = 1
    """The columns in a packed pixel; they divide the picture's width and the step."""
    pooled: int = 0
    """The pooled columns that one place of the kernel gives, as phases; 0 for shifts."""
    start: int = 0
    """The column of the first place, for phases."""
    step: int = 0
    """The columns from one place to the next, for phases; 0 for ``POOL * pooled``."""

    def __str__(self) -> str:
        kind = f"{POOL * self.pooled} phases" if self.pooled else f"{POOL} shifts"
        return f"{self.packed} columns packed, {kind}"


def convolve_and_pool(x: Any, layer: Layer, layout: Layout | None) -> Any:
    """Return pool(ReLU(convolution)), computed in a layout; a function of TensorFlow's.

    Args:
        x: (batch, height, width, channels) float32.
        layer: kernel (height, width, in, out), stride 1, no padding, and bias (out,).
        layout: one that fits; None is the two operations as they are.

    Returns:
        (batch, rows, columns, out), or fewer of the last columns where no whole place of the
        packed kernel is left for them.

    """
    import tensorflow as tf

    kernel, bias = layer
    if layout is None:
        x = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "VALID") + bias)
        return tf.nn.max_pool2d(x, POOL, POOL, "VALID")
    if not layout.pooled:
        return _shifts(x, layer, layout.packed)
    batch, height, width, channels = x.shape
    packed, pooled = layout.packed, layout.pooled
    offsets = [
        layout.start + POOL * column + parity for parity in range(POOL) for column in range(pooled)
    ]
    step = layout.step or POOL * pooled
    x = tf.reshape(x, (batch, height, width // packed, packed * channels))
    x = tf.nn.conv2d(x, pack_kernel(kernel, offsets, packed), (1, 1, step // packed, 1), "VALID")
    x = tf.nn.relu(x + np.tile(bias, len(offsets)))
    _, rows, places, _ = x.shape
    x = tf.reshape(x, (batch, rows, POOL * places, pooled * bias.size))
    x = tf.nn.max_pool2d(x, POOL, POOL, "VALID")
    return tf.reshape(x, (batch, rows // POOL, places * pooled, bias.size))


def _shifts(x: Any, layer: Layer, packed: int) -> Any:
    import tensorflow as tf

    kernel, bias = layer
    batch, height, width, channels = x.shape
    columns = (width - POOL + 1) // packed * packed
    x = tf.reshape(x, (batch, height, 1, width * channels))  # slices then move whole rows
    size = (batch, height, 1, columns * channels)
    x = tf.concat([tf.slice(x, (0, 0, 0, at * channels), size) for at in range(POOL)], 2)
    x = tf.reshape(x, (batch, POOL * height, columns // packed, packed * channels))
    stride, dilation = (1, 1, POOL // packed, 1), (1, POOL, 1, 1)
    x = tf.nn.conv2d(x, pack_kernel(kernel, [0], packed), stride, "VALID", dilations=dilation)
    x = tf.nn.relu(x + bias)
    return tf.nn.max_pool2d(x, (POOL * POOL, 1), (POOL * POOL, 1), "VALID")


def pack_kernel(
    kernel: NDArray[np.float32], offsets: Sequence[int], packed: int
) -> NDArray[np.float32]:
    """Repeat a kernel at several columns and pack its columns.

    Args:
        kernel: (height, width, in, out).
        offsets: the column at which each copy starts.
        packed: columns in a packed pixel.

    Returns:
        (height, packed columns, packed * in, copies * out), zeros where a copy has no weight.

    """
    height, width, channels, out = kernel.shape
    taps = -(-(width + max(offsets)) // packed)
    wide = np.zeros((height, taps * packed, channels, len(offsets), out), kernel.dtype)
    for copy, offset in enumerate(offsets):
        wide[:, offset : offset + width, :, copy] = kernel
    return wide.reshape(height, taps, packed * channels, len(offsets) * out)
