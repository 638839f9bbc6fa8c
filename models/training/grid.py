"""Put the weights of the notebook's network on grids of eight bits, which int8 and float16 keep.

The Keras model that is judged then has the very weights of its TFLite files; what is left between
them is the rounding of activations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from convert.network import Layer


def on_grids(layers: Mapping[str, Layer]) -> dict[str, Layer]:
    """Return the network's layers, rounded.

    What is scaled a little to fit its grid, the layer behind makes up for.  dense1 has one grid for
    all its units; its errors are passed on from place to place, so that sums over many places are
    as exact as before.

    Args:
        layers: by name of :data:`convert.network.LAYERS`: (kernel, bias), float32.

    """
    out = dict(layers)
    factor = np.ones(layers["conv1"][0].shape[2])
    for name in ("conv1", "conv2"):
        kernel, bias = layers[name]
        gridded, following = on_grid(kernel / factor[:, None])
        out[name] = gridded, (bias * following).astype(np.float32)
        factor = following
    kernel, bias = layers["dense1"]
    by_place, scaled = diffused(kernel.reshape(-1, factor.size, bias.size) / factor[:, None])
    out["dense1"] = by_place.reshape(kernel.shape), (bias * scaled).astype(np.float32)
    kernel, bias = layers["dense2"]
    out["dense2"] = (kernel / scaled).astype(np.float16).astype(np.float32), bias
    return out


def on_grid(
    kernel: NDArray[np.floating],
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
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
    largest = np.abs(kernel).reshape(-1, kernel.shape[-1]).max(0).astype(np.float64)
    largest[largest == 0] = 1  # a channel that isn't used
    step = ceil_four_bits(largest / 127)
    factor = 127 * step / largest
    return (np.rint(kernel * factor / step) * step).astype(np.float32), factor


def ceil_four_bits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the smallest numbers of four significant bits that are not below ``values``."""
    mantissa, exponent = np.frexp(values)
    rounded: NDArray[np.float64] = np.ldexp(np.ceil(mantissa * 16) / 16, exponent)
    return rounded


def diffused(kernel: NDArray[np.floating]) -> tuple[NDArray[np.float32], float]:
    """Scale a kernel, (places, ...), as :func:`on_grid` does, but onto one grid for all.

    Error diffusion along the first axis (as Floyd and Steinberg's, 1976, in one dimension): sums
    over many neighbouring places keep their value to within one step.  Places where all is zero
    stay so.
    """
    largest = float(np.abs(kernel).max())
    step = ceil_four_bits(np.array([largest / 127])).item()
    whole, error = np.zeros(kernel.shape), np.zeros(kernel.shape[1:])
    for place in np.flatnonzero(kernel.reshape(len(kernel), -1).any(axis=1)):
        wanted = kernel[place] * (127 / largest)
        whole[place] = np.clip(np.rint(wanted + error), -127, 127)
        error += wanted - whole[place]
    return (whole * step).astype(np.float32), 127 * step / largest
