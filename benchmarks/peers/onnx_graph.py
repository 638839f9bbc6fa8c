"""The network as an ONNX graph, which ONNX Runtime, OpenVINO and OpenCV all read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .base import dense_for_planar, not_installed

if TYPE_CHECKING:
    from pathlib import Path

    from .base import Network

FILE = "model.onnx"
HEAD = ("dense2", "sigmoid")
"""The nodes that stay in float32 in every int8 model here, ours included."""


def make(network: Network, folder: Path) -> None:
    """Write the float32 graph, unless it is there: (batch, 3, side, side) float32 BGR 0..255."""
    if (folder / FILE).exists():
        return
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise not_installed("onnx", error) from error

    weights = {}
    for name, (kernel, bias) in network.arrays.items():
        if kernel.ndim == 4:  # height, width, in, out -> out, in, height, width
            weights[f"{name}.kernel"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        else:
            dense = dense_for_planar(network) if name == "dense1" else kernel
            weights[f"{name}.kernel"] = np.ascontiguousarray(dense.T)
        weights[f"{name}.bias"] = bias

    weights["one.row"] = np.array([1, -1], np.int64)

    def node(kind: str, name: str, source: str, *parameters: str, **attributes: object) -> object:
        return helper.make_node(kind, [source, *parameters], [name], name, **attributes)

    def layer(kind: str, name: str, source: str, **attributes: object) -> object:
        return node(kind, name, source, f"{name}.kernel", f"{name}.bias", **attributes)

    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        layer("Conv", "conv1", "image", kernel_shape=[4, 4]),
        node("Relu", "relu1", "conv1"),
        node("MaxPool", "pool1", "relu1", **pool),
        layer("Conv", "conv2", "pool1", kernel_shape=[4, 4]),
        node("Relu", "relu2", "conv2"),
        node("MaxPool", "pool2", "relu2", **pool),
        # The places of all windows meet here, as those of one picture do.
        node("Reshape", "flatten", "pool2", "one.row"),
        layer("Gemm", "dense1", "flatten", transB=1),
        node("Relu", "relu3", "dense1"),
        layer("Gemm", "dense2", "relu3", transB=1),
        node("Sigmoid", "sigmoid", "dense2"),
    ]
    shape = [network.batch, 3, network.side, network.side]
    graph = helper.make_graph(
        nodes,
        "lesion",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("sigmoid", TensorProto.FLOAT, [1, 1])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, folder / FILE)
