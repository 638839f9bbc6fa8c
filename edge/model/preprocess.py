"""The one way a picture becomes a model's input: calibration, parity and device all call it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .contract import InputSpec

_INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}


def resize_into(image_bgr: NDArray[np.uint8], out: NDArray[np.uint8], spec: InputSpec) -> None:
    """Resize a picture straight into a model's input and encode it there.

    Args:
        image_bgr: (height, width, 3) uint8, BGR, 0..255.
        out: (spec height, spec width, 3) uint8, C-contiguous and writable: the bytes of the
            input tensor.  OpenCV writes into it, so nothing is copied.
        spec: the model's input.

    """
    interpolation = _INTERPOLATIONS[spec.interpolation]
    resized = cv2.resize(image_bgr, spec.size_wh, dst=out, interpolation=interpolation)
    if resized is not out:  # OpenCV made an array of its own: ``out`` didn't fit
        np.copyto(out, resized)
    if spec.byte_mask:
        np.bitwise_xor(out, spec.byte_mask, out=out)
