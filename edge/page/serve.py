"""Runs the page on a thread beside the loop, which doesn't notice whatever happens to it."""

from __future__ import annotations

import logging
import re
import secrets
import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import segno
import uvicorn

from edge.cli.terminal import say
from edge.errors import OutputError
from edge.files import open_regular, printable, write_atomically

from .app import Page
from .connection import Connection
from .guard import hash_token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp

    from edge.analyzer import Analyzer
    from edge.camera.loop import SnapshotLoop
    from edge.camera.store import Store
    from edge.doctor.finding import Finding

    from .live import Live

_LOG = logging.getLogger("edge.camera")
_SEND_BYTES = 131_072


def serve(
    address: tuple[str, int],
    loop: SnapshotLoop,
    analyzer: Analyzer,
    store: Store | None,
    live: Live,
    *,
    doctor: Callable[[], Sequence[Finding]] = tuple,
    names: Sequence[str] = (),
    token_file: str | None = None,
) -> tuple[str, int]:
    """Start the page, say where it is, and return its address and port.

    A token is asked for if the address isn't this machine's own loopback, or there is a file.

    Args:
        address: where it listens, an address and a port; port 0 is any that is free.
        loop: whose camera is looked through; its viewer is ``live``.
        analyzer: answers for uploads.
        store: the loop's own; None keeps nothing.
        live: what the loop shows its frames.
        doctor: finds what is wrong with this machine, for a person to read.
        names: host names that lead to this machine, besides its own.
        token_file: where the hash of the token is kept for the next start.

    Raises:
        OutputError: it can't listen there, or the file can't be read or written.

    """
    host, port = address
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise OutputError(f"--page {host}:{port}: {error.strerror or error}") from error
    # What lies in the system's buffers is memory, and for one who looks it is the past.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
    host, port = listener.getsockname()[:2]
    loopback = host.startswith("127.") or host == "::1"
    token, token_hash = None, None
    if token_file is not None or not loopback:
        token, token_hash = _token(token_file)
    here = socket.gethostname()
    own = ("localhost", here, f"{here}.local", *names)
    _tell(_reachable(host), port, token)
    app = Page(loop, analyzer, store, live, doctor).app(own, token_hash)
    threading.Thread(target=_run, args=(app, listener), name="page", daemon=True).start()
    return host, port


def _run(app: ASGIApp, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="critical",
        limit_concurrency=256,
        h11_max_incomplete_event_size=16_384,
    )
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except Exception as error:  # noqa: BLE001 - whatever it is, the loop goes on
        _LOG.warning("the page has ended: %s: %s", type(error).__name__, error)


def _token(file: str | None) -> tuple[str | None, bytes]:
    """Return a new token and its hash, or the hash alone that a file has."""
    token = secrets.token_urlsafe(16)
    if file is None:
        return token, hash_token(token)
    try:
        with suppress(FileNotFoundError), open_regular(file) as stream:
            kept = stream.read(100).strip()
            if not re.fullmatch(rb"[0-9a-f]{64}", kept):
                raise OutputError(f"{printable(file)}: no token's hash: delete it for a new token")
            return None, bytes.fromhex(kept.decode())
        write_atomically(file, hash_token(token).hex().encode() + b"\n")
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise OutputError(f"{printable(file)}: {error.strerror}") from error
    return token, hash_token(token)


def _tell(host: str, port: int, token: str | None) -> None:
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    if token is None:
        say(f"look at it in a browser: {address}")
        return
    # Behind the number sign nothing is sent, and so nothing gets into a log.
    address += f"login#{token}"
    say(f"look at it in a browser, and show nobody the address: {address}")
    if sys.stderr.isatty():
        segno.make(address).terminal(sys.stderr, compact=True)


def _reachable(host: str) -> str:
    """Return the address that others know this machine by, where it listens on all."""
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared
        return host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        # Nothing is sent: the system only says by which of its addresses it would be.
        probe.connect(("2001:db8::1" if ":" in host else "192.0.2.1", 9))
        return str(probe.getsockname()[0])
    return socket.gethostname()
