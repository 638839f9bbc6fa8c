"""Finds the pictures in a multipart stream (RFC 2046, 5.1), as sloppy as cameras send it.

Cameras leave out the first boundary, quote it or count its dashes in, end lines with LF alone,
leave lengths out or get them wrong, or send one JPEG behind the other.  So a picture begins where
one is seen to: compressed data can't hold a JPEG's start (ITU-T T.81, B.1.1.5).  It ends with its
own end marker or, where that was lost, at the next boundary or the next start.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from edge.errors import CameraError
from edge.picture.limits import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD_MOST = 64 << 10
_START = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n")
_START_MOST = 8
_MARKER = re.compile(rb"\xff[^\0\xff\xd0-\xd7]")
_JPEG_START, _JPEG_END, _PNG_END = 0xD8, 0xD9, b"IEND\xaeB`\x82"
_NEXT = re.compile(rb"\xff\xd9[\r\n\0]*(?=\xff\xd8\xff)")
_PADDING_MOST = 64
_LINE = re.compile(rb"^--[^\r\n]+", re.MULTILINE)


class Multipart:
    """Takes pictures from a stream, one after the other.

    ``read`` returns some bytes, as they come, and none at the end; ``quiet`` tells whether nothing
    more comes just now.  The boundary is the Content-Type's; empty if it has none.
    """

    def __init__(
        self, read: Callable[[], bytes], quiet: Callable[[], bool], boundary: bytes = b""
    ) -> None:
        self._read, self._quiet = read, quiet
        self._boundary = b"\n--" + (boundary.strip(b'" \t').lstrip(b"-") or b"\r\n")
        self._buffer = bytearray()
        self._ended = False
        self.came_s = 0.0
        """When the last picture had come whole, on Python's monotonic clock, in seconds."""

    def next(self) -> bytes | None:
        """Return the bytes of the next JPEG or PNG; None where the stream ends.

        Raises:
            CameraError: a picture is larger than any that is decoded.

        """
        head = self._skip_to_start()
        if head is None:
            return None
        lines = _LINE.findall(head)
        if lines:
            self._boundary = b"\n" + lines[-1]
        end = self._find_end()
        self.came_s = time.monotonic()
        picture = bytes(self._buffer[:end])
        del self._buffer[:end]
        return picture

    def is_over(self) -> bool:
        """Tell whether no other picture follows; may take what comes just now."""
        while _START.search(self._buffer) is None:
            if self._ended:
                return True
            if len(self._buffer) > _HEAD_MOST or self._quiet():
                break
            self._more()
        return False

    def _skip_to_start(self) -> bytes | None:
        """Drop what lies before the next picture; return the end of it, which holds its header."""
        searched = 0
        while (match := _START.search(self._buffer, searched)) is None:
            searched = max(0, len(self._buffer) - _START_MOST)
            if searched > _HEAD_MOST:
                del self._buffer[: searched - _HEAD_MOST // 2]
                searched = _HEAD_MOST // 2
            if not self._more():
                return None
        head = bytes(self._buffer[max(0, match.start() - _HEAD_MOST) : match.start()])
        del self._buffer[: match.start()]
        return head

    def _find_end(self) -> int:
        searched, position = 1, 2
        while True:
            ends = [end for end in (self._buffer.find(self._boundary, searched),) if end >= 0]
            if match := _NEXT.search(self._buffer, searched):
                ends.append(match.end())
            position, is_end = _follow(self._buffer, position)
            if is_end:
                ends.append(position)
            if ends:
                return min(ends)
            searched = max(1, len(self._buffer) - len(self._boundary) - _PADDING_MOST)
            if not self._more():
                return len(self._buffer)

    def _more(self) -> bool:
        data = self._read()
        self._ended = not data
        self._buffer += data
        if len(self._buffer) > MAX_BYTES:
            raise CameraError(f"a picture larger than the limit of {MAX_BYTES} bytes")
        return bool(data)


def _follow(data: bytearray, position: int) -> tuple[int, bool]:
    """Go on through a picture from ``position``; return how far, and whether its end is there.

    In a JPEG from marker to marker, over segments by their lengths (T.81, B.1.1): a thumbnail in
    one of them has an end marker, too.
    """
    if data[:1] != b"\xff":
        end = data.find(_PNG_END, position)
        if end >= 0:
            return end + len(_PNG_END), True
        return max(position, len(data) - len(_PNG_END)), False
    while match := _MARKER.search(data, position):
        position, marker = match.start(), data[match.start() + 1]
        if marker == _JPEG_END:
            return position + 2, True
        if marker == _JPEG_START:  # the next picture: this one was cut
            return position, True
        if len(data) < position + 4:
            return position, False
        position += 2 + max(2, int.from_bytes(data[position + 2 : position + 4], "big"))
    return max(position, len(data) - 1), False
