"""ONNX Runtime: float32, and int8 as its quantisation guide advises for x86 with VNNI.

Static, QDQ, unsigned activations with signed weights for each channel, calibrated by minimum and
maximum, after the guide's pre-processing.  All graph optimisations, and I/O binding, so that
nothing is copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import onnx_graph
from .base import Peer, not_installed, planar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from .base import Network

_INT8 = "model-int8.onnx"


class _Reader:
    """Calibration pictures, one at a time; None ends them."""

    def __init__(self, network: Network) -> None:
        self._pictures = iter(network.calibration)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {"image": planar(picture)}


def _make_int8(network: Network, folder: Path) -> None:
    onnx_graph.make(network, folder)
    try:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.calibrate import CalibrationDataReader
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise not_installed("onnxruntime", error) from error
    CalibrationDataReader.register(_Reader)
    prepared = folder / "prepared.onnx"
    # Every shape is static, so its symbolic inference, which needs sympy, has nothing to find.
    quant_pre_process(folder / onnx_graph.FILE, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        folder / _INT8,
        _Reader(network),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        nodes_to_exclude=list(onnx_graph.HEAD),
    )


class _Bound:
    def __init__(self, session: Any) -> None:
        self._session = session
        self._binding = session.io_binding()
        self._binding.bind_output("sigmoid", "cpu")
        self._input: Any = None

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        self._input = planar(image_bgr)
        self._binding.bind_cpu_input("image", self._input)

    def invoke(self) -> float:
        self._session.run_with_iobinding(self._binding)
        return float(self._binding.copy_outputs_to_cpu()[0][0, 0])


def _opener(name: str) -> Callable[[Path, int], _Bound]:
    def load(folder: Path, threads: int) -> _Bound:
        try:
            import onnxruntime
        except ImportError as error:
            raise not_installed("onnxruntime", error) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        providers = ["CPUExecutionProvider"]
        return _Bound(onnxruntime.InferenceSession(folder / name, options, providers=providers))

    return load


_PACKAGES = ("onnxruntime",)
PEERS = (
    Peer(
        "ONNX Runtime float32",
        _PACKAGES,
        "all optimisations, I/O binding",
        onnx_graph.make,
        _opener(onnx_graph.FILE),
    ),
    Peer(
        "ONNX Runtime int8",
        _PACKAGES,
        "static QDQ, U8S8, per channel",
        _make_int8,
        _opener(_INT8),
    ),
)
