"""A model of seven labels in 2 kB: each label has a colour, and the nearest one is most probable.

The flatbuffer is ``tests/edge/data/colours.tflite``, made by ``python -m tests.support.colours``:
raw bytes in BGR order, 300 x 300, their mean over all pixels, one dense layer, softmax.
:func:`probabilities` says the same in numpy.
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

    from numpy.typing import NDArray

FLATBUFFER = ROOT / "tests/edge/data/colours.tflite"
LABELS = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
COLOURS_BGR = np.array(
    [
        (180, 190, 226),
        (98, 107, 138),
        (136, 147, 180),
        (121, 132, 159),
        (100, 105, 195),
        (163, 168, 195),
        (114, 147, 228),
    ],
    np.float64,
)
_SPREAD, _MIDDLE = 15.0, 140.0


def probabilities(colour_bgr: NDArray[Any]) -> NDArray[np.float64]:
    """Return what the model answers for a picture of this mean colour, (7,), of :data:`LABELS`."""
    squares = ((COLOURS_BGR - np.asarray(colour_bgr, np.float64)) ** 2).sum(axis=1)
    shares: NDArray[np.float64] = np.exp((squares.min() - squares) / (2 * _SPREAD**2))
    return shares / float(shares.sum())


def picture(label: str, size_wh: tuple[int, int] = (64, 48)) -> NDArray[np.uint8]:
    """Return a picture of a label's colour, (height, width, 3) uint8 BGR."""
    colour = COLOURS_BGR[LABELS.index(label)].astype(np.uint8)
    return np.tile(colour, (size_wh[1], size_wh[0], 1))


def contract(**changes: Any) -> dict[str, Any]:
    """Return the model's contract; ``changes`` replace whole keys of it."""
    return {
        "schema": 2,
        "name": "colours",
        "variant": "float32",
        "flatbuffer": {"sha256": hashlib.sha256(FLATBUFFER.read_bytes()).hexdigest()},
        "input": {
            "width": 300,
            "height": 300,
            "resize": "crop",
            "interpolation": "linear",
            "channel_order": "BGR",
            "dtype": "uint8",
            "scale": 1.0,
            "zero_point": 0,
        },
        "output": {
            "dtype": "float32",
            "scale": 1.0,
            "zero_point": 0,
            "activation": "softmax",
            "meaning": "probabilities of the labels",
        },
        "labels": list(LABELS),
        "positive": "mel",
        "threshold": None,
        **changes,
    }


def write_model(path: Path, **changes: Any) -> Path:
    """Write the model with its contract behind it, and return its path."""
    path.write_bytes(pack(FLATBUFFER.read_bytes(), json.dumps(contract(**changes)).encode()))
    return path


def make_flatbuffer(colours_bgr: NDArray[np.float64] = COLOURS_BGR) -> bytes:
    """Return the flatbuffer, made anew by Keras and TensorFlow."""
    import keras
    import tensorflow as tf

    model = keras.Sequential(
        [
            keras.Input((300, 300, 3), dtype="uint8"),
            keras.layers.Rescaling(1.0, offset=-_MIDDLE),
            keras.layers.AveragePooling2D(20),  # a sum of 90,000 pixels would lose digits
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(len(colours_bgr), activation="softmax"),
        ]
    )
    # |c - x|^2 without |x|^2, which is the same for all, is linear in x.
    centred = colours_bgr - _MIDDLE
    kernel, bias = 2 * centred.T, -(centred**2).sum(axis=1)
    model.layers[-1].set_weights([each / (2 * _SPREAD**2) for each in (kernel, bias)])
    data: bytes = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return data


if __name__ == "__main__":
    FLATBUFFER.write_bytes(make_flatbuffer())
