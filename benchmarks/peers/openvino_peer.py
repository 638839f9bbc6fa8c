"""OpenVINO: float32, bfloat16, and int8 by NNCF, with its latency hint.

NNCF's post-training quantisation, calibrated on the same pictures, the head left in float32 as in
ours.  With its defaults, which take the mean over the pictures for the range and correct biases the
fast way, the dense network's probability is off by 0.06; with two documented options (ranges by
minimum and maximum, the accurate bias correction) by 0.006, at the same speed.  The input is a byte
tensor, as the documentation advises for pictures: the conversion to what conv1 takes is compiled
into the graph, where the int8 model fuses it with the input's quantisation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import onnx_graph
from .base import MissingPeerError, Peer, batched, not_installed, planar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from .base import Network

_FLOAT, _INT8 = "openvino.xml", "openvino-int8.xml"


def _import() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise not_installed("openvino", error) from error
    return openvino


def _make_float(network: Network, folder: Path) -> None:
    openvino = _import()
    onnx_graph.make(network, folder)
    if not (folder / _FLOAT).exists():
        model = openvino.convert_model(folder / onnx_graph.FILE)
        # Its own default would be to halve the weights.
        openvino.save_model(model, folder / _FLOAT, compress_to_fp16=False)


def _make_int8(network: Network, folder: Path) -> None:
    openvino = _import()
    _make_float(network, folder)
    try:
        import nncf
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet
    except ImportError as error:
        raise not_installed("nncf", error) from error
    model = nncf.quantize(
        openvino.Core().read_model(folder / _FLOAT),
        nncf.Dataset(network.calibration, planar),
        subset_size=len(network.calibration),
        fast_bias_correction=False,
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
        ),
        ignored_scope=nncf.IgnoredScope(names=list(onnx_graph.HEAD), validate=False),
    )
    openvino.save_model(model, folder / _INT8, compress_to_fp16=False)


class _Request:
    def __init__(self, openvino: Any, compiled: Any, *, as_bytes: bool) -> None:
        self._openvino = openvino
        self._request = compiled.create_infer_request()
        self._as_bytes = as_bytes
        self._input: Any = None

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        self._input = (
            np.ascontiguousarray(batched(image_bgr)) if self._as_bytes else planar(image_bgr)
        )
        tensor = self._openvino.Tensor(self._input, shared_memory=True)
        self._request.set_input_tensor(tensor)

    def invoke(self) -> float:
        self._request.infer()
        return float(self._request.get_output_tensor().data[0, 0])


def _opener(name: str, precision: str | None, *, as_bytes: bool) -> Callable[[Path, int], _Request]:
    def load(folder: Path, threads: int) -> _Request:
        openvino = _import()
        core = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            message = "this processor has no bfloat16"
            raise MissingPeerError(message)
        model = core.read_model(folder / name)
        if as_bytes:
            model = _take_bytes(openvino, model)
        config: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
        }
        if precision is not None:
            config["INFERENCE_PRECISION_HINT"] = precision
        compiled = core.compile_model(model, "CPU", config)
        return _Request(openvino, compiled, as_bytes=as_bytes)

    return load


def _take_bytes(openvino: Any, model: Any) -> Any:
    steps = openvino.preprocess.PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    return steps.build()


_PACKAGES = ("openvino", "nncf")
PEERS = (
    Peer(
        "OpenVINO float32",
        _PACKAGES[:1],
        "latency hint",
        _make_float,
        _opener(_FLOAT, "f32", as_bytes=False),
    ),
    Peer(
        "OpenVINO bf16",
        _PACKAGES[:1],
        "latency hint",
        _make_float,
        _opener(_FLOAT, "bf16", as_bytes=False),
    ),
    Peer(
        "OpenVINO int8",
        _PACKAGES,
        "NNCF, latency hint, byte input",
        _make_int8,
        _opener(_INT8, None, as_bytes=True),
    ),
)
