"""Which broker, and how to get in: the address, what is secret, and whom to believe."""

from __future__ import annotations

import os
import re
import socket
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from edge.errors import LesionEdgeError
from edge.files import open_regular, printable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_ADDRESS = re.compile(r"(mqtts?)://(\[[\da-fA-F:.]+\]|[^\W_][\w.-]*)(?::(\d{1,5}))?(?:/(.*))?")
_USER, _PASSWORD = "LESION_EDGE_MQTT_USER", "LESION_EDGE_MQTT_PASSWORD"
_LOGIN_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker, and the place in it that is this device's."""

    host: str
    port: int
    prefix: str
    """What all topics of this device begin with, without a slash at the end."""
    tls: ssl.SSLContext | None = None
    """How its certificate is checked; None: nothing is encrypted."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The address as it may be seen by anybody."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"mqtt{'s' if self.tls else ''}://{host}:{self.port}/{self.prefix}"

    @property
    def device(self) -> str:
        """What tells this device from others, to the broker and to Home Assistant: 23 letters."""
        return f"edge{sha256(self.prefix.encode()).hexdigest()[:19]}"


def broker(options: argparse.Namespace) -> Broker:
    """Return the broker that the options ask for.

    Raises:
        LesionEdgeError: the address is none, or a file can't be read or isn't what it should be.

    """
    address = options.mqtt
    if "@" in address:  # what is before it is never repeated
        raise LesionEdgeError(
            "--mqtt: an address has no user and no password, which 'ps' would show:"
            f" --mqtt-login FILE, or {_USER} and {_PASSWORD} in the environment"
        )
    match = _ADDRESS.fullmatch(address)
    port = int((match and match[3]) or 0)
    prefix = ((match and match[4]) or f"lesion-edge/{socket.gethostname()}").strip("/")
    if match is None or port > 65535 or re.search(r"[+#\0]|^\$|^$|//", prefix):
        raise LesionEdgeError(
            f"--mqtt {printable(address)}: write mqtts://HOST/PREFIX or mqtts://HOST:PORT/PREFIX;"
            " a PREFIX has no + and no #"
        )
    encrypted = match[1] == "mqtts"
    user, password = _login(options.mqtt_login)
    return Broker(
        match[2].strip("[]"),
        port or (8883 if encrypted else 1883),
        prefix,
        _tls(options, encrypted=encrypted),
        user,
        password,
    )


def _login(file: str | None) -> tuple[str | None, str | None]:
    if file is None:
        return os.environ.get(_USER), os.environ.get(_PASSWORD)
    with _naming("login", file), open_regular(file) as stream:
        lines = stream.read(_LOGIN_MOST).decode().splitlines()
    if not 1 <= len(lines) <= 2 or not lines[0]:
        what = "the user goes into its first line, the password into its second"
        raise LesionEdgeError(f"--mqtt-login {printable(file)}: {what}")
    return lines[0], (lines[1] if len(lines) == 2 else None)


def _tls(options: argparse.Namespace, *, encrypted: bool) -> ssl.SSLContext | None:
    files = {name: getattr(options, f"mqtt_{name}") for name in ("ca", "cert", "key")}
    given = {name: file for name, file in files.items() if file is not None}
    if not encrypted:
        if given:
            raise LesionEdgeError(f"--mqtt-{next(iter(given))} is for mqtts://HOST/PREFIX alone")
        return None
    if "key" in given and "cert" not in given:
        raise LesionEdgeError("--mqtt-key needs the certificate that it is of: --mqtt-cert FILE")
    for name, file in given.items():  # OpenSSL doesn't say which of them it can't read
        with _naming(name, file):
            open_regular(file).close()
    with _naming("ca", given.get("ca", "")):
        context = ssl.create_default_context(cafile=given.get("ca"))
    if "cert" in given:
        with _naming("cert", given["cert"]):  # without a password, one is asked for at a terminal
            context.load_cert_chain(given["cert"], given.get("key"), password="")
    return context


@contextmanager
def _naming(name: str, file: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise LesionEdgeError(f"--mqtt-{name} {printable(file)}: {_reason(error)}") from error


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return "not a PEM file as is needed here, or the key isn't that of the certificate"
    if isinstance(error, UnicodeDecodeError):
        return "not text"
    return (isinstance(error, OSError) and error.strerror) or str(error)
