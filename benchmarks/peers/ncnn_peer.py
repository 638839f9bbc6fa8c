"""ncnn: float32, half precision, and int8, from files written as its loader reads them.

Its tools are no part of its Python package, so what they would write is written here: a parameter
file of seven layers and the weights in their order; for int8, weights with one scale an output
channel, and each layer's input scale from the largest value seen on the calibration pictures
(``ncnn2table`` by min-max).  Options are its defaults for the processor: packed layout, Winograd,
sgemm.  Half precision is bfloat16 on x86, where its fp16 options change nothing, and fp16 on Arm.
The head stays in float32, as in ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .base import ARM, MissingPeerError, Peer, dense_for_planar, not_installed, require_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from .base import Network

_INT8_TAG = 0x000D4B38  # before int8 weights in a weights file
_INT8_MAX = 127.0


def _write(network: Network, folder: Path, scales: dict[str, float] | None) -> None:
    """Write both files; ``scales`` has 127 / the largest input of each layer to be int8."""
    require_picture(network)
    name = "ncnn-int8" if scales else "ncnn"
    term = " 8=2" if scales else ""
    kernels = {n: k for n, (k, _) in network.arrays.items()}
    kernels["dense1"] = dense_for_planar(network)
    widths = {n: int(b.size) for n, (_, b) in network.arrays.items()}
    sizes = {n: int(k.size) for n, k in kernels.items()}

    def convolution(layer: str, source: str) -> str:
        shape = f"0={widths[layer]} 1=4 5=1 6={sizes[layer]}"
        return f"Convolution {layer} 1 1 {source} {layer} {shape}{term} 9=1"

    def dense(layer: str, source: str, more: str) -> str:
        shape = f"0={widths[layer]} 1=1 2={sizes[layer]}"
        return f"InnerProduct {layer} 1 1 {source} {layer} {shape}{more}"

    lines = [
        "7767517",
        "8 8",
        f"Input image 0 1 image 0={network.side} 1={network.side} 2=3",
        convolution("conv1", "image"),
        "Pooling pool1 1 1 conv1 pool1 0=0 1=2 2=2 5=1",
        convolution("conv2", "pool1"),
        "Pooling pool2 1 1 conv2 pool2 0=0 1=2 2=2 5=1",
        dense("dense1", "pool2", f"{term} 9=1"),
        dense("dense2", "dense1", ""),
        "Sigmoid sigmoid 1 1 dense2 sigmoid",
    ]
    (folder / f"{name}.param").write_text("\n".join(lines) + "\n")
    with (folder / f"{name}.bin").open("wb") as stream:
        for layer, kernel in kernels.items():
            rows = kernel.reshape(-1, widths[layer]).T
            if kernel.ndim == 4:
                rows = kernel.transpose(3, 2, 0, 1).reshape(widths[layer], -1)
            bias = network.arrays[layer][1].astype("<f4").tobytes()
            if scales and layer in scales:
                largest = np.maximum(np.abs(rows).max(axis=1), 1e-30)
                scale = (_INT8_MAX / largest).astype("<f4")
                data = np.rint(rows * scale[:, None]).astype(np.int8).tobytes()
                stream.write(np.uint32(_INT8_TAG).astype("<u4").tobytes())
                stream.write(data + bytes(-len(data) % 4))
                stream.write(bias + scale.tobytes())
                stream.write(np.float32(scales[layer]).astype("<f4").tobytes())
            else:
                stream.write(bytes(4) + rows.astype("<f4").tobytes() + bias)


def _make(network: Network, folder: Path) -> None:
    _write(network, folder, None)


def _make_int8(network: Network, folder: Path) -> None:
    _write(network, folder, None)
    net = _load(folder, "ncnn", 1, half=False)
    largest = dict.fromkeys(("pool1", "pool2"), 1e-30)
    for image in network.calibration:
        extractor = net.create_extractor()
        extractor.input("image", _mat(image))
        for blob, seen in largest.items():
            largest[blob] = max(seen, float(np.array(extractor.extract(blob)[1]).max()))
    scales = {
        "conv1": _INT8_MAX / 255,
        "conv2": _INT8_MAX / largest["pool1"],
        "dense1": _INT8_MAX / largest["pool2"],
    }
    _write(network, folder, scales)


def _mat(image_bgr: NDArray[np.uint8]) -> Any:
    import ncnn

    height, width = image_bgr.shape[:2]
    return ncnn.Mat.from_pixels(image_bgr, ncnn.Mat.PixelType.PIXEL_BGR, width, height)


def _load(folder: Path, name: str, threads: int, *, half: bool) -> Any:
    try:
        import ncnn
    except ImportError as error:
        raise not_installed("ncnn", error) from error
    net = ncnn.Net()
    net.opt.num_threads = threads
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic"):
        setattr(net.opt, option, half and ARM)
    for option in ("use_bf16_packed", "use_bf16_storage"):
        setattr(net.opt, option, half and not ARM)
    if net.load_param(str(folder / f"{name}.param")) or net.load_model(str(folder / f"{name}.bin")):
        message = f"ncnn doesn't load {name}"
        raise MissingPeerError(message)
    return net


class _Extractor:
    def __init__(self, net: Any) -> None:
        self._net = net
        self._input: Any = None

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        self._input = _mat(image_bgr)

    def invoke(self) -> float:
        # An extractor keeps its results, so each picture needs a new one.
        extractor = self._net.create_extractor()
        extractor.input("image", self._input)
        return float(extractor.extract("sigmoid")[1][0])


def _opener(name: str, *, half: bool = False) -> Callable[[Path, int], _Extractor]:
    return lambda folder, threads: _Extractor(_load(folder, name, threads, half=half))


_PACKAGES = ("ncnn",)
PEERS = (
    Peer("ncnn float32", _PACKAGES, "default options", _make, _opener("ncnn")),
    Peer("ncnn half", _PACKAGES, "fp16 on Arm, bf16 on x86", _make, _opener("ncnn", half=True)),
    Peer("ncnn int8", _PACKAGES, "per channel, min-max", _make_int8, _opener("ncnn-int8")),
)
