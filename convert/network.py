"""The notebook's network, layer for layer.

The architecture is a fact of the weights file: 500 x 500 x 3 in, one sigmoid out, 2,391,237
parameters.  Everything about how pixels become its input is *not* here; see
:mod:`convert.contract`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

INPUT_SIZE_WH = (500, 500)
PARAMETER_COUNT = 2_391_237


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One trainable layer: its name in our network and the shapes its weights must have."""

    name: str
    kernel: tuple[int, ...]
    """Keras order: (height, width, in, out) of a convolution, (in, out) of a dense layer."""

    @property
    def bias(self) -> tuple[int]:
        """The bias' shape: one number an output channel."""
        return (self.kernel[-1],)


LAYERS = (
    LayerSpec("conv1", (4, 4, 3, 32)),
    LayerSpec("conv2", (4, 4, 32, 16)),
    LayerSpec("dense1", (122 * 122 * 16, 10)),
    LayerSpec("dense2", (10, 1)),
)
"""The four layers that have weights, in the order in which the file holds them."""


def build_network() -> keras.Model:
    """Build the untrained network: float32 (batch, 500, 500, 3) to float32 (batch, 1) in 0..1.

    The output is P(malignant).  What the input values mean (channel order, scale) is the
    weights' contract.

    Raises:
        RuntimeError: the parameter count is not 2,391,237, so a layer was changed.

    """
    import keras

    conv1, conv2, dense1, dense2 = LAYERS
    width, height = INPUT_SIZE_WH
    inputs = keras.Input((height, width, 3), name="image")
    x = keras.layers.Conv2D(32, 4, activation="relu", name=conv1.name)(inputs)
    x = keras.layers.MaxPooling2D(2, name="pool1")(x)
    x = keras.layers.Conv2D(16, 4, activation="relu", name=conv2.name)(x)
    x = keras.layers.MaxPooling2D(2, name="pool2")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(10, activation="relu", name=dense1.name)(x)
    outputs = keras.layers.Dense(1, activation="sigmoid", name=dense2.name)(x)
    model = keras.Model(inputs, outputs, name="lesion")
    if model.count_params() != PARAMETER_COUNT:
        message = f"the network has {model.count_params()} parameters, not {PARAMETER_COUNT}"
        raise RuntimeError(message)
    return model
