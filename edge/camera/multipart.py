"""The pictures of a multipart stream (RFC 2046, 5.1), as cameras send it rather than as it says.

Cameras leave out the first boundary, quote it or count its dashes in, end lines with LF alone,
leave lengths out or get them wrong, or send one JPEG behind the other.  So a picture begins where
one is seen to: compressed data can't hold a JPEG's start (ITU-T T.81, B.1.1.5).  It ends after the
length that stands before it or, without one, at the next boundary or the next start, or with its
own end marker if nothing follows.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from edge.errors import CameraError
from edge.limits import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

_HEAD_MOST = 64 << 10
_START = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n")
_START_MOST = 8
_END = re.compile(rb"(?:\xff\xd9|IEND\xaeB`\x82)[\r\n\0]*\Z")
_NEXT = re.compile(rb"\xff\xd9[\r\n\0]*(?=\xff\xd8\xff)")
_PADDING_MOST = 64
_LENGTH = re.compile(
    # The picture must follow at once, or where the counting begins isn't known.
    rb"^content-length[ \t]*:[ \t]*(\d{1,9})[ \t]*\r?\n(?:[^\r\n]+\r?\n)*\r?\n\Z",
    re.IGNORECASE | re.MULTILINE,
)
_LINE = re.compile(rb"^--[^\r\n]+", re.MULTILINE)


class Multipart:
    """Takes pictures from a stream, one after the other.

    Args:
        read: returns some bytes, as they come; none at the end of the stream.
        quiet: tells whether nothing more comes just now.
        boundary: as the stream's Content-Type has it; empty if it has none.

    """

    def __init__(
        self, read: Callable[[], bytes], quiet: Callable[[], bool], boundary: bytes = b""
    ) -> None:
        self._read, self._quiet = read, quiet
        self._boundary = b"\n--" + (boundary.strip(b'" \t').lstrip(b"-") or b"\r\n")
        self._buffer = bytearray()
        self._ended = False
        self.began_s = 0.0
        """When the last picture's first bytes came, on Python's monotonic clock, in seconds."""

    def next(self) -> bytes | None:
        """Return the bytes of the next JPEG or PNG; None where the stream ends.

        Raises:
            CameraError: a picture is larger than any that is decoded.

        """
        head = self._skip_to_start()
        if head is None:
            return None
        size = _length(head)
        lines = _LINE.findall(head)
        if lines:
            self._boundary = b"\n" + lines[-1]
        end = self._counted(size) if size else self._delimited()
        picture = bytes(self._buffer[:end])
        del self._buffer[:end]
        return picture

    def is_over(self) -> bool:
        """Tell whether no other picture follows; may take what comes just now."""
        if not self._quiet():
            self._more()
        return self._ended and _START.search(self._buffer) is None

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
        self.began_s = time.monotonic()
        head = bytes(self._buffer[max(0, match.start() - _HEAD_MOST) : match.start()])
        del self._buffer[: match.start()]
        return head

    def _counted(self, size: int) -> int:
        while len(self._buffer) < size and self._more():
            pass
        return size

    def _delimited(self) -> int:
        searched = 1
        while True:
            ends = [end for end in (self._buffer.find(self._boundary, searched),) if end >= 0]
            if match := _NEXT.search(self._buffer, searched):
                ends.append(match.end())
            if ends:
                return min(ends)
            if _END.search(self._buffer, searched) and self._quiet():
                return len(self._buffer)
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


def _length(head: bytes) -> int:
    """Return the length that a part's header states; 0 if none can be used."""
    match = _LENGTH.search(head)
    return min(int(match[1]), MAX_BYTES + 1) if match else 0
