"""Networks that outline whatever is dark, of 2 kB each: what a model file brings as its second.

They are ``tests/edge/data/dark-*.tflite``, made by ``python -m tests.support.dark``: 64 x 48, of
each 2 x 2 pixels the mean, a 1 x 1 convolution, a sigmoid; :func:`probabilities` in numpy.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.model.file import pack, unpack
from tests.support.pictures import MODELS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

WIDTH, HEIGHT = 64, 48
DTYPES = ("float32", "uint8", "int8")
_WEIGHTS, _MIDDLE, _SPREAD = np.array([0.2, 0.5, 0.3]), 100.0, 20.0
_ENCODINGS = {"float32": (1.0, 0), "uint8": (1.0, 0), "int8": (1.0, -128)}


def flatbuffer(dtype: str) -> Path:
    """Return the file of the network whose input and output have this dtype."""
    return ROOT / f"tests/edge/data/dark-{dtype}.tflite"


def probabilities(image_bgr: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return P(dark), (24, 32), for a picture of the network's size, (48, 64, 3) uint8 BGR."""
    means = image_bgr.astype(np.float64).reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean(axis=(1, 3))
    answer: NDArray[np.float64] = 1 / (1 + np.exp((means @ _WEIGHTS - _MIDDLE) / _SPREAD))
    return answer


def describe(dtype: str = "int8") -> dict[str, Any]:
    """Return what the contract says of it."""
    data = flatbuffer(dtype).read_bytes()
    scale, zero_point = _ENCODINGS[dtype]
    output = {"uint8": (1 / 256, 0), "int8": (1 / 256, -128)}.get(dtype, (1.0, 0))
    return {
        "flatbuffer": {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)},
        "input": {
            "width": WIDTH,
            "height": HEIGHT,
            "resize": "stretch",
            "interpolation": "linear",
            "channel_order": "BGR",
            "dtype": dtype,
            "scale": scale,
            "zero_point": zero_point,
            "values": {"scale": [1.0] * 3, "offset": [0.0] * 3},
        },
        "output": {
            "dtype": dtype,
            "scale": output[0],
            "zero_point": output[1],
            "activation": "sigmoid",
        },
        "threshold": 0.5,
    }


def make_model(dtype: str = "int8", **changes: Any) -> bytes:
    """Return the shipped model with the network beside it; ``changes`` are its contract's."""
    data, document = unpack(MODELS["int8"].read_bytes(), "model")
    document |= {"outline": describe(dtype), "segmentation": "outline", **changes}
    contract = json.dumps(document).encode()
    return pack(data, contract, flatbuffer(dtype).read_bytes())


def write_model(path: Path, dtype: str = "int8", **changes: Any) -> Path:
    """Write what :func:`make_model` returns, and return its path."""
    path.write_bytes(make_model(dtype, **changes))
    return path


def make_flatbuffer(dtype: str) -> bytes:
    """Return the flatbuffer, made anew by Keras and TensorFlow."""
    import keras
    import tensorflow as tf

    model = keras.Sequential(
        [
            keras.Input((HEIGHT, WIDTH, 3)),
            keras.layers.AveragePooling2D(2),
            keras.layers.Conv2D(1, 1, activation="sigmoid"),
        ]
    )
    kernel = -_WEIGHTS.reshape(1, 1, 3, 1) / _SPREAD
    model.layers[-1].set_weights([kernel, np.array([_MIDDLE / _SPREAD])])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if dtype != "float32":
        ends = (np.full((1, HEIGHT, WIDTH, 3), value, np.float32) for value in (0, 255))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([each] for each in ends)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(dtype)
    data: bytes = converter.convert()
    return data


if __name__ == "__main__":
    for each in DTYPES:
        flatbuffer(each).write_bytes(make_flatbuffer(each))
