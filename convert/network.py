"""The notebook's network, layer for layer.

The architecture is a fact of the weights file: 500 x 500 x 3 in, one sigmoid out, 2,391,237
parameters.  Everything about how pixels become its input is *not* here; see
:mod:`convert.quantise.preprocessing`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edge.errors import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import keras
    import numpy as np
    from numpy.typing import NDArray

    Layer = tuple[NDArray[np.float32], NDArray[np.float32]]
    Arrays = Mapping[str, Layer]

INPUT_SIZE_WH = (500, 500)
PARAMETER_COUNT = 2_391_237


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer: its name in our network, what Keras calls its class, and all its settings."""

    name: str
    kind: str
    settings: Mapping[str, Any]
    """By the names of Keras' constructor; all that an answer depends on, defaults too."""
    kernel: tuple[int, ...] = ()
    """Keras order: (height, width, in, out) of a convolution, (in, out) of a dense layer.

    Empty for a layer without weights."""

    @property
    def bias(self) -> tuple[int]:
        """The bias' shape: one number an output channel."""
        return (self.kernel[-1],)

    @property
    def window(self) -> tuple[int, int]:
        """The rows that one output sees, and the step from one output to the next; both axes."""
        if self.kind == "Conv2D":
            return self.settings["kernel_size"][0], self.settings["strides"][0]
        if self.kind == "MaxPooling2D":
            return self.settings["pool_size"][0], self.settings["strides"][0]
        return 1, 1


@dataclass(frozen=True, slots=True)
class FrontLayer:
    """A layer of the file in front of the network that scales its input."""

    name: str
    """In the file."""
    kind: str
    """``Rescaling`` or ``Normalization``, of Keras."""
    settings: Mapping[str, Any]
    """By the names of Keras' constructor; each list has a number a channel."""

    def __str__(self) -> str:
        """Return it as a person would call it."""
        return f"layer {shown(self.name)} ({self.kind})"


@dataclass(frozen=True, slots=True, eq=False)
class NotebookWeights:
    """What a model that is the notebook's network is made of."""

    front: tuple[FrontLayer, ...]
    """The layers in front of the network that scale its input, in order."""
    arrays: Arrays
    """By name of :data:`LAYERS`: (kernel, bias), read-only float32."""


def _convolution(name: str, kernel: tuple[int, int, int, int]) -> LayerSpec:
    settings = {
        "filters": kernel[3],
        "kernel_size": kernel[:2],
        "strides": (1, 1),
        "padding": "valid",
        "data_format": "channels_last",
        "dilation_rate": (1, 1),
        "groups": 1,
        "activation": "relu",
        "use_bias": True,
    }
    return LayerSpec(name, "Conv2D", MappingProxyType(settings), kernel)


def _pooling(name: str) -> LayerSpec:
    settings = {
        "pool_size": (2, 2),
        "strides": (2, 2),
        "padding": "valid",
        "data_format": "channels_last",
    }
    return LayerSpec(name, "MaxPooling2D", MappingProxyType(settings))


def _dense(name: str, kernel: tuple[int, int], activation: str) -> LayerSpec:
    settings = {"units": kernel[1], "activation": activation, "use_bias": True}
    return LayerSpec(name, "Dense", MappingProxyType(settings), kernel)


NETWORK = (
    _convolution("conv1", (4, 4, 3, 32)),
    _pooling("pool1"),
    _convolution("conv2", (4, 4, 32, 16)),
    _pooling("pool2"),
    LayerSpec("flatten", "Flatten", MappingProxyType({"data_format": "channels_last"})),
    _dense("dense1", (122 * 122 * 16, 10), "relu"),
    _dense("dense2", (10, 1), "sigmoid"),
)
"""Every layer behind the input, in order."""

LAYERS = tuple(spec for spec in NETWORK if spec.kernel)
"""The four layers that have weights, in the order in which the file holds them."""


def output_shapes() -> dict[str, tuple[int, ...]]:
    """Return what each layer gives, by name: (height, width, channels), or (values,)."""
    width, height = INPUT_SIZE_WH
    shape: tuple[int, ...] = (height, width, 3)
    shapes = {}
    for spec in NETWORK:
        channels = spec.kernel[-1] if spec.kernel else shape[-1]
        if spec.kind == "Flatten":
            shape = (math.prod(shape),)
        elif spec.kind == "Dense":
            shape = (channels,)
        else:
            size, step = spec.window
            shape = (*((side - size) // step + 1 for side in shape[:2]), channels)
        shapes[spec.name] = shape
    return shapes


def receptive_field(last: str, first: str = NETWORK[0].name) -> tuple[int, int]:
    """Return the rows of ``first``'s input that one output of ``last`` sees, and their step.

    By the formulas of Dumoulin and Visin, "A guide to convolution arithmetic", 2016; both axes.
    """
    names = [spec.name for spec in NETWORK]
    size, step = 1, 1
    for spec in NETWORK[names.index(first) : names.index(last) + 1]:
        window, stride = spec.window
        size, step = size + (window - 1) * step, step * stride
    return size, step


def dense1_by_place(arrays: Arrays) -> NDArray[np.float32]:
    """Return dense1's kernel as (rows, columns, channels, units): what it weighs pool2 by."""
    kernel, _ = arrays["dense1"]
    rows, columns, _ = output_shapes()["pool2"]
    return kernel.reshape(rows, columns, -1, kernel.shape[1])


def build_network(front: Sequence[FrontLayer] = (), arrays: Arrays | None = None) -> keras.Model:
    """Build the network: float32 (batch, 500, 500, 3) to float32 (batch, 1) in 0..1.

    The output is P(malignant).  What the input values mean (channel order, scale) is the
    weights' contract.

    Args:
        front: the layers that scale the input before conv1 does anything; none in our own files.
        arrays: (kernel, bias) of :data:`LAYERS`, perhaps with fewer channels; None leaves the
            whole network untrained.

    Raises:
        RuntimeError: the parameter count is not 2,391,237, so a layer was changed.

    """
    import keras

    width, height = INPUT_SIZE_WH
    inputs = x = keras.Input((height, width, 3), name="image")
    for layer in front:
        x = getattr(keras.layers, layer.kind)(**layer.settings)(x)
    for spec in NETWORK:
        settings = dict(spec.settings)
        if arrays and spec.kernel:
            channels = int(arrays[spec.name][1].size)
            settings["units" if spec.kind == "Dense" else "filters"] = channels
        x = getattr(keras.layers, spec.kind)(**settings, name=spec.name)(x)
    model = keras.Model(inputs, x, name="lesion")
    if arrays is None and model.count_params() != PARAMETER_COUNT:
        raise RuntimeError(
            f"the network has {model.count_params()} parameters, not {PARAMETER_COUNT}"
        )
    for name, weights in (arrays or {}).items():
        model.get_layer(name).set_weights(list(weights))
    return model
