"""The notebook's network with fewer channels, for :mod:`convert.export` to convert."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from convert.network import INPUT_SIZE_WH, LAYERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import keras
    import numpy as np
    from numpy.typing import NDArray


def build_compacted(
    arrays: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]],
    size_wh: tuple[int, int] = INPUT_SIZE_WH,
) -> keras.Model:
    """Build the network that :func:`~convert.rewrite.dead.compact` left.

    It differs from :func:`convert.network.build_network` in nothing but the channel counts; with
    arrays of the full shapes it is the same network.

    Args:
        arrays: (kernel, bias) of conv1, conv2, dense1 and dense2.
        size_wh: of the picture; the benchmarks have a smaller one.

    """
    import keras

    conv1, conv2, dense1, dense2 = (spec.name for spec in LAYERS)
    sizes = {name: int(bias.size) for name, (_, bias) in arrays.items()}
    width, height = size_wh
    inputs = keras.Input((height, width, 3), name="image")
    x = keras.layers.Conv2D(sizes[conv1], 4, activation="relu", name=conv1)(inputs)
    x = keras.layers.MaxPooling2D(2, name="pool1")(x)
    x = keras.layers.Conv2D(sizes[conv2], 4, activation="relu", name=conv2)(x)
    x = keras.layers.MaxPooling2D(2, name="pool2")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(sizes[dense1], activation="relu", name=dense1)(x)
    outputs = keras.layers.Dense(sizes[dense2], activation="sigmoid", name=dense2)(x)
    model = keras.Model(inputs, outputs, name="lesion")
    for name, (kernel, bias) in arrays.items():
        model.get_layer(name).set_weights([kernel, bias])
    return model


def by_place(
    arrays: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]],
) -> NDArray[np.float32]:
    """Return dense1's kernel as (rows, columns, channels, units) of pool2, which is a square.

    Args:
        arrays: (kernel, bias) of conv1, conv2, dense1 and dense2, as Keras has them.

    """
    kernel, channels = arrays["dense1"][0], arrays["conv2"][1].size
    side = math.isqrt(kernel.shape[0] // channels)
    return kernel.reshape(side, side, channels, -1)
