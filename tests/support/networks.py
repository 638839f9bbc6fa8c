"""Ten kinds of Keras classifiers, small, made by seed, that tell pictures apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import keras
import numpy as np

from convert.quantise.preprocessing import PRESETS, Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

L = keras.layers

RAW = Preprocessing("RGB", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
"""Of models that scale inside."""
LITE = Preprocessing("RGB", (1 / 128,) * 3, (-127 / 128,) * 3)
"""EfficientNet-Lite's: zero is pixel value 127."""


def pictures(paths: Iterable[Path], size_wh: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Return pictures of a size: (height, width, 3) uint8, BGR."""
    return [cv2.resize(cv2.imread(str(path)), size_wh) for path in paths]  # type: ignore[arg-type,misc]


def train(
    model: Any, pixels: Preprocessing, images: Sequence[NDArray[np.uint8]], steps: int = 25
) -> None:
    """Train a network a little to tell colours, and make its answers neither all 0 nor all 1.

    With random weights answers hang on small differences of large values: then a quantised
    network is judged by a noise that trained ones don't have.
    """
    keras.utils.set_random_seed(5)
    batch = np.stack([pixels.apply(image) for image in images])
    red = np.array([image[..., 2].mean() - image[..., 0].mean() for image in images])
    outputs = model.output_shape[-1]
    count = max(outputs, 2)
    labels = np.searchsorted(np.quantile(red, np.arange(1, count) / count), red)
    kind = "binary" if outputs == 1 else "sparse_categorical"
    model.compile(keras.optimizers.Adam(2e-3), f"{kind}_crossentropy")
    layers = list(model._flatten_layers())
    for each in layers:
        if isinstance(each, L.BatchNormalization):
            each.momentum = 0.8
    draw = np.random.default_rng(7)
    for _ in range(steps):
        chosen = draw.choice(len(batch), 32, replace=False)
        model.train_on_batch(batch[chosen], labels[chosen])
    for each in layers:
        if isinstance(each, L.BatchNormalization):
            each.momentum = 0.0  # after few steps the statistics lag behind the weights
    model(batch, training=True)
    last = next(each for each in reversed(layers) if isinstance(each, L.Dense))
    activation, last.activation = last.activation, keras.activations.linear
    logits = np.concatenate([model(each[None], training=False) for each in batch])
    last.activation = activation
    kernel, bias = last.get_weights()
    spread = 2 * logits.std(0).mean()
    last.set_weights([kernel / spread, (bias - logits.mean(0)) / spread])


def _notebooks(*, functional: bool, activation: Callable[[], Any], **settings: Any) -> Any:
    """Return the notebook's kind of network: two convolutions, two pools, two dense layers."""
    layers = [
        L.Conv2D(8, 4, **settings),
        activation(),
        L.MaxPooling2D(),
        L.Conv2D(8, 4),
        activation(),
        L.MaxPooling2D(),
        L.Flatten(),
        L.Dense(10),
        activation(),
        L.Dense(1, activation="sigmoid"),
    ]
    image = x = keras.Input((48, 64, 3))
    if not functional:
        return keras.Sequential([image, *layers])
    for layer in layers:
        x = layer(x)
    return keras.Model(image, x)


def _strided() -> Any:
    return keras.Sequential(
        [
            keras.Input((64, 48, 3)),
            L.Rescaling(1 / 255),
            L.Conv2D(8, 5, strides=2, padding="same", activation="relu"),
            L.Conv2D(8, 3, dilation_rate=2, activation="relu"),
            L.Conv2D(8, 3, dilation_rate=3, padding="same", activation="relu"),
            L.AveragePooling2D(3, 2, padding="same"),
            L.Flatten(),
            L.Dense(2, activation="softmax"),
        ]
    )


def _nested() -> Any:
    body = keras.Sequential(
        [
            keras.Input((48, 48, 3)),
            L.SeparableConv2D(8, 3, padding="same", use_bias=False),
            L.BatchNormalization(),
            L.ReLU(),
            L.MaxPooling2D(),
            L.Conv2D(8, 3, activation="relu"),
            L.BatchNormalization(),
        ],
        name="backbone",
    )
    image = keras.Input((48, 48, 3))
    x = L.GlobalAveragePooling2D()(body(L.Rescaling(1 / 127.5, -1)(image)))
    return keras.Model(image, L.Dense(1, activation="sigmoid")(L.Dropout(0.3)(x)))


def _excited() -> Any:
    """Return a block as EfficientNet has them, with its preprocessing inside."""
    image = keras.Input((64, 64, 3))
    x = L.Rescaling(1 / 255)(image)
    x = L.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.0524, 0.0502, 0.0506])(x)
    x = L.Conv2D(16, 3, strides=2, use_bias=False)(L.ZeroPadding2D(((0, 1), (0, 1)))(x))
    x = y = L.Activation("swish")(L.BatchNormalization()(x))
    for layer in (L.Conv2D(32, 1, use_bias=False), L.DepthwiseConv2D(3, padding="same")):
        y = L.Activation("swish")(L.BatchNormalization()(layer(y)))
    gate = L.Reshape((1, 1, 32))(L.GlobalAveragePooling2D()(y))
    gate = L.Conv2D(8, 1, activation="swish")(gate)
    y = L.Multiply()([y, L.Conv2D(32, 1, activation="sigmoid")(gate)])
    x = L.Add()([x, L.BatchNormalization()(L.Conv2D(16, 1, use_bias=False)(y))])
    return keras.Model(image, L.Dense(2, activation="softmax")(L.GlobalAveragePooling2D()(x)))


def _seven() -> Any:
    return keras.Sequential(
        [
            keras.Input((300, 300, 3)),
            L.Rescaling(1 / 255),
            L.Conv2D(8, 3, strides=2, activation="relu"),
            L.MaxPooling2D(),
            L.Conv2D(16, 3, activation="relu"),
            L.MaxPooling2D(),
            L.Conv2D(16, 3, activation="relu"),
            L.GlobalAveragePooling2D(),
            L.Dense(7, activation="softmax"),
        ]
    )


def _normalised() -> Any:
    layers: list[Any] = [keras.Input((64, 64, 3))]
    for channels in (8, 8, 16):
        layers += [
            L.Conv2D(channels, 3, padding="same", use_bias=False),
            L.BatchNormalization(),
            L.ReLU(6.0),
            L.AveragePooling2D(2),
        ]
    return keras.Sequential([*layers, L.GlobalAveragePooling2D(), L.Dense(3, activation="softmax")])


def _mobile() -> Any:
    return keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=2)


def _sigmoids(activation: Callable[[], Any], *, functional: bool, **settings: Any) -> Any:
    return lambda: _notebooks(functional=functional, activation=activation, **settings)


NETWORKS: dict[str, tuple[Callable[[], Any], Preprocessing]] = {
    "tanh, Sequential": (_sigmoids(lambda: L.Activation("tanh"), functional=False), LITE),
    "LeakyReLU, padded": (
        _sigmoids(lambda: L.LeakyReLU(0.1), functional=True, padding="same"),
        PRESETS["tf"],
    ),
    "ELU": (_sigmoids(lambda: L.Activation("elu"), functional=True), PRESETS["keras"]),
    "ReLU, padded": (_sigmoids(L.ReLU, functional=False, padding="same"), PRESETS["torch"]),
    "strided, dilated, average pool": (_strided, RAW),
    "BatchNormalization": (_normalised, PRESETS["caffe"]),
    "nested": (_nested, RAW),
    "MobileNetV2": (_mobile, PRESETS["tf"]),
    "squeeze and excite": (_excited, RAW),
    "seven classes at 300 x 300": (_seven, RAW),
}
"""By name: what makes the model, and what happens to a picture before it."""
