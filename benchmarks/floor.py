"""The machine's int8 peak, as the same interpreter reaches it: a large 1 x 1 convolution.

A 1 x 1 convolution is a plain matrix product: no padded channels, no pointers to gather, each
weight used for thousands of places.  What it reaches in multiply-adds a second is what any int8
network could hope for here, so a route's share of it says how much is left to gain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .peers.litert import TfliteRoute

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FILE = "peak.tflite"
_SIDE, _CHANNELS = 48, 512
MULTIPLY_ADDS = _SIDE * _SIDE * _CHANNELS * _CHANNELS
"""Of one invoke: 0.6 billion, of the size of the network's own."""


def make(folder: Path) -> None:
    """Write the convolution as a flatbuffer, quantised by TensorFlow's converter."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    kernel = random.normal(0, 0.05, (1, 1, _CHANNELS, _CHANNELS)).astype(np.float32)
    shape = (1, _SIDE, _SIDE, _CHANNELS)

    def infer(image: object) -> object:
        return tf.nn.relu(tf.nn.conv2d(image, kernel, 1, "VALID"))

    signature = tf.TensorSpec(shape, tf.float32)
    concrete = tf.function(infer, autograph=False).get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: [[random.random(shape, np.float32)]]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (folder / FILE).write_bytes(converter.convert())


class PeakRoute(TfliteRoute):
    """The convolution as one more route that takes its turn."""

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        """Do nothing: its speed doesn't depend on what it is given."""

    def invoke(self) -> float:
        """Run it."""
        self._interpreter.invoke()
        return 0.0


def load(folder: Path, threads: int) -> PeakRoute:
    """Open the convolution."""
    from ai_edge_litert.interpreter import Interpreter

    return PeakRoute(Interpreter(model_path=str(folder / FILE), num_threads=threads))
