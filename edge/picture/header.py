"""What a JPEG or PNG says of itself, read along its own structure before anything is decoded.

A JPEG is walked marker by marker and a PNG chunk by chunk up to its end.  So a thumbnail inside
counts for nothing, and neither does what stands behind: a phone's video, a second picture, zeros
up to the size of a block.  A file without its end was cut.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import PictureError

from .limits import MAX_PARTS, MAX_SCANNED_PIXELS, MAX_SCANS

if TYPE_CHECKING:
    from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START = b"\xff\xd8\xff"
"""The start, and that of the first segment: OpenCV takes no other for a JPEG."""

_PNG_GRAY, _PNG_ALPHA = 0, (4, 6)
# ITU-T T.81, table B.1.  What follows FF in entropy-coded data (B.1.1.5), as fill byte (B.1.1.2),
# and the markers without a segment are passed over, as libjpeg's next_marker passes over junk.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_SOI, _EOI, _SOS, _DNL = 0xD8, 0xD9, 0xDA, 0xDC
_END_MARKER = b"\xff\xd9"
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
_ARITHMETIC = 0xC9
_FOREIGN_FRAMES = {
    **dict.fromkeys((0xC3, 0xCB), "a lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE), "a hierarchical JPEG"),
    0xF7: "a JPEG-LS picture",
}
_RESERVED = {*range(0x02, 0xC0), 0xC8, _SOI, *range(0xF0, 0xFE)}
# Huffman codes have a bit at least for each block of 8 x 8 (T.81, F.1.2.1 and G.1.2.1), and the
# component that is sampled most has a block for every 64 pixels, in odd samplings for every 256.
# A decoder fills what is missing: half a kilobyte could cost a second and 200 MB.
_JPEG_PIXELS_PER_BYTE = 256 * 8
_NO_HEADER = "damaged or cut short: its header is not whole"
_ORDINARY = "save it as an ordinary 8-bit JPEG or as PNG with the program that made it"


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a JPEG or PNG says."""

    size_wh: tuple[int, int]
    """Width and height in pixels, as they lie in the file."""
    is_jpeg: bool = False
    alpha: bool = False
    """A PNG whose pixels may be transparent."""
    gray_key: int | None = None
    """The gray, as OpenCV decodes it, of the pixels that are transparent (tRNS of a gray PNG)."""
    is_animated: bool = False


def read_header(data: bytes, name: str) -> Header:
    """Read the header of a JPEG or PNG, and find its end.

    Args:
        data: the file's bytes, which begin with :data:`JPEG_START` or :data:`PNG_SIGNATURE`.
        name: what to call the picture in an error.

    Raises:
        PictureError: cut short or damaged, of a variant that isn't decoded, or too slow to decode.

    """
    return _read_png(data, name) if data.startswith(PNG_SIGNATURE) else _read_jpeg(data, name)


def _read_png(data: bytes, name: str) -> Header:
    # PNG (third edition) 5.3: length, type, data, CRC; 11.2.1: IHDR first; 11.2.5: IEND last.
    if data[12:16] == b"CgBI":
        raise PictureError(
            f"{name}: an iPhone's own kind of PNG (CgBI), from inside an app; save it as an "
            "ordinary PNG, on a Mac with: xcrun pngcrush -revert-iphone-optimizations FILE OUT.png"
        )
    if data[12:16] != b"IHDR" or len(data) < 33:
        raise PictureError(f"{name}: {_NO_HEADER}")
    width, height, depth, colour = struct.unpack_from(">2L2B", data, 16)
    key, animated, whole = b"", False, False
    for kind, position in _walk_chunks(data):
        if kind == b"IEND":
            # It may hold data, or a wrong sum: whether that counts is the decoder's to say.
            whole = (
                position + int.from_bytes(data[position - 8 : position - 4], "big") < len(data) - 3
            )
            break
        animated |= kind == b"acTL"
        if kind == b"tRNS":
            key = data[position : position + 2]
    if not whole:
        raise PictureError(f"{name}: damaged or cut short: a PNG without its end")
    gray_key = None
    if colour == _PNG_GRAY and key:
        # 11.3.1.1: the bits above the depth don't count.  Below 8 bits, OpenCV spreads 0..255.
        spread = {1: 255, 2: 85, 4: 17}.get(depth, 1)
        gray_key = int.from_bytes(key, "big") % (1 << depth) * spread
    alpha = colour in _PNG_ALPHA or bool(key)
    return Header((width, height), alpha=alpha, gray_key=gray_key, is_animated=animated)


def _walk_chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each chunk's type, and where its data begin."""
    position = len(PNG_SIGNATURE)
    for _ in range(MAX_PARTS):
        if position >= len(data):
            return
        yield data[position + 4 : position + 8], position + 8
        position += 12 + int.from_bytes(data[position : position + 4], "big")


def _read_jpeg(data: bytes, name: str) -> Header:
    frame, scans, end = None, 0, 0
    for marker, position in _walk_markers(data):
        if marker == _EOI:
            end = position
            break
        if scans == 0 and marker in _FOREIGN_FRAMES:
            raise PictureError(f"{name}: {_FOREIGN_FRAMES[marker]}; {_ORDINARY}")
        if marker in _RESERVED and not (scans and _ends_soon(data, position)):
            raise PictureError(
                f"{name}: damaged: ff {marker:02x} at byte {position - 2} can't stand in a JPEG"
            )
        if marker in _FRAMES and frame is None:  # libjpeg takes the first one, and no other
            frame = marker, position
        scans += marker == _SOS
        if scans > MAX_SCANS:
            raise PictureError(
                f"{name}: a JPEG of more than {MAX_SCANS} scans would take too long to decode"
            )
    if frame is None:
        what = "damaged: a JPEG without a frame header" if end or scans else _NO_HEADER
        raise PictureError(f"{name}: {what}")
    if not end:
        raise PictureError(f"{name}: damaged or cut short: a JPEG without its end")
    return Header(_read_frame(data, frame, end, scans, name), is_jpeg=True)


def _walk_markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker that stands at the top, and where its segment begins."""
    position = len(b"\xff\xd8")
    for _ in range(MAX_PARTS):
        found = _JPEG_MARKER.search(data, position)
        if found is None:
            return
        position = found.end()
        marker = data[position - 1]
        yield marker, position
        if marker not in _RESERVED:
            position += max(2, int.from_bytes(data[position : position + 2], "big"))


def _ends_soon(data: bytes, position: int) -> bool:
    # OpenCV passes over a little junk behind the last scan.  More of it lies where a scan was cut
    # or overwritten, and is decoded to noise or filled with one colour.
    return data.find(_END_MARKER, position, position + 64) >= 0


def _read_frame(
    data: bytes, frame: tuple[int, int], end: int, scans: int, name: str
) -> tuple[int, int]:
    """Return width and height of a JPEG, or refuse it by its frame header: T.81, B.2.2."""
    marker, position = frame
    body = data[position + 2 : position + 8].ljust(6, b"\x00")
    precision, height, width, components = struct.unpack(">B2HB", body)
    unusual = ""
    if precision in (12, 16):
        unusual = f"a {precision}-bit JPEG"
    elif components not in (1, 3, 4):
        unusual = f"a JPEG of {components} components, not 1, 3 or 4"
    elif width and not height and any(each == _DNL for each, _ in _walk_markers(data[:end])):
        unusual = "a JPEG that tells its height behind the picture (DNL)"
    if unusual:
        raise PictureError(f"{name}: {unusual}; {_ORDINARY}")
    if marker < _ARITHMETIC and end * _JPEG_PIXELS_PER_BYTE < width * height:
        raise PictureError(
            f"{name}: damaged or cut short: {end} bytes can't hold the "
            f"{width} x {height} pixels that its header says"
        )
    if scans * width * height > MAX_SCANNED_PIXELS:
        raise PictureError(
            f"{name}: a JPEG of {width} x {height} in {scans} scans would take too long to "
            f"decode; the limit is {MAX_SCANNED_PIXELS} pixels times scans"
        )
    return width, height
