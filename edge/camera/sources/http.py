"""Reads a camera by HTTP: a stream of JPEGs, or one JPEG for each request.

The bytes of each picture pass through our hands, and so through the same checks as a file.  Of a
stream only the newest picture's bytes are kept, and only those that are wanted are decoded.
"""

from __future__ import annotations

import http.client
import re
import select
import time
from typing import TYPE_CHECKING

from edge.camera.interfaces import Camera
from edge.errors import CameraError
from edge.files import printable
from edge.picture.decode import decode
from edge.picture.header import JPEG_START, PNG_SIGNATURE

from .address import parse, shown
from .multipart import Multipart
from .opencv import OpenCVCamera
from .request import Requester

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WARMUP = 10
_CHUNK = 64 << 10
_QUIET_S = 0.1
"""A picture that nothing follows for so long is whole."""
_DRAIN_S = 0.1
"""The longest that one grab goes on to a newer picture, where more has come already."""
_NEW_S = 1.0
"""The picture that came with the opening is a frame, too, while it is no older than this."""
_PICTURES = (
    *("image/jpeg", "image/jpg", "image/pjpeg", "image/png"),
    *("image/jpe", "image/x-jpeg", "application/jpeg", "application/force-download"),
)
_SHORT_S = 10.0
"""A camera that ends its stream sooner isn't connected to all the time."""
_UNKNOWN = (
    *("", "application/octet-stream", "binary/octet-stream", "image/*"),
    *("image/mjpeg", "video/mjpeg", "video/x-mjpeg", "video/x-motion-jpeg"),
)
_ELSE = "give the address of a JPEG stream or snapshot: the camera's manual has it"
_DATA = re.compile(rb"\s*(?:[{\[]|<\?xml|<CGI_|[\w.]+=)")
_LOGIN = re.compile(
    # Foscam's CGI manual: -2 is a wrong user or password, -3 is access denied.
    rb"login|logged|passw|unauthori|not auth|rspCode|<result>-[23]</result>",
    re.IGNORECASE,
)
_PAGES = ("text/html", "application/xhtml+xml")
_TEXTS = ("application/json", "application/xml")


class HttpCamera(Camera):
    """A camera behind an ``http://`` or ``https://`` address.

    What it answers with decides: a multipart stream is drained all the time, a single picture is
    fetched anew for each frame, anything else (MP4, FLV, HLS) is left to FFmpeg.  Proxies are not
    used, redirects are followed to HTTP only, and the password stays with the host it was given
    for.  An answer, and a whole picture, may take ``timeout_s`` seconds.
    """

    fixed_size = True

    def __init__(self, source: str, *, timeout_s: float = 10.0) -> None:
        self.name = printable(shown(source))
        self.live, self.warmup = True, _WARMUP
        self._source, self._address = source, parse(source)
        self._requester = Requester(self.name, self._address, timeout_s)
        self._timeout_s = timeout_s
        self._deadline = 0.0
        self._response: http.client.HTTPResponse | None = None
        self._stream: Multipart | None = None
        self._other: OpenCVCamera | None = None
        self._data: bytes | None = None
        self._ahead = b""
        self._arrived_s = 0.0
        self._connected_s = 0.0
        self._given = self._short = False

    def open(self) -> None:
        """Connect and look what there is; raise a :class:`CameraError` that tells it apart."""
        self._given = self._short = False
        self._fetch()
        self.warmup = _WARMUP if self.live else 0

    def grab(self) -> bool:
        """Move on to the newest picture that came; where a stream ends, connect anew."""
        if self._other is not None:
            return self._other.grab()
        if self._stream is not None:
            if not self._grab_newest(self._stream):
                self._short = time.monotonic() - self._connected_s < _SHORT_S
                self._fetch()
                self._given = True
            return True
        # The picture that the opening gave is a frame as well, while it is new.
        if self._given or time.monotonic() - self._arrived_s > _NEW_S:
            self._fetch()
        self._given = True
        return True

    def arrived_s(self) -> float | None:
        """Return when the picture had come whole; with FFmpeg that isn't known."""
        return self._arrived_s if self._other is None else None

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Decode the picture as a file is decoded; raise a PictureError if it is damaged."""
        if self._other is not None:
            return self._other.retrieve()
        if self._data is None:
            return None
        picture = decode(self._data, self.name)
        self.warnings = picture.warnings
        return picture.image_bgr

    def close(self) -> None:
        """Disconnect."""
        if self._other is not None:
            self._other.close()
        if self._response is not None:
            self._response.close()
        self._response = self._stream = self._other = self._data = None
        self._ahead, self.warnings = b"", ()

    def _fetch(self) -> None:
        """Send a request and see what it gives: a stream, a picture, or something for FFmpeg."""
        self.close()
        self._deadline = time.monotonic() + self._timeout_s
        with self._requester.explained():
            self._response = self._requester.send()
            self._connected_s = time.monotonic()
            kind = self._kind()
            self._refuse_text()
            boundary = str(self._response.headers.get_param("boundary", ""))
            stream = Multipart(self._read, self._is_quiet, boundary.encode("latin-1", "replace"))
            multipart = kind.startswith("multipart/")
            if multipart or kind in _PICTURES:
                self._data = stream.next()
                self._arrived_s = stream.came_s
                if self._data is None:
                    raise CameraError(
                        f"{self.name}: the answer holds no JPEG or PNG picture", _ELSE
                    )
                # A stream of one part, or one that soon ends, is a picture for each request.
                self.live = multipart and not self._short and not stream.is_over()
                if self.live:
                    self._stream = stream
                else:
                    self._response.close()  # small cameras serve one at a time
                return
        if kind in _PAGES:
            raise CameraError(
                f"{self.name}: a web page, not a picture",
                "give the address of the stream or snapshot itself, such as /stream or /capture: "
                "the camera's manual has it",
            )
        if kind.startswith(("text/", "image/")) or kind in _TEXTS:
            raise CameraError(f"{self.name}: {printable(kind)}, not a JPEG or PNG picture", _ELSE)
        self._response.close()
        self.live = True
        self._other = OpenCVCamera(self._source, timeout_s=self._timeout_s)
        self._other.open()

    def _kind(self) -> str:
        """Return the media type; of an answer that doesn't tell, what its first bytes say."""
        assert self._response is not None
        headers = self._response.headers
        kind = headers.get_content_type() if "Content-Type" in headers else ""
        if self._address.path.partition("?")[0].endswith(".m3u8"):
            return "application/vnd.apple.mpegurl"
        if kind not in _UNKNOWN and kind.startswith(("multipart/", "video/")):
            return kind
        self._ahead = self._read()
        starts = self._ahead.startswith((JPEG_START, PNG_SIGNATURE))
        if starts and ("Content-Length" in headers or kind in _PICTURES):
            return "image/jpeg"
        inside = kind in _UNKNOWN and JPEG_START in self._ahead
        if starts or inside or self._ahead.lstrip().startswith(b"--"):
            return "image/jpeg" if "Content-Length" in headers else "multipart/x-mixed-replace"
        if re.search(rb"<html|<!doctype html", self._ahead[:1024], re.IGNORECASE):
            return "text/html"
        return kind

    def _refuse_text(self) -> None:
        """Raise an error for a short answer in words, or none at all, whatever its type is."""
        assert self._response is not None
        if self._response.status == http.HTTPStatus.NO_CONTENT or (
            not self._ahead and self._response.headers.get("Content-Length") == "0"
        ):
            raise CameraError(
                f"{self.name}: the answer is empty", f"start the camera again, or {_ELSE}"
            )
        if _DATA.match(self._ahead) and _LOGIN.search(self._ahead[:4096]):
            raise CameraError(
                f"{self.name}: the camera refuses: it asks for a login instead of giving a picture",
                "check the user and the password in the query of its address, or put them in front:"
                " SCHEME://USER:PASSWORD@HOST/PATH",
            )

    def _read(self) -> bytes:
        assert self._response is not None
        ahead, self._ahead = self._ahead, b""
        if ahead:
            return ahead
        late = CameraError(
            f"{self.name}: no whole picture came within {self._timeout_s:g} s",
            "a slow camera needs a longer --read-timeout",
        )
        if time.monotonic() > self._deadline:
            raise late
        try:
            return self._response.read1(_CHUNK)
        except TimeoutError:
            raise late from None
        except http.client.IncompleteRead as error:  # cut off: what came is judged by its bytes
            return error.partial

    def _is_quiet(self, seconds: float = _QUIET_S) -> bool:
        assert self._response is not None
        if self._response.isclosed():
            return False  # the next read tells that it is the end
        poll = select.poll()
        poll.register(self._response.fileno(), select.POLLIN)
        return not poll.poll(seconds * 1e3)

    def _grab_newest(self, stream: Multipart) -> bool:
        self._deadline = time.monotonic() + self._timeout_s
        until = time.monotonic() + _DRAIN_S
        grabbed = False
        with self._requester.explained():
            while (picture := stream.next()) is not None:
                self._data, self._arrived_s, grabbed = picture, stream.came_s, True
                if self._is_quiet(0.0) or time.monotonic() > until:
                    break
        return grabbed
