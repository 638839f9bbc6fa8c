"""The one way a picture becomes a model's input: calibration, parity and device all call it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .contract import InputSpec

    Rectangle = tuple[int, int, int, int]
    """x, y, width, height."""

_INTERPOLATIONS = {
    "nearest": cv2.INTER_NEAREST,
    "linear": cv2.INTER_LINEAR,
    "linear_exact": cv2.INTER_LINEAR_EXACT,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
}
_BYTES = np.arange(256)


def fill_input(image_bgr: NDArray[np.uint8], tensor: NDArray[Any], spec: InputSpec) -> None:
    """Resize a picture and write it into a model's input, as the model wants it.

    A tensor of bytes in BGR order is resized straight into and encoded in place.

    Args:
        image_bgr: (height, width, 3) uint8, BGR, 0..255.
        tensor: (spec height, spec width, 3) of the spec's dtype, C-contiguous and writable.
        spec: the model's input.

    """
    in_place = spec.dtype != "float32" and spec.channel_order == "BGR"
    pixels = tensor.view(np.uint8) if in_place else np.empty(tensor.shape, np.uint8)
    resize_into(image_bgr, pixels, spec)
    encode_into(pixels, tensor, spec)


def resize_into(image_bgr: NDArray[np.uint8], out: NDArray[np.uint8], spec: InputSpec) -> None:
    """Resize a picture by the spec's rule; colours and encoding are not touched.

    Args:
        image_bgr: (height, width, 3) uint8, BGR, 0..255.
        out: (spec height, spec width, 3) uint8, C-contiguous and writable.  OpenCV writes into
            it, so nothing is copied.
        spec: the model's input.

    """
    (left, top, width, height), (into_left, into_top, *size_wh) = place(
        image_bgr.shape[1::-1], spec
    )
    image_bgr = image_bgr[top : top + height, left : left + width]
    if tuple(size_wh) != spec.size_wh:
        out[:] = 0
        out = out[into_top : into_top + size_wh[1], into_left : into_left + size_wh[0]]
    interpolation = _INTERPOLATIONS[spec.interpolation]
    resized = cv2.resize(image_bgr, size_wh, dst=out, interpolation=interpolation)
    if resized is not out:  # OpenCV made an array of its own: ``out`` didn't fit
        np.copyto(out, resized)


def place(image_wh: tuple[int, int], spec: InputSpec) -> tuple[Rectangle, Rectangle]:
    """Return which part of a picture the model sees, and which of its input shows it, in pixels.

    Args:
        image_wh: the picture's width and height.
        spec: the model's input.

    """
    (image_width, image_height), (width, height) = image_wh, spec.size_wh
    seen, filled = (0, 0, image_width, image_height), (0, 0, width, height)
    if spec.resize == "crop":
        # As Keras: smart_resize, and Resizing with crop_to_aspect_ratio.
        crop_height = max(1, min(image_height, image_width * height // width))
        crop_width = max(1, min(image_width, image_height * width // height))
        left, top = (image_width - crop_width) // 2, (image_height - crop_height) // 2
        seen = (left, top, crop_width, crop_height)
    elif spec.resize == "letterbox":
        box_width = max(1, min(width, round(image_width * height / image_height)))
        box_height = max(1, min(height, round(image_height * width / image_width)))
        filled = ((width - box_width) // 2, (height - box_height) // 2, box_width, box_height)
    return seen, filled


def encode_into(pixels: NDArray[np.uint8], tensor: NDArray[Any], spec: InputSpec) -> None:
    """Write a resized picture into a model's input, as the model wants it.

    Args:
        pixels: (spec height, spec width, 3) uint8, BGR, 0..255; of a spec of bytes in BGR order
            it may be the tensor's own memory.
        tensor: the same shape, of the spec's dtype, C-contiguous and writable.
        spec: the model's input.

    """
    table, mask = element_table(spec)
    out = tensor if spec.dtype == "float32" else tensor.view(np.uint8)
    ordered: Any = pixels
    if spec.channel_order == "RGB":
        ordered = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    if mask is None:
        written = cv2.LUT(ordered, table, dst=out)
        if written is not out:
            np.copyto(out, written)
    elif mask:
        np.bitwise_xor(ordered, mask, out=out)
    elif not np.may_share_memory(ordered, out):
        np.copyto(out, ordered)


@lru_cache(maxsize=16)
def element_table(spec: InputSpec) -> tuple[NDArray[Any], int | None]:
    """Return the tensor's element for each channel and pixel value.

    Returns:
        The table, (1, 256, 3) in the spec's channel order: float32, or uint8, which are an int8
        tensor's bytes.  And what a pixel value is XORed with to become the element, where that
        says as much as the table, as it does for raw bytes; else None.

    """
    values = _BYTES[:, None] * np.array(spec.values_scale) + np.array(spec.values_offset)
    if spec.dtype == "float32":
        return values[None].astype(np.float32), None
    elements = np.rint(values / spec.scale) + spec.zero_point
    limits = np.iinfo(spec.dtype)
    table = elements.clip(limits.min, limits.max).astype(spec.dtype).view(np.uint8)
    masks = (mask for mask in (0x00, 0x80) if (table == (_BYTES ^ mask)[:, None]).all())
    return table[None], next(masks, None)
