"""OpenCV's own dnn module, float32, on the backend and engine that it chooses by default.

OpenCV 5 has taken out the quantisation that 4.x had, so there is no int8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2

from . import onnx_graph
from .base import Peer, planar

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


class _Net:
    def __init__(self, net: Any, threads: int) -> None:
        self._net = net
        self._threads = threads

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        cv2.setNumThreads(self._threads)
        self._net.setInput(planar(image_bgr))

    def invoke(self) -> float:
        return float(self._net.forward()[0, 0])


def _open(folder: Path, threads: int) -> _Net:
    return _Net(cv2.dnn.readNetFromONNX(str(folder / onnx_graph.FILE)), threads)


PEERS = (
    Peer(
        "OpenCV dnn float32",
        ("opencv-python-headless",),
        "default backend",
        onnx_graph.make,
        _open,
    ),
)
