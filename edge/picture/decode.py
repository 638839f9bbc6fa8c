"""Bytes to an upright picture: (height, width, 3) uint8, BGR, 0..255, or a :class:`PictureError`.

Pictures are decoded from memory.  OpenCV's ``imread`` returns a cut JPEG as a full-size frame
with only a warning; ``imdecode`` of the same bytes refuses it.  The header is read first,
because OpenCV would give a picture of 20000 x 20000 pixels the gigabytes that it asks for.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import cv2
import numpy as np

from edge.errors import PictureError
from edge.files import open_regular, printable, read_bounded

from .header import JPEG_START, PNG_SIGNATURE, Header, read_header
from .limits import MAX_BYTES, MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FAST_PIXELS = 4_000_000
"""A JPEG of fewer pixels is never decoded at reduced scale."""
_FAST_PIXELS_LEFT = 1_000_000
"""Reduced scale leaves at least so many pixels: over the model's 500 x 500, and regions hold."""

# All of them turn the picture upright by EXIF.
_DECODE_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_MAX_BEFORE_JPEG = 512
_TRANSPARENT = "transparent pixels count with the colours stored in them, which viewers don't show"
_UNIFORM_TAIL = 0.05
"""The share of a picture's height that may be one colour at the bottom without a warning."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture and what seemed odd about it."""

    image_bgr: NDArray[np.uint8]
    """(height, width, 3), BGR, 0..255, upright by EXIF."""
    warnings: tuple[str, ...] = ()
    decode_ms: float = 0.0
    """How long reading and decoding the file took, in milliseconds."""
    scale: int = 1
    """How many pixels of the whole picture one of ``image_bgr`` stands for along each side."""
    whole_wh: tuple[int, int] | None = None
    """Width and height of the whole picture where ``image_bgr`` is a reduced copy of it."""
    name: str = "picture"
    """Its path as it was given, or what to call it."""

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the upright whole picture, in pixels."""
        return self.whole_wh or (self.image_bgr.shape[1], self.image_bgr.shape[0])


def read_bytes(source: str | os.PathLike[str] | BinaryIO, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Return the bytes of a file, or what is left in an open stream.

    Raises:
        PictureError: missing, not an ordinary file, unreadable, or over ``max_bytes``, of which
            no more than one byte is read.

    """
    path = name_of(source)
    try:
        if isinstance(source, str | os.PathLike):
            with open_regular(source) as stream:
                data = read_bounded(stream, max_bytes)
        else:
            data = read_bounded(source, max_bytes)
    except (OSError, ValueError) as error:
        from edge.rights import advice  # where a file can be read, none is needed

        reason = getattr(error, "strerror", None) or error
        raise PictureError(
            f"{printable(path)}: can't be read: {reason}{advice(path, error)}"
        ) from error
    if data is None:
        raise PictureError(f"{printable(path)}: larger than the limit of {max_bytes} bytes")
    return data


def name_of(source: str | os.PathLike[str] | BinaryIO) -> str:
    """Return what to call a file or a stream, which is "-"."""
    return os.fspath(source) if isinstance(source, str | os.PathLike) else "-"


def decode(
    data: bytes, name: str = "picture", *, max_pixels: int = MAX_PIXELS, fast: bool = False
) -> Picture:
    """Decode a JPEG or PNG, whatever its depth, palette or colour space.

    Transparency is left out: a pixel counts with the colour that is stored in it, also where a
    viewer would show what lies behind, as with the network's training code (``cv2.imread``).  A
    warning says so where a pixel isn't opaque.  Of an animated PNG only the first picture counts.

    Args:
        data: the file's bytes.
        name: what to call the picture in an error.
        max_pixels: refuse a picture of more pixels before decoding it.
        fast: decode a JPEG of 4 megapixels and more at 1/2, 1/4 or 1/8 of its size along each
            side: the smallest that leaves a megapixel.  A warning says so.

    Raises:
        PictureError: not a JPEG or PNG, damaged or cut, too large, or too slow to decode.

    """
    if not data.startswith((JPEG_START, PNG_SIGNATURE)):
        raise _refuse(data, name)
    header = read_header(data, name)
    width, height = header.size_wh
    if width < 1 or height < 1 or width * height > max_pixels:
        raise PictureError(
            f"{name}: its header says {width} x {height}; the limit is {max_pixels} pixels"
        )
    scale = _choose_scale(width, height) if fast and header.is_jpeg else 1
    image = _decode_pixels(data, name, scale, width * height)
    warnings = find_damage(image)
    if header.alpha and _has_transparency(data, header, name):
        warnings = (_TRANSPARENT, *warnings)
    if header.is_animated:
        warnings = ("an animated PNG: only its first picture counts", *warnings)
    if scale == 1:
        return Picture(image, warnings, name=name)
    # The header tells the size as it lies in the file; the pixels are upright by EXIF.
    reduced = (-(-width // scale), -(-height // scale))
    upright = (width, height) if image.shape[1::-1] == reduced else (height, width)
    warning = f"fast: decoded at 1/{scale} scale, regions and probability are approximate"
    return Picture(image, (warning, *warnings), 0.0, scale, upright, name)


def check_image(image_bgr: object) -> NDArray[np.uint8]:
    """Return ``image_bgr`` if it is a picture that the package can work on.

    Raises:
        PictureError: (also a ValueError) not an array of uint8 and shape (height, width, 3).

    """
    if not isinstance(image_bgr, np.ndarray):
        raise PictureError(
            f"expected a numpy array (height, width, 3) of uint8, got {type(image_bgr).__name__}"
        )
    shape_fits = image_bgr.ndim == 3 and image_bgr.shape[2] == 3 and image_bgr.size > 0
    if image_bgr.dtype != np.uint8 or not shape_fits:
        raise PictureError(
            "expected an array (height, width, 3) of uint8 in BGR order, "
            f"got {image_bgr.shape} of {image_bgr.dtype}"
        )
    # OpenCV takes only some strides; a contiguous array passes through without a copy.
    return np.ascontiguousarray(image_bgr)


@contextmanager
def within_memory(name: str) -> Iterator[None]:
    """Turn what OpenCV and numpy raise where memory runs out into an error of ours.

    Args:
        name: what to call the picture, such as its path; it need not be printable.

    Raises:
        PictureError: working on it failed.

    """
    try:
        yield
    except MemoryError as error:
        raise PictureError(f"{printable(name)}: too large for the memory that is free") from error
    except cv2.error as error:
        # Not error.code and error.err, which are the class's: those of the last error anywhere.
        text = " ".join(str(error).split())
        reason = f"OpenCV can't work on it: {text}"
        if f"({cv2.Error.StsNoMem}:" in text:
            reason = "too large for the memory that is free"
        raise PictureError(f"{printable(name)}: {reason}") from error


def _refuse(data: bytes, name: str) -> PictureError:
    """Return the error for what doesn't begin as a JPEG or PNG does."""
    if data and any(start.startswith(data) for start in (JPEG_START, PNG_SIGNATURE)):
        return PictureError(
            f"{name}: damaged or cut short: it ends after {len(data)} bytes; copy it again"
        )
    from .kinds import identify  # read only where a file is refused

    kind = identify(data)
    if kind is not None:
        return PictureError(f"{name}: {kind.name}, not a JPEG or PNG picture; {kind.way_out}")
    start = data.find(JPEG_START, 0, _MAX_BEFORE_JPEG)
    if start > 0:
        return PictureError(
            f"{name}: a JPEG with {start} foreign bytes before it; "
            f"take them off: tail -c +{start + 1} FILE > OUT.jpg"
        )
    return PictureError(
        f"{name}: not a JPEG or PNG picture (it starts with {data[:8].hex(' ')}); "
        "save it as JPEG or PNG with the program that made it"
    )


def _choose_scale(width: int, height: int) -> int:
    if width * height < FAST_PIXELS:
        return 1
    for scale in (8, 4, 2):
        reduced_width, reduced_height = -(-width // scale), -(-height // scale)
        # Where both sides come out equal, the copy wouldn't tell which way the picture lies.
        tells = width == height or reduced_width != reduced_height
        if reduced_width * reduced_height >= _FAST_PIXELS_LEFT and tells:
            return scale
    return 1


def _decode_pixels(data: bytes, name: str, scale: int, pixels: int) -> NDArray[np.uint8]:
    with within_memory(name):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _DECODE_FLAGS[scale])
        if image is None:
            # Where a decoder runs out of memory, OpenCV says no more than of damage: what it asks
            # for, a picture and its rows, is asked for here.
            np.empty(pixels * 6, np.uint8)
    if image is None:
        raise PictureError(f"{name}: damaged or cut short: it can't be decoded whole")
    return image  # type: ignore[return-value] # these flags give uint8


def _has_transparency(data: bytes, header: Header, name: str) -> bool:
    with within_memory(name):
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if stored is None:
            return False
        if stored.ndim == 2:  # OpenCV makes no alpha of a gray picture's one transparent gray
            return bool((stored == header.gray_key).any())
        opaque = 0xFF if stored.dtype == np.uint8 else 0xFFFF
        return stored.shape[2] == 4 and bool((stored[:, :, 3] != opaque).any())


def find_damage(image: NDArray[np.uint8] | cv2.typing.MatLike) -> tuple[str, ...]:
    """Name a tail of rows in one colour: where a decoder fills what a damaged picture lacks.

    Args:
        image: (height, width, 3) uint8.

    Returns:
        A warning, or none.

    """
    height = image.shape[0]
    last = image[-1, 0]
    if (image[-1] != last).any() or (image == last).all():
        return ()
    rows = 1
    while rows < height and not (image[-1 - rows] != last).any():
        rows += 1
    if rows <= height * _UNIFORM_TAIL:
        return ()
    return (f"the last {rows} of {height} rows are one colour: the file may be damaged",)
