"""Someone's own TFLite files, of the four forms that ``tf.lite`` makes by itself, 3 kB each.

They are in ``tests/edge/data``, made by ``python -m tests.support.own``: 12 x 8 pixels, flattened,
one dense layer whose weights come from a seed.  :meth:`Own.answer` says the same in numpy.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.support.pictures import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH, HEIGHT = 12, 8


@dataclass(frozen=True, slots=True)
class Own:
    """A file, and what a person knows of it."""

    name: str
    dtype: str
    """Of input and output."""
    channel_order: str
    scale: float
    offset: float
    """The model was trained on ``pixel * scale + offset``."""
    activation: str

    @property
    def path(self) -> Path:
        return ROOT / f"tests/edge/data/own-{self.name}.tflite"

    def weights(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the dense layer's kernel, (pixels, outputs), and bias."""
        count = 1 if self.activation == "sigmoid" else 2
        rng = np.random.default_rng(14)
        kernel = rng.normal(0, 0.3, (WIDTH * HEIGHT * 3, count))
        return kernel.astype(np.float32), np.full(count, -2.0, np.float32)

    def values(self, image_bgr: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return what the graph wants for a picture of its size, (8, 12, 3) uint8 BGR."""
        ordered = image_bgr if self.channel_order == "BGR" else image_bgr[:, :, ::-1]
        return ordered.astype(np.float64) * self.scale + self.offset

    def answer(self, image_bgr: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return the two labels' probabilities, as the model before its quantisation has them."""
        kernel, bias = self.weights()
        sums = self.values(image_bgr).reshape(-1) @ kernel.astype(np.float64) + bias
        if self.activation == "sigmoid":
            probability = 1 / (1 + np.exp(-sums[0]))
            return np.array([1 - probability, probability])
        shares: NDArray[np.float64] = np.exp(sums - sums.max())
        return shares / float(shares.sum())

    def contract(self) -> dict[str, Any]:
        """Return the least contract that a person has to write for it."""
        return {
            "schema": 2,
            "name": self.name,
            "variant": "own",
            "flatbuffer": {"sha256": hashlib.sha256(self.path.read_bytes()).hexdigest()},
            "input": {
                "resize": "stretch",
                "interpolation": "linear",
                "channel_order": self.channel_order,
                "values": {"scale": [self.scale] * 3, "offset": [self.offset] * 3},
            },
            "output": {"activation": self.activation},
            "labels": ["benign", "malignant"],
            "threshold": 0.5,
        }

    def make_flatbuffer(self) -> bytes:
        """Return the flatbuffer, made anew by Keras and TensorFlow."""
        import keras
        import tensorflow as tf

        kernel, bias = self.weights()
        layers = keras.layers
        model = keras.Sequential(
            [
                keras.Input((HEIGHT, WIDTH, 3)),
                layers.Flatten(),
                layers.Dense(len(bias), activation=self.activation),
            ]
        )
        model.layers[-1].set_weights([kernel, bias])
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if self.dtype != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: (
                [self.values(image)[None].astype(np.float32)] for image in pictures(50)
            )
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.as_dtype(
                self.dtype
            )
        data: bytes = converter.convert()
        return data


OWN = (
    Own("float32", "float32", "RGB", 1 / 255, 0.0, "sigmoid"),
    Own("softmax", "float32", "BGR", 1 / 127.5, -1.0, "softmax"),
    Own("uint8", "uint8", "RGB", 1 / 255, 0.0, "sigmoid"),
    Own("int8", "int8", "RGB", 1 / 127.5, -1.0, "softmax"),
)


def pictures(count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield pictures of the models' size, (8, 12, 3) uint8 BGR: noise on a colour, by seed."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        noise = rng.normal(rng.integers(0, 256, 3), 60, (HEIGHT, WIDTH, 3))
        yield noise.clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    for own in OWN:
        own.path.write_bytes(own.make_flatbuffer())
