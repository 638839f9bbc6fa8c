"""Downloads weights within a deadline: from Google Drive by gdown, from https by urllib.

gdown follows a redirect to http too, and its errors show whole addresses: so it does Drive only.
"""

from __future__ import annotations

import io
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

from convert.errors import FetchError
from edge.cli.terminal import Progress

from .file import MAX_BYTES

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from .source import Source

Download = Callable[..., None]
"""Like the two here.  It gives up after a silence of ``timeout_s`` and, where it can, once
``cancel`` is set; any exception means that it failed.  It runs in a thread of its own."""

TOTAL_FACTOR = 20
"""A download may take this many times the time-out of a silence, and then is given up."""


_CHUNK = 1 << 16
_POLL_S = 0.05


def fetch(source: Source, download: Download, timeout_s: float) -> bytes:
    """Return what a download gives, or give it up.

    Args:
        source: where it is.
        download: how to get it.
        timeout_s: how long the other side may be silent; the whole download may take
            :data:`TOTAL_FACTOR` times that.

    Raises:
        FetchError: it failed, or took too long.

    """
    # A look-up of a host name has no time-out, and a byte now and then defeats that of a socket:
    # only a thread that can be left behind keeps the deadline.
    cancel = threading.Event()
    sink = Sink(cancel)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            download(source.argument, sink, timeout_s=timeout_s, cancel=cancel)
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            failures.append(error)

    worker = threading.Thread(target=work, name="fetch-weights", daemon=True)
    progress, start = Progress("weights: bytes"), time.monotonic()
    worker.start()
    try:
        while worker.is_alive():
            worker.join(_POLL_S)
            progress.update(sink.tell())
            taken = time.monotonic() - start
            if worker.is_alive() and taken > TOTAL_FACTOR * timeout_s:
                raise FetchError(
                    f"{source.address}: given up after {taken:.0f} s and {sink.tell():,} bytes;"
                    f" try again later, or {source.by_hand}"
                )
    finally:
        cancel.set()
        progress.clear()
    if failures and not isinstance(failures[0], Exception):
        raise failures[0]
    if failures:
        raise FetchError(_failure(source, failures[0])) from failures[0]
    return sink.getvalue()


def _failure(source: Source, error: BaseException) -> str:
    if isinstance(error, ImportError):
        return (
            f"{source.address}: gdown is needed for Drive: pip install gdown; or {source.by_hand}"
        )
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        text = str(error.reason)
    else:
        text = str(error)
    text = " ".join(text.replace(source.argument, source.address).split())
    if " " not in text:  # a KeyError, for one, says only its key
        text = f"{type(error).__name__} {text}".rstrip()
    host = urllib.parse.urlsplit(source.address).hostname
    return (
        f"{source.address}: could not be fetched ({text[:240]}); this needs the internet, "
        f"{host} at least: try again, or {source.by_hand}"
    )


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
