"""An object store on loopback that speaks as much of S3 as Arrow asks for, and fails on demand."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator


class Store:
    """What is in the one bucket, ``archive``, by key; and what goes wrong.

    A key that has one of these words in it is ``slow`` (silent for half a second), ``cut`` (the
    connection ends half way), ``failing`` (500, always), ``flaky`` (503, once), ``forbidden``
    (403), ``large`` (it says that it has 100 MB).
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.asked: Counter[str] = Counter()
        """How often an object's bytes were asked for, by key."""
        self.address = ""
        """Behind an ``s3://`` address: which store is meant."""


def _chunks(stream: IO[bytes] | io.BufferedIOBase) -> bytes:
    data = b""
    while size := int(stream.readline().partition(b";")[0], 16):
        data += stream.read(size)
        stream.readline()
    while stream.readline().strip():  # trailers
        pass
    return data


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._get(body=False)

    def do_GET(self) -> None:
        self._get(body=True)

    def do_POST(self) -> None:
        """Begin an upload in parts, or end it; only then the object is there."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "uploadId" in urlsplit(self.path).query:
            parts = self.store.uploads.pop(self._key())
            self.store.objects[self._key()] = b"".join(parts[number] for number in sorted(parts))
            kind = "CompleteMultipartUploadResult"
        else:
            self.store.uploads[self._key()] = {}
            kind = "InitiateMultipartUploadResult"
        text = f"<{kind}><UploadId>1</UploadId><ETag>1</ETag></{kind}>"
        self._send(200, text.encode(), {"Content-Type": "application/xml"})

    def do_PUT(self) -> None:
        sent = self.rfile
        if self.headers.get("Transfer-Encoding") == "chunked":
            sent = io.BytesIO(_chunks(self.rfile))
        data = sent.read(int(self.headers.get("Content-Length", -1)))
        if "x-amz-decoded-content-length" in self.headers:  # aws-chunked: the same, with hashes
            data = _chunks(io.BytesIO(data))
        query = parse_qs(urlsplit(self.path).query)
        if "partNumber" in query:
            self.store.uploads[self._key()][int(query["partNumber"][0])] = data
        else:
            self.store.objects[self._key()] = data
        self._send(200, b"", {"ETag": '"1"'})

    def do_DELETE(self) -> None:
        self.store.objects.pop(self._key(), None)
        self._send(204, b"")

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path.removeprefix("/archive").lstrip("/"))

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _list(self, query: dict[str, list[str]]) -> None:
        prefix = query.get("prefix", [""])[0]
        most = int(query.get("max-keys", ["1000"])[0])
        keys = sorted(key for key in self.store.objects if key.startswith(prefix))
        start = int(query.get("continuation-token", ["0"])[0])
        page, more = keys[start : start + most], len(keys) > start + most
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.store.objects[key])}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in page
        )
        token = f"<NextContinuationToken>{start + most}</NextContinuationToken>" * more
        text = (
            f"<ListBucketResult><Name>archive</Name><Prefix>{escape(prefix)}</Prefix>"
            f"<KeyCount>{len(page)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{token}{entries}</ListBucketResult>"
        )
        self._send(200, text.encode(), {"Content-Type": "application/xml"})

    def _get(self, *, body: bool) -> None:
        key, query = self._key(), parse_qs(urlsplit(self.path).query)
        data = self.store.objects.get(key)
        if not key and body:
            self._list(query)
        elif not key:
            self._send(200, b"", {"x-amz-bucket-region": "us-east-1"})
        elif data is None:
            self._send(404, b"")
        elif body:
            self._give(key, data)
        else:
            size = 100 << 20 if "large" in key else len(data)
            self._send(200, b"", {"Content-Length": str(size), "ETag": '"1"'})

    def _give(self, key: str, data: bytes) -> None:
        self.store.asked[key] += 1
        for word, status in (("failing", 500), ("forbidden", 403), ("flaky", 503)):
            if word in key and (word != "flaky" or self.store.asked[key] == 1):
                self._send(status, b"")
                return
        asked = self.headers.get("Range", "bytes=0-").removeprefix("bytes=")
        first, last = (int(place) if place else len(data) for place in asked.split("-"))
        part = data[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Length", str(len(part)))
        span = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        self.send_header("Content-Range", span)
        self.end_headers()
        half = len(part) // 2
        self.wfile.write(part[:half])
        if "cut" in key:
            self.close_connection = True
            return
        if "slow" in key:
            self.wfile.flush()
            time.sleep(0.5)
        self.wfile.write(part[half:])


@contextmanager
def s3_server() -> Iterator[Store]:
    """Start a store on a free port of loopback."""
    store = Store()
    handler = type("Handler", (_Handler,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    port = server.server_port
    store.address = f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
