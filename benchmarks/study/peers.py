"""Open a network in each runtime, set up as its documentation advises for one picture at a time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from benchmarks import notebook

from .networks import KEPT, OURS, PLAIN, WEIGHTS
from .quantise import (
    FLOAT32,
    ONNX,
    ONNX_INT8,
    OPENVINO_INT8,
    make_onnx,
    make_onnx_int8,
    make_openvino_int8,
    planar,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

REWRITTEN = "lesion-edge int8, rewritten"
PLAIN_INT8 = "TFLite int8, plain"
PLAIN_KEPT = f"{PLAIN_INT8}, dead channels kept"


class Route(Protocol):
    """A network, loaded, that answers one picture at a time."""

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        """Put a picture, (500, 500, 3) uint8 BGR, where the library wants it; not timed."""

    def invoke(self) -> float:
        """Return P(malignant) of the picture that was put there last; this is timed."""


def _make_nothing(_folder: Path) -> None:
    """Leave it at the source."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to run a network."""

    name: str
    """Unique, as the table shows it."""
    packages: tuple[str, ...]
    """The distributions whose versions belong beside its figures."""
    setup: str
    source: str
    """The file of a network's folder that it starts from."""
    open: Callable[[Path, int], Route]
    """Loads what ``make`` wrote, or the source itself, for so many threads."""
    make: Callable[[Path], None] = _make_nothing
    """Writes what ``open`` needs into the network's folder."""
    ours: bool = False

    def versions(self) -> dict[str, str]:
        """Return the versions of its packages."""
        return {package: metadata.version(package) for package in self.packages}


class _Tflite:
    """The interpreter that the edge uses; XNNPACK is its default."""

    def __init__(self, file: str, folder: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(folder / file), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        flip = 0x80 if self._input["dtype"] == np.int8 else 0
        self._interpreter.set_tensor(
            self._input["index"], (image_bgr ^ flip)[None].view(self._input["dtype"])
        )

    def invoke(self) -> float:
        self._interpreter.invoke()
        return float(self._interpreter.get_tensor(self._output)[0, 0])


class _OnnxRuntime:
    """All graph optimisations, its default, and I/O binding, so that nothing is copied."""

    def __init__(self, file: str, folder: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self._session = onnxruntime.InferenceSession(
            folder / file, options, providers=["CPUExecutionProvider"]
        )
        self._binding = self._session.io_binding()
        self._binding.bind_output(self._session.get_outputs()[0].name, "cpu")
        self._image: Any = None

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        self._image = planar(image_bgr)
        self._binding.bind_cpu_input("image", self._image)

    def invoke(self) -> float:
        self._session.run_with_iobinding(self._binding)
        return float(self._binding.copy_outputs_to_cpu()[0][0, 0])


class _OpenVino:
    """The latency hint, one stream, float32 where the model isn't int8."""

    def __init__(self, file: str, folder: Path, threads: int) -> None:
        import openvino

        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = openvino.Core().compile_model(folder / file, "CPU", config)
        self._request = compiled.create_infer_request()
        self._tensor = partial(openvino.Tensor, shared_memory=True)
        self._image: Any = None

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        self._image = np.ascontiguousarray(image_bgr[None])
        self._request.set_input_tensor(self._tensor(self._image))

    def invoke(self) -> float:
        self._request.infer()
        return float(self._request.get_output_tensor().data[0, 0])


def set_keras_threads(threads: int) -> None:
    """Limit TensorFlow; works only before its first operation."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


class KerasPredict:
    """The whole network, by ``model.predict`` as in the notebook; its answers are the reference."""

    def __init__(self, folder: Path, _threads: int) -> None:
        from convert.quantise.preprocessing import Preprocessing
        from convert.weights.file import read_weights

        declared: Any = read_weights(folder / WEIGHTS).declared
        self._contract = Preprocessing.from_dict(declared["contract"])
        self._model = notebook.build(str(folder / WEIGHTS))
        self._input: Any = None

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        """Make the network's input of it."""
        self._input = self._contract.apply(image_bgr[None])

    def invoke(self) -> float:
        """Call ``predict``."""
        return float(self._model.predict(self._input, verbose=0)[0, 0])


class _KerasCalled(KerasPredict):
    """The model called in a ``tf.function``, as Keras advises for a batch that fits in one go."""

    def __init__(self, folder: Path, threads: int) -> None:
        import tensorflow as tf

        super().__init__(folder, threads)
        self._call = tf.function(lambda image: self._model(image, training=False))
        self._constant = tf.constant

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        self._input = self._constant(self._contract.apply(image_bgr[None]))

    def invoke(self) -> float:
        return float(self._call(self._input).numpy()[0, 0])


def _tflite(name: str, setup: str, source: str, *, ours: bool = False) -> Peer:
    return Peer(name, ("ai-edge-litert",), setup, source, partial(_Tflite, source), ours=ours)


FLOAT32_PEER = _tflite("TFLite float32", "XNNPACK", FLOAT32)
PEERS = (
    _tflite(REWRITTEN, "the same int8 values", f"{OURS}/lesion-int8.tflite", ours=True),
    _tflite(PLAIN_INT8, "as the quantiser makes it", f"{PLAIN}/lesion-int8.tflite"),
    _tflite(PLAIN_KEPT, "as the quantiser makes it", f"{KEPT}/lesion-int8.tflite"),
    FLOAT32_PEER,
    _tflite("TFLite float16", "weights only", f"{PLAIN}/lesion-float16.tflite"),
    _tflite("TFLite dynamic", "int8 weights, dynamic range", f"{PLAIN}/lesion-dynamic.tflite"),
    Peer(
        "ONNX Runtime float32",
        ("onnxruntime", "tf2onnx"),
        "all optimisations, I/O binding",
        FLOAT32,
        partial(_OnnxRuntime, ONNX),
        make_onnx,
    ),
    Peer(
        "ONNX Runtime int8",
        ("onnxruntime", "tf2onnx"),
        "static QDQ, U8S8, per channel",
        FLOAT32,
        partial(_OnnxRuntime, ONNX_INT8),
        make_onnx_int8,
    ),
    Peer("OpenVINO float32", ("openvino",), "latency hint", FLOAT32, partial(_OpenVino, FLOAT32)),
    Peer(
        "OpenVINO int8",
        ("openvino", "nncf"),
        "NNCF, latency hint",
        FLOAT32,
        partial(_OpenVino, OPENVINO_INT8),
        make_openvino_int8,
    ),
    Peer(
        "Keras, model.predict", ("keras", "tensorflow"), "as in the notebook", WEIGHTS, KerasPredict
    ),
    Peer(
        "Keras, called directly", ("keras", "tensorflow"), "in a tf.function", WEIGHTS, _KerasCalled
    ),
)
