"""Our own files and the plain conversions, on the interpreter that the edge uses.

The plain int8 file is what the quantiser makes: per-channel convolutions, calibrated, int8 input.
XNNPACK is the interpreter's default; there is nothing else to set but threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.names import PLAIN, REWRITTEN

from .base import ARM, Peer, batched

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from .base import Network

FILES = {
    "int8": "int8.tflite",
    "rewritten": "int8-rewritten.tflite",
    "float32": "float32.tflite",
    "float16": "float16.tflite",
    "dynamic": "dynamic.tflite",
}


def make(network: Network, folder: Path) -> None:
    """Write the flatbuffers, unless they are there; rewritten for pictures of full size only."""
    if (folder / FILES["int8"]).exists():
        return
    from convert.calibration import observe_ranges
    from convert.export import export_float32, quantise
    from convert.network import INPUT_SIZE_WH
    from convert.rewrite import build_compacted, rewrite

    # The channel counts of the arrays: the full network's, or a compacted one's.
    size_wh = (network.side, network.side)
    model = build_compacted(network.arrays, size_wh) if network.batch == 1 else windowed(network)
    float32 = export_float32(model, dtype="float32", size_wh=size_wh, batch=network.batch)
    ranges = observe_ranges(float32, network.calibration, lambda _: None)
    int8 = quantise(float32, "int8", ranges)
    (folder / FILES["float32"]).write_bytes(float32)
    (folder / FILES["int8"]).write_bytes(int8)
    for variant in ("float16", "dynamic"):
        (folder / FILES[variant]).write_bytes(quantise(float32, variant))
    if size_wh == INPUT_SIZE_WH:
        (folder / FILES["rewritten"]).write_bytes(rewrite(int8, tune_for="arm" if ARM else "x86"))


def windowed(network: Network) -> Callable[[Any], Any]:
    """Return the network for a batch of windows, as a function of TensorFlow's."""
    import tensorflow as tf

    kernels = {name: kernel for name, (kernel, _) in network.arrays.items()}
    biases = {name: bias for name, (_, bias) in network.arrays.items()}

    def infer(images: Any) -> Any:
        x = images
        for name in ("conv1", "conv2"):
            x = tf.nn.relu(tf.nn.conv2d(x, kernels[name], 1, "VALID") + biases[name])
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        with tf.name_scope("dense1"):  # the quantiser's recipes go by the name
            x = tf.matmul(tf.reshape(x, (1, -1)), kernels["dense1"])
            x = tf.nn.relu(x + biases["dense1"])
        return tf.nn.sigmoid(tf.matmul(x, kernels["dense2"]) + biases["dense2"])

    return infer


class TfliteRoute:
    """One flatbuffer in one interpreter of ai-edge-litert or tflite-runtime."""

    def __init__(self, interpreter: Any) -> None:
        interpreter.allocate_tensors()
        self._interpreter = interpreter
        self._input = interpreter.get_input_details()[0]
        self._output = interpreter.get_output_details()[0]["index"]

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        """Write the picture into the input tensor, as the edge's resize does."""
        view = self._interpreter.tensor(self._input["index"])()
        images = batched(image_bgr)
        if self._input["dtype"] == np.int8:
            view.view(np.uint8)[:] = images ^ 0x80
        else:
            view[:] = images

    def invoke(self) -> float:
        """Run it."""
        self._interpreter.invoke()
        return float(self._interpreter.get_tensor(self._output)[0, 0])


def _opener(kind: str) -> Callable[[Path, int], TfliteRoute]:
    def load(folder: Path, threads: int) -> TfliteRoute:
        from ai_edge_litert.interpreter import Interpreter

        path = str(folder / FILES[kind])
        return TfliteRoute(Interpreter(model_path=path, num_threads=threads))

    return load


_PACKAGES = ("ai-edge-litert",)
PEERS = (
    Peer(REWRITTEN, _PACKAGES, "the same int8 values", make, _opener("rewritten"), ours=True),
    Peer(PLAIN, _PACKAGES, "as the quantiser makes it", make, _opener("int8")),
    Peer("TFLite float32", _PACKAGES, "XNNPACK", make, _opener("float32")),
    Peer("TFLite float16", _PACKAGES, "weights only", make, _opener("float16")),
    Peer("TFLite dynamic", _PACKAGES, "int8 weights, dynamic range", make, _opener("dynamic")),
)
