"""The two ways to download weights: Google Drive through gdown, and https through urllib."""

from __future__ import annotations

import io
import urllib.error
import urllib.parse
import urllib.request
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol

from .weights import MAX_BYTES

if TYPE_CHECKING:
    import http.client
    import threading

    from _typeshed import ReadableBuffer

_CHUNK = 1 << 16


class Download(Protocol):
    """Fetch ``source`` (a Drive id or an https address) into ``stream``, from its start.

    It gives up after a silence of ``timeout_s`` and, where it can, once ``cancel`` is set.
    Any exception means that it failed.  It runs in a thread of its own.
    """

    def __call__(
        self,
        source: str,
        stream: BinaryIO,
        *,
        timeout_s: float,
        cancel: threading.Event,
    ) -> None:
        """Fetch ``source`` into ``stream``."""


class Sink(io.RawIOBase):
    """A file to write to that ends a download which is too large or was given up.

    It lies in memory: at most MAX_BYTES, and the reader of the weights holds them there too.
    """

    def __init__(self, cancel: threading.Event) -> None:
        super().__init__()
        self._cancel = cancel
        self._chunks: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Keep a piece.

        Raises:
            InterruptedError: the download was given up.
            OverflowError: it has become too large.

        """
        if self._cancel.is_set():
            message = "given up"
            raise InterruptedError(message)
        piece = bytes(data)
        self.size += len(piece)
        if self.size > MAX_BYTES:
            self._chunks.clear()
            message = f"it is larger than {MAX_BYTES >> 20} MiB, so not this network's weights"
            raise OverflowError(message)
        self._chunks.append(piece)
        return len(piece)

    def getvalue(self) -> bytes:
        """Return all that was written."""
        return b"".join(self._chunks)


class HttpsOnlyRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects as urllib does, but never to an address that is not https."""

    def redirect_request(  # noqa: D102, PLR0917 - inherited
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        parts = urllib.parse.urlsplit(newurl)
        if parts.scheme.lower() != "https":
            message = f"it redirects to {parts.scheme}://{parts.hostname}, which is not https"
            raise urllib.error.URLError(message)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download_https(
    source: str,
    stream: BinaryIO,
    *,
    timeout_s: float,
    cancel: threading.Event,
    opener: urllib.request.OpenerDirector | None = None,
) -> None:
    """Fetch an https address; a :class:`Download`.

    Raises:
        OSError: the server can't be reached, refuses, is silent for ``timeout_s``, redirects to
            anything but https, or sends less than it announced.

    """
    if opener is None:
        opener = urllib.request.build_opener(HttpsOnlyRedirects)
    with opener.open(source, timeout=timeout_s) as response:
        announced = response.headers.get("Content-Length", "")
        expected = int(announced) if announced.isdecimal() else None
        if expected is not None and expected > MAX_BYTES:
            message = f"it has {expected >> 20} MiB, more than the {MAX_BYTES >> 20} allowed"
            raise OSError(message)
        received = 0
        # read1, not read: each piece is passed on as it comes, so that giving up ends this too.
        while not cancel.is_set() and (chunk := response.read1(_CHUNK)):
            stream.write(chunk)
            received += len(chunk)
    # http.client doesn't mind when a connection ends early.
    if expected is not None and received != expected:
        message = f"the connection ended after {received} of {expected} bytes"
        raise ConnectionError(message)


def download_drive(
    source: str,
    stream: BinaryIO,
    *,
    timeout_s: float,
    cancel: threading.Event,
) -> None:
    """Fetch a file of Google Drive by its id, with gdown; a :class:`Download`.

    Raises:
        Exception: whatever gdown and what it is built on raise.

    """
    import gdown

    # A stream of ours: given a path, gdown leaves a partial file behind when it fails.
    gdown.download(
        id=source,
        output=stream,
        quiet=True,
        use_cookies=False,
        timeout=timeout_s,
        cancel=cancel,
    )
