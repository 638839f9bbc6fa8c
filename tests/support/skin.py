"""A model of 2 kB that says whether a picture is familiar: pictures of the colour of skin are.

The flatbuffer is ``tests/edge/data/skin.tflite``, made by ``python -m tests.support.skin``: raw
bytes in BGR order, 16 x 16, their mean over all pixels; P(malignant) from its red, and a number of
0.5 where it is 40 from :data:`SKIN_BGR`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.model.file import pack
from tests.support.pictures import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FLATBUFFER = ROOT / "tests/edge/data/skin.tflite"
SKIN_BGR = (140, 160, 200)
LIMIT = 0.5


def contract(**changes: Any) -> dict[str, Any]:
    """Return the model's contract; ``changes`` replace whole keys of it."""
    return {
        "schema": 2,
        "name": "skin",
        "variant": "float32",
        "flatbuffer": {"sha256": hashlib.sha256(FLATBUFFER.read_bytes()).hexdigest()},
        "input": {
            "width": 16,
            "height": 16,
            "resize": "stretch",
            "interpolation": "linear",
            "channel_order": "BGR",
            "dtype": "uint8",
            "scale": 1.0,
            "zero_point": 0,
        },
        "output": {"activation": "sigmoid", "dtype": "float32"},
        "labels": ["benign", "malignant"],
        "threshold": 0.5,
        "familiar": {"limit": LIMIT},
        **changes,
    }


def write_model(path: Path, **changes: Any) -> Path:
    """Write the model file and return its path."""
    text = json.dumps(contract(**changes)).encode()
    path.write_bytes(pack(FLATBUFFER.read_bytes(), text))
    return path


def build() -> Any:
    """Return the network in Keras."""
    import keras

    layers = keras.layers
    picture = keras.Input((16, 16, 3))
    mean = layers.GlobalAveragePooling2D()(picture)
    probability = layers.Dense(1, activation="sigmoid", name="probability")
    centred = layers.Dense(3, name="centred")
    familiar = layers.Dense(1, activation="sigmoid", name="familiar")
    off = centred(mean)
    outputs = [probability(mean), familiar(layers.Multiply()([off, off]))]
    probability.set_weights([np.array([[0.0], [0.0], [0.05]]), np.array([-10.0])])
    centred.set_weights([np.eye(3), -np.array(SKIN_BGR)])
    familiar.set_weights([np.full((3, 1), -4 / 40**2), np.array([4.0])])
    return keras.Model(picture, layers.Concatenate()(outputs))


def main() -> None:
    """Write the flatbuffer."""
    from convert.quantise.export import export_float32

    FLATBUFFER.write_bytes(export_float32(build(), dtype="uint8", size_wh=(16, 16)))


if __name__ == "__main__":
    main()
