"""What a model that a file describes may be built from: layers, operations, and their settings.

Everything here is data.  A class name of a file is looked up in these tables and nowhere else, and
of its settings only what a rule has let through goes on, so that nothing of the file's choosing
reaches Keras: no code, no module, no object, no file name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from .rules import (
    MAX_SIDE,
    axes,
    axis,
    maybe,
    number,
    numbers,
    one_of,
    pair,
    some,
    statistics_axis,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .rules import Rule

_MAX_CHANNELS = 1 << 16
_MAX_UNITS = 1 << 20

ACTIVATIONS = frozenset(
    "linear relu relu6 leaky_relu elu selu sigmoid hard_sigmoid tanh softmax softplus softsign "  # noqa: SIM905
    "silu swish hard_silu hard_swish gelu mish exponential".split()
)
"""Functions of ``keras.activations``, which a layer names."""

INERT = MappingProxyType(
    {
        "Identity": "",
        "Dropout": "rate",
        "SpatialDropout1D": "rate",
        "SpatialDropout2D": "rate",
        "SpatialDropout3D": "rate",
        "GaussianNoise": "stddev",
        "GaussianDropout": "rate",
        "AlphaDropout": "rate",
        "ActivityRegularization": "l1 l2",
        "RandomFlip": "mode",
        "RandomRotation": "factor",
        "RandomZoom": "height_factor",
        "RandomTranslation": "height_factor width_factor",
        "RandomContrast": "factor",
        "RandomBrightness": "factor",
        "RandomHue": "factor",
        "RandomSaturation": "factor",
        "RandomColorJitter": "hue_factor",
        "RandomGrayscale": "factor",
        "RandomInvert": "factor",
        "RandomSharpness": "factor",
        "RandomShear": "x_factor",
        "RandomPerspective": "factor",
        "RandomErasing": "factor",
        "RandomColorDegeneration": "factor",
        "RandomElasticTransform": "factor",
        "RandomGaussianBlur": "kernel_size",
        "RandomPosterization": "factor",
        "MixUp": "alpha",
        "CutMix": "factor",
        "RandAugment": "num_ops",
        "AugMix": "num_chains",
    }
)
"""What Keras passes its input through unchanged when it answers, and settings it always writes."""

AUGMENTATIONS = tuple(
    name for name in INERT if name.startswith(("Random", "Mix", "Cut", "Rand", "Aug"))
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of Keras' layers: which settings of it a file may say, and which it has to."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    """By the names of Keras' constructor; what a rule returns is given to that."""
    optional: frozenset[str] = frozenset()
    """Of these, what not every release of Keras 2 and 3 writes."""
    fixed: Mapping[str, object] = field(default_factory=dict)
    """Settings of some releases that have to have this one value, and are not passed on."""
    names: Mapping[str, str] = field(default_factory=dict)
    """What Keras 2 called some of them."""
    many: bool = False
    """Whether it takes a list of inputs."""


_FLAG = one_of(False, True)  # noqa: FBT003 - values, not flags of a call
_SIDE = whole(1, MAX_SIDE)
_LAST = maybe(one_of("channels_last"))
_PADDING = one_of("valid", "same")
_EDGES = pair(pair(whole(0, MAX_SIDE)))
_ACTIVATION: Rule = one_of(*sorted(ACTIVATIONS))
"""Of a name; what else an activation can be, :mod:`.description` knows."""

_CONVOLUTION: dict[str, Rule] = {
    "kernel_size": pair(whole(1, 512)),
    "strides": pair(whole(1, 512)),
    "padding": _PADDING,
    "data_format": _LAST,
    "dilation_rate": pair(whole(1, 512)),
    "activation": _ACTIVATION,
    "use_bias": _FLAG,
}
_FILTERS: dict[str, Rule] = {"filters": whole(1, _MAX_CHANNELS)}
_MULTIPLIER: dict[str, Rule] = {"depth_multiplier": whole(1, 4096)}
_POOLING = Kind(
    {
        "pool_size": pair(_SIDE),
        "strides": maybe(pair(_SIDE)),
        "padding": _PADDING,
        "data_format": _LAST,
    }
)
_GLOBAL = Kind({"data_format": _LAST, "keepdims": _FLAG}, frozenset({"keepdims"}))
_MERGE = Kind({}, many=True)
_NORM: dict[str, Rule] = {"epsilon": number(0), "center": _FLAG, "scale": _FLAG}
_ONE_GROUP = {"groups": 1}

LAYERS: Mapping[str, Kind] = MappingProxyType(
    {
        "InputLayer": Kind(
            {},
            fixed={"sparse": False, "ragged": False, "optional": False},
        ),
        "Conv2D": Kind(
            {**_CONVOLUTION, **_FILTERS, "groups": whole(1, _MAX_CHANNELS)}, frozenset({"groups"})
        ),
        "DepthwiseConv2D": Kind({**_CONVOLUTION, **_MULTIPLIER}, fixed=_ONE_GROUP),
        "SeparableConv2D": Kind({**_CONVOLUTION, **_FILTERS, **_MULTIPLIER}, fixed=_ONE_GROUP),
        "Conv2DTranspose": Kind(
            {**_CONVOLUTION, **_FILTERS, "output_padding": maybe(pair(whole(0, 512)))},
            frozenset({"output_padding"}),
            fixed=_ONE_GROUP,
        ),
        "Dense": Kind(
            {"units": whole(1, _MAX_UNITS), "activation": _ACTIVATION, "use_bias": _FLAG}
        ),
        "BatchNormalization": Kind(
            {"axis": axis, **_NORM}, fixed={"renorm": False, "synchronized": False}
        ),
        "LayerNormalization": Kind({"axis": axes, **_NORM}, fixed={"rms_scaling": False}),
        "Activation": Kind({"activation": _ACTIVATION}),
        "ReLU": Kind(
            {
                "max_value": maybe(number(0)),
                "negative_slope": maybe(number()),
                "threshold": maybe(number()),
            },
            frozenset({"negative_slope", "threshold"}),
        ),
        "LeakyReLU": Kind({"negative_slope": number()}, names={"alpha": "negative_slope"}),
        "ELU": Kind({"alpha": number()}),
        "PReLU": Kind({"shared_axes": maybe(some(whole(1, 3)))}),
        "Softmax": Kind({"axis": axis}),
        "MaxPooling2D": _POOLING,
        "AveragePooling2D": _POOLING,
        "GlobalMaxPooling2D": _GLOBAL,
        "GlobalAveragePooling2D": _GLOBAL,
        "Flatten": Kind({"data_format": _LAST}),
        "Reshape": Kind({"target_shape": some(whole(-1, _MAX_UNITS * 64))}),
        "Permute": Kind({"dims": some(whole(1, 8))}),
        "Add": _MERGE,
        "Subtract": _MERGE,
        "Multiply": _MERGE,
        "Average": _MERGE,
        "Maximum": _MERGE,
        "Minimum": _MERGE,
        "Concatenate": Kind({"axis": whole(-3, 3)}, many=True),
        "ZeroPadding2D": Kind({"padding": _EDGES, "data_format": _LAST}),
        "Cropping2D": Kind({"cropping": _EDGES, "data_format": _LAST}),
        "UpSampling2D": Kind(
            {
                "size": pair(whole(1, 32)),
                "data_format": _LAST,
                "interpolation": one_of("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"),
            },
            frozenset({"interpolation"}),
        ),
        "Rescaling": Kind({"scale": numbers, "offset": numbers}),
        "Normalization": Kind(
            {
                "axis": statistics_axis,
                "mean": maybe(numbers),
                "variance": maybe(numbers),
                "invert": _FLAG,
            },
            frozenset({"mean", "variance", "invert"}),
        ),
        "Resizing": Kind(
            {
                "height": _SIDE,
                "width": _SIDE,
                "interpolation": one_of(
                    "nearest", "bilinear", "bicubic", "area", "lanczos3", "lanczos5"
                ),
                "crop_to_aspect_ratio": _FLAG,
                "pad_to_aspect_ratio": _FLAG,
                "fill_mode": one_of("constant"),
                "fill_value": number(),
                "antialias": _FLAG,
                "data_format": _LAST,
            },
            frozenset(
                "crop_to_aspect_ratio pad_to_aspect_ratio fill_mode fill_value antialias "  # noqa: SIM905
                "data_format".split()
            ),
        ),
    }
)
"""By class name.  :data:`INERT` ones are not among them: each is built as an Identity."""

_RELU = {"negative_slope": number(), "max_value": maybe(number(0)), "threshold": number()}

OPERATIONS: Mapping[tuple[str, str], tuple[str, Mapping[str, Rule]]] = MappingProxyType(
    {
        ("numpy", "Add"): ("ops.add", {}),
        ("numpy", "Subtract"): ("ops.subtract", {}),
        ("numpy", "Multiply"): ("ops.multiply", {}),
        ("numpy", "Divide"): ("ops.divide", {}),
        ("numpy", "TrueDivide"): ("ops.true_divide", {}),
        ("numpy", "Maximum"): ("ops.maximum", {}),
        ("numpy", "Minimum"): ("ops.minimum", {}),
        ("numpy", "Tanh"): ("ops.tanh", {}),
        ("nn", "Relu"): ("ops.relu", {}),
        ("nn", "Relu6"): ("ops.relu6", {}),
        ("nn", "Sigmoid"): ("ops.sigmoid", {}),
        ("nn", "HardSigmoid"): ("ops.hard_sigmoid", {}),
        ("nn", "Silu"): ("ops.silu", {}),
        ("nn", "HardSilu"): ("ops.hard_silu", {}),
        ("nn", "Elu"): ("ops.elu", {"alpha": number()}),
        ("nn", "Gelu"): ("ops.gelu", {"approximate": _FLAG}),
        ("nn", "LeakyRelu"): ("ops.leaky_relu", {"negative_slope": number()}),
        ("nn", "Softmax"): ("ops.softmax", {"axis": axis}),
        ("activations", "ReLU"): ("activations.relu", _RELU),
    }
)
"""What stands between the layers of a Functional model, by the end of its module and its class.

To each: the function below ``keras`` that does it and its settings."""
