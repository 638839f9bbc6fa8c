"""Downloads weights: from Google Drive by gdown, from an https address by urllib.

gdown follows a redirect to http too, and its errors show whole addresses: so it does Drive only.
"""

from __future__ import annotations

import io
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from .weights import MAX_BYTES

if TYPE_CHECKING:
    import threading

    from _typeshed import ReadableBuffer

Download = Callable[..., None]
"""Like the two here.  It gives up after a silence of ``timeout_s`` and, where it can, once
``cancel`` is set; any exception means that it failed.  It runs in a thread of its own."""

_CHUNK = 1 << 16


class Sink(io.BytesIO):
    """Keeps what is downloaded in memory, and ends a download that is too large or given up."""

    def __init__(self, cancel: threading.Event) -> None:
        super().__init__()
        self._cancel = cancel

    def write(self, data: ReadableBuffer, /) -> int:
        """Keep a piece.

        Raises:
            InterruptedError: the download was given up.
            OverflowError: it has become too large.

        """
        if self._cancel.is_set():
            raise InterruptedError("given up")
        if self.tell() + memoryview(data).nbytes > MAX_BYTES:
            raise OverflowError(
                f"it is larger than {MAX_BYTES >> 20} MiB, so not this network's weights"
            )
        return super().write(data)


class HttpsOnlyRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects as urllib does, but never to an address that is not https."""

    def redirect_request(self, *request: Any) -> urllib.request.Request | None:
        """Return what to ask for next; the new address is the last argument, as in urllib."""
        parts = urllib.parse.urlsplit(request[-1])
        if parts.scheme.lower() != "https":
            raise urllib.error.URLError(
                f"it redirects to {parts.scheme}://{parts.hostname}, which is not https"
            )
        return super().redirect_request(*request)


def download_https(
    source: str,
    stream: BinaryIO,
    *,
    timeout_s: float,
    cancel: threading.Event,
    opener: urllib.request.OpenerDirector | None = None,
) -> None:
    """Fetch an https address into a stream.

    Raises:
        OSError: the server can't be reached, refuses, is silent for ``timeout_s``, redirects to
            anything but https, or sends less than it announced.

    """
    opener = opener or urllib.request.build_opener(HttpsOnlyRedirects)
    with opener.open(source, timeout=timeout_s) as response:
        announced = response.headers.get("Content-Length", "")
        expected = int(announced) if announced.isdecimal() else None
        if expected is not None and expected > MAX_BYTES:
            raise OSError(f"it has {expected >> 20} MiB, more than the {MAX_BYTES >> 20} allowed")
        received = 0
        # read1, not read: each piece is passed on as it comes, so that giving up ends this too.
        while not cancel.is_set() and (chunk := response.read1(_CHUNK)):
            stream.write(chunk)
            received += len(chunk)
    # http.client doesn't mind when a connection ends early.
    if expected is not None and received != expected:
        raise ConnectionError(f"the connection ended after {received} of {expected} bytes")


def download_drive(
    source: str, stream: BinaryIO, *, timeout_s: float, cancel: threading.Event
) -> None:
    """Fetch a file of Google Drive by its id into a stream.

    Raises:
        Exception: whatever gdown and what it is built on raise.

    """
    import gdown

    # Into memory: gdown's cached_download wants a home folder, and gdown leaves half a file behind
    # where it was given a path and fails.
    gdown.download(
        id=source, output=stream, quiet=True, use_cookies=False, timeout=timeout_s, cancel=cancel
    )
