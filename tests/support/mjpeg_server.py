"""A network camera on loopback, for tests and benchmarks: it answers each path as it is told.

Use it as ``with MjpegServer(stream=Stream([jpeg]), secret=Single([jpeg], user=("me", "pw"))) as
server``; ``server.url("stream")`` is then http://127.0.0.1:PORT/stream.
"""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.request import parse_http_list, parse_keqv_list

import cv2
import numpy as np

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from typing_extensions import Self

NONCE = "0123456789abcdef"


@dataclass
class Raw:
    """An answer as it is: a status, headers, and pieces of a body, each sent at once."""

    pieces: Iterable[bytes] = ()
    type: str | None = "multipart/x-mixed-replace; boundary=frame"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    user: tuple[str, str] | None = None
    """User and password that are asked for."""
    scheme: str = "Basic"
    """``Basic``, or ``Digest`` with ``MD5``, ``MD5-sess`` or ``SHA-256`` behind a space."""
    challenge: str = ""
    """What asks for the password, if not as it is usual."""

    def body(self) -> Iterator[bytes]:
        yield from self.pieces


@dataclass
class Stream(Raw):
    """A multipart stream: each picture of ``pieces`` a part, ``every_s`` seconds after the last."""

    every_s: float = 0.02
    head: str = "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"
    tail: str = "\r\n"

    def body(self) -> Iterator[bytes]:
        for picture in self.pieces:
            yield self.head.format(length=len(picture)).encode() + picture + self.tail.encode()
            time.sleep(self.every_s)


@dataclass
class Single(Raw):
    """One picture for each request: the next of ``pieces``."""

    type: str | None = "image/jpeg"

    def __post_init__(self) -> None:
        self._pictures = iter(self.pieces)

    def body(self) -> Iterator[bytes]:
        yield next(self._pictures)


class MjpegServer:
    """Answers ``/NAME`` with what is given as NAME, on a port of its own, until it is stopped."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, **answers: Raw) -> None:
        self.answers = answers
        self.requests: Counter[str] = Counter()
        self.headers: list[dict[str, str]] = []
        self.hang = threading.Event()
        self.port = 0
        self._tls = tls
        self._stopping = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, name: str = "stream", user: str = "") -> str:
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{user}{'@' if user else ''}127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        self._stopping.clear()
        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        if self._tls:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._stopping.set()
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.partition("?")[0].strip("/")
                server.requests[name] += 1
                server.headers.append(dict(self.headers))
                answer = server.answers.get(name) or Raw(type="text/plain", status=404)
                if not _is_allowed(answer, self):
                    answer = Raw(
                        type=None,
                        status=401,
                        headers={"WWW-Authenticate": answer.challenge or _challenge(answer.scheme)},
                    )
                self.send_response(answer.status)
                if answer.type is not None:
                    self.send_header("Content-Type", answer.type)
                for key, value in answer.headers.items():
                    self.send_header(key, value)
                self.end_headers()
                try:
                    for piece in answer.body():
                        while server.hang.is_set() and not server._stopping.is_set():
                            time.sleep(0.01)
                        if server._stopping.is_set():
                            return
                        self.wfile.write(piece)
                except OSError:  # it has enough
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        return Handler


class noise(Iterator[bytes]):  # noqa: N801 - used as a function is
    """Gives JPEGs of noise, each another, to as many threads as ask."""

    def __init__(self, width: int = 160, height: int = 120) -> None:
        self._shape = (height, width, 3)
        self._rng, self._lock = np.random.default_rng(), threading.Lock()

    def __next__(self) -> bytes:
        with self._lock:
            image = self._rng.integers(60, 200, self._shape, dtype=np.uint8)
        return cv2.imencode(".jpg", image)[1].tobytes()


def smooth(width: int, height: int) -> list[bytes]:
    """Return eight JPEGs of about a camera's size in bytes."""
    frames = []
    for seed in range(8):
        coarse = np.random.default_rng(seed).integers(60, 200, (45, 80, 3), dtype=np.uint8)
        frame = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        frames.append(cv2.imencode(".jpg", frame)[1].tobytes())
    return frames


def _challenge(scheme: str) -> str:
    name, _, algorithm = scheme.partition(" ")
    if name == "Basic":
        return 'Basic realm="camera"'
    return f'Digest realm="camera", nonce="{NONCE}", qop="auth", algorithm={algorithm}'


def _is_allowed(answer: Raw, request: Any) -> bool:
    if answer.user is None:
        return True
    given = request.headers.get("Authorization", "")
    user, password = answer.user
    if answer.scheme == "Basic":
        return bool(given == "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode())
    # RFC 7616, 3.4.1
    fields = parse_keqv_list(parse_http_list(given.removeprefix("Digest ")) if given else [])
    algorithm = answer.scheme.partition(" ")[2]
    name = {"MD5": "md5", "SHA-256": "sha256"}[algorithm.removesuffix("-sess")]

    def digest(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    first = digest(f"{user}:camera:{password}")
    if algorithm.endswith("-sess"):  # 3.4.2
        first = digest(f"{first}:{fields.get('nonce')}:{fields.get('cnonce')}")
    second = digest(f"GET:{request.path}")
    middle = ":".join(fields.get(key, "") for key in ("nonce", "nc", "cnonce", "qop"))
    return fields.get("response") == digest(f"{first}:{middle}:{second}")
