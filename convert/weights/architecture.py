"""Whether a model that a file describes is the notebook's network; if not, what is different.

Everything that an answer depends on is compared with :data:`convert.network.NETWORK`.  What Keras
passes over when it answers (dropout, noise, augmentation, names, regularisers) is passed over.
``Rescaling`` and ``Normalization`` in front belong to what the pixels mean, and are returned.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from convert.errors import WeightsError
from convert.network import INPUT_SIZE_WH, NETWORK, FrontLayer, LayerSpec
from edge.errors import shown

from .description import ConfigLayer, own_class

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Statistics = tuple[list[float], list[float]]
"""Mean and variance of a Normalization, a number each or three."""

_INERT = {
    "InputLayer": "",
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
"""What Keras passes its input through unchanged when it answers, and settings it always writes."""

_ACTIVATIONS = {"Activation": None, "ReLU": "relu", "Relu": "relu", "Sigmoid": "sigmoid"}
"""Layers that are an activation; the last two are functions of keras.ops and keras.activations."""

_WRITTEN = {
    **_INERT,
    "Activation": "activation",
    "ReLU": "max_value",
    "Rescaling": "scale offset",
    "Normalization": "axis",
    "Conv2D": "filters kernel_size strides padding data_format dilation_rate activation use_bias",
    "MaxPooling2D": "pool_size strides padding data_format",
    "Dense": "units activation use_bias",
}
"""By class: the settings that Keras 2 and 3 write of it in every release."""
_OPTIONAL = frozenset(
    "noise_shape seed data_format axis mean variance invert streaming optional ragged sparse "  # noqa: SIM905
    "type_spec batch_size".split()
)
"""Settings that Keras writes of a layer in some releases; of augmentations there are more."""
_OPEN = ("Random", "Mix", "Cut", "Rand", "Aug")
_REQUIRED = ("filters", "kernel_size", "units")
_IGNORED = frozenset(
    "name trainable dtype autocast batch_input_shape batch_shape input_shape "  # noqa: SIM905
    "input_dtype input_dim kernel_initializer bias_initializer kernel_regularizer "
    "bias_regularizer activity_regularizer kernel_constraint bias_constraint W_regularizer "
    "b_regularizer W_constraint b_constraint".split()
)
FOREIGN_NAMES = frozenset(
    "average_pooling2d global_average_pooling2d global_max_pooling2d "  # noqa: SIM905
    "adaptive_average_pooling2d adaptive_max_pooling2d zero_padding2d cropping2d up_sampling2d "
    "center_crop resizing random_crop leaky_re_lu p_re_lu elu thresholded_re_lu softmax lambda "
    "rescaling normalization batch_normalization layer_normalization group_normalization "
    "rms_normalization unit_normalization spectral_normalization permute reshape repeat_vector "
    "masking add average concatenate dot maximum minimum multiply subtract time_distributed "
    "depthwise_conv2d separable_conv2d conv2d_transpose equalization solarization auto_contrast "
    "contrast_limited_adaptive_histogram_equalization tf_op_lambda".split()
)
"""What Keras calls a layer by itself (utils.naming) that changes the answer and isn't ours."""

_EXACT_POLICIES = ("float32", "float64")
_INPUT_DTYPES = (*_EXACT_POLICIES, "uint8", "int8", "int16", "uint16", "int32", "int64")


def check_architecture(
    layers: Sequence[ConfigLayer],
    statistics: Sequence[Statistics] = (),
    keras_version: tuple[int, ...] = (3,),
) -> tuple[FrontLayer, ...]:
    """Return the layers that scale the input, in order; all behind them is the network's.

    Args:
        layers: from :func:`convert.weights.description.read_layers`.
        statistics: mean and variance of each Normalization that keeps them with the weights, in
            order.
        keras_version: of the Keras that wrote the file; Keras 1 leaves many settings out.

    Raises:
        WeightsError: something differs; the message names the layer, what is expected and found.

    """
    _check_input(layers)
    kept = iter(statistics)
    front: list[FrontLayer] = []
    found: list[tuple[ConfigLayer, dict[str, Any]]] = []
    for layer in layers:
        if layer.bare and keras_version >= (2,):
            _check_written(layer, keras_version)
        _check_precision(layer)
        if layer.kind in _INERT:
            continue
        if layer.kind in ("Rescaling", "Normalization") and not found:
            front += _front(layer, kept)
        elif layer.kind in _ACTIVATIONS:
            _activate(layer, found)
        else:
            # Whether it says so or not, a layer with weights has one.
            own = {"activation": None} if layer.kind in ("Conv2D", "Dense") else {}
            found.append((layer, {**own, **layer.config}))
    _check_kinds([layer for layer, _ in found])
    for spec, (layer, config) in zip(NETWORK, found, strict=True):
        _compare(spec, layer, config)
    return tuple(front)


def takes_statistics(layer: ConfigLayer) -> bool:
    """Return whether a layer is a Normalization that keeps mean and variance with the weights."""
    return layer.kind == "Normalization" and layer.config.get("mean") is None


def _check_kinds(found: Sequence[ConfigLayer]) -> None:
    for spec, layer in zip(NETWORK, found, strict=False):
        if layer.kind != spec.kind:
            raise _differs(f"{layer} stands where a {spec.kind} ({spec.name}) should")
    if len(found) > len(NETWORK):
        raise _differs(f"{found[len(NETWORK)]} stands behind the network's last layer")
    if len(found) < len(NETWORK):
        missing = NETWORK[len(found)]
        raise _differs(f"the model ends where a {missing.kind} ({missing.name}) should stand")


def _check_input(layers: Sequence[ConfigLayer]) -> None:
    expected = [*reversed(INPUT_SIZE_WH), 3]
    said = False
    for layer in layers:
        keys = ("batch_shape", "batch_input_shape")
        shape = next((layer.config[key] for key in keys if layer.config.get(key)), None)
        if shape is not None:
            sizes = shape[1:] if isinstance(shape, list) else [shape]
            fits = len(sizes) == 3 and all(
                size is None or (type(size) is int and size == wanted)
                for size, wanted in zip(sizes, expected, strict=True)
            )
            if not fits:
                raise _differs(f"{layer}: its input should be {expected}, is {shown(sizes)}")
            said = said or None not in sizes
        if layer.kind not in (*_INERT, "Rescaling", "Normalization"):
            break
    if not said:
        raise WeightsError(
            f"its model doesn't say the size of its input, which should be {expected}; build it "
            "with keras.Input((500, 500, 3)) and save it again"
        )


def _check_written(layer: ConfigLayer, keras_version: tuple[int, ...]) -> None:
    """Check that a layer has the settings of Keras' own class, not of one that is called like it.

    An .h5 names a layer's class without its module.
    """
    written = _WRITTEN.get(layer.kind, "").split()
    # Flatten has its data_format since 2.2, Conv2D its groups since 2.4.
    written += ["data_format"] if layer.kind == "Flatten" and keras_version >= (2, 2) else []
    written += ["groups"] if layer.kind == "Conv2D" and keras_version >= (2, 4) else []
    missing = next((key for key in written if key not in layer.config), None)
    added = None
    if layer.kind in (*_INERT, "Activation", "Rescaling", "Normalization") and (
        not layer.kind.startswith(_OPEN)
    ):
        known = {*written, *_IGNORED, *_OPTIONAL}
        added = next(
            (key for key, value in layer.config.items() if value and key not in known), None
        )
    # What is an operation and no layer has only a name.
    foreign = layer.kind in ("Relu", "Sigmoid") and set(layer.config) != {"name"}
    if missing or added or foreign:
        what = "it has settings of a layer"
        if missing or added:
            what = f"it says no {missing}" if missing else f"Keras' own has no {_plain(added)}"
        raise WeightsError(
            f"{layer}: it is called like a class of Keras but is another ({what}): what it "
            "computes is in the program that made it"
        )


def _check_precision(layer: ConfigLayer) -> None:
    policy = layer.config.get("dtype")
    if isinstance(policy, dict) and isinstance(policy.get("config"), dict):
        policy = policy["config"].get("name")
    allowed = _INPUT_DTYPES if layer.kind == "InputLayer" else _EXACT_POLICIES
    if policy is not None and policy not in allowed:
        raise WeightsError(
            f"{layer}: it should compute in float32, its dtype is {shown(policy)}, which gives "
            "other answers; build the model with float32, load the weights and save it again"
        )


def _activate(layer: ConfigLayer, found: list[tuple[ConfigLayer, dict[str, Any]]]) -> None:
    """Count an activation of its own to the last layer that has weights.

    A relu behind the pooling is one before it, to the bit: the larger of two numbers stays so.
    """
    activation = _activation_layer(layer.kind, layer.config)
    if activation == "linear":
        return
    carrier = next((config for _, config in reversed(found) if "activation" in config), None)
    if carrier is None:
        raise _differs(f"{layer} stands before the first layer of the network")
    before = _activation(carrier["activation"])
    if before not in ("linear", activation) or (before == activation != "relu"):
        raise _differs(f"{layer}: a second activation, {activation}, behind {before}")
    carrier["activation"] = activation


def _activation_layer(kind: str, config: Mapping[str, Any]) -> str:
    if kind != "ReLU":
        return _ACTIVATIONS[kind] or _activation(config.get("activation"))
    bent = {
        key: config[key]
        for key in config.keys() - _IGNORED
        if config[key] not in (None, 0) or (key == "max_value" and config[key] == 0)
    }
    return f"relu with {shown(bent)[1:-1]}" if bent else "relu"


def _activation(value: Any) -> str:
    """Return the name of an activation; one that isn't known by name is told as it is."""
    if value is None:
        return "linear"
    if isinstance(value, str):
        return value
    if isinstance(value, dict) and isinstance(config := value.get("config"), dict):
        kind = own_class(value)
        kind = "ReLU" if kind == "relu" else kind
        return _activation_layer(kind, config) if kind in _ACTIVATIONS else kind
    function = isinstance(value, dict) and value.get("class_name") == "function"
    if function and value.get("registered_name") in (None, "function", value["config"]):
        own_class({**value, "registered_name": None, "config": {}})
        return str(value["config"])
    return f"code of its own ({shown(value)})"


def _compare(spec: LayerSpec, layer: ConfigLayer, config: Mapping[str, Any]) -> None:
    for key, wanted in spec.settings.items():
        value = config.get(key)
        if value is None and key in _REQUIRED:
            raise _differs(f"{layer}: its {key} should be {wanted}, is not said")
        if key == "activation":
            value = _activation(value)
        elif value is None:  # Keras takes its default then, which is the network's
            value = wanted
        if _canonical(value, wanted) != wanted:
            raise _differs(f"{layer}: its {key} should be {wanted}, is {_plain(value)}")
    for key, value in config.items():
        if key not in spec.settings and key not in _IGNORED and value not in (None, False, [], {}):
            raise _differs(
                f"{layer}: it has {_plain(key)} {_plain(value)}, which the network has not"
            )


def _differs(text: str) -> WeightsError:
    return WeightsError(f"{text}; only the notebook's network can be converted")


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value.isidentifier() else shown(value)


def _canonical(value: Any, wanted: Any) -> Any:
    """Return a setting in the form and type of the wanted one, or None."""
    if isinstance(wanted, tuple):
        numbers = tuple(value) if isinstance(value, list | tuple) else (value,) * len(wanted)
        return numbers if all(type(number) is int for number in numbers) else None
    return value if type(value) is type(wanted) else None


def _front(layer: ConfigLayer, kept: Iterator[Statistics]) -> Iterator[FrontLayer]:
    """Yield what a scaling layer is to Keras, unless it changes nothing."""
    config, settings = layer.config, {}
    if layer.kind == "Rescaling":
        settings = {key: _three(layer, key, config.get(key, 0.0)) for key in ("scale", "offset")}
        identity = settings == {"scale": [1.0] * 3, "offset": [0.0] * 3}
        if 0.0 in settings["scale"]:
            raise _differs(f"{layer}: its scale is 0, so that it doesn't look at the picture")
        if not identity:
            yield FrontLayer(layer.name, layer.kind, settings)
        return
    axis = config.get("axis", -1)
    axis = axis if isinstance(axis, list) else [axis]
    if axis not in ([-1], [3], [], [None]):
        raise _differs(f"{layer}: its axis should be -1 or None, is {shown(axis)}")
    mean, variance = config.get("mean"), config.get("variance")
    if takes_statistics(layer):
        mean, variance = next(kept, (None, None))
        if mean is None:
            raise WeightsError(f"{layer}: its mean and variance are not in the file")
    settings = {
        "mean": _three(layer, "mean", mean),
        "variance": _three(layer, "variance", variance),
    }
    if any(number < 0 for number in settings["variance"]):
        raise _differs(f"{layer}: its variance is below 0")
    invert = config.get("invert", False)
    if type(invert) is not bool:
        raise _differs(f"{layer}: its invert should be true or false, is {shown(invert)}")
    yield FrontLayer(layer.name, layer.kind, {"axis": -1, "invert": invert, **settings})


def _three(layer: ConfigLayer, key: str, value: Any) -> list[float]:
    """Return a number for each channel."""
    given = value
    if isinstance(value, dict) and isinstance(value.get("config"), dict):  # an array of numpy's
        value = value["config"].get("value")
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    numbers = value if isinstance(value, list) else [value] * 3
    if len(numbers) != 3 or not all(
        type(number) in (int, float) and math.isfinite(number) for number in numbers
    ):
        raise _differs(f"{layer}: its {key} should be one number or three, is {shown(given)}")
    return [float(number) for number in numbers]
