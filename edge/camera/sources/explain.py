"""Says why a network camera gives nothing: each cause told apart, each with its own way out."""

from __future__ import annotations

import errno
import http.client
import os
import re
import socket
import ssl
from typing import TYPE_CHECKING
from urllib.error import URLError

from edge.errors import CameraError
from edge.files import printable

from .login import is_known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .address import Address

_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)


def explain_status(
    name: str, code: int, *, with_user: bool, challenges: Sequence[str] = ()
) -> CameraError:
    """Return the error for a status that an HTTP or RTSP server answered with.

    Its ``challenges`` are the kinds of login that it asks for (RFC 9110, 11.6.1).
    """
    reason = http.client.responses.get(code)
    problem = f"the camera answers with status {code}{f' ({reason})' if reason else ''}"
    fix = "check the address in its manual"
    if code in (401, 403, 407) and challenges and not any(map(is_known, challenges)):
        kinds = re.findall(r"^\w+", "\n".join(challenges), re.MULTILINE)
        named = f" ({', '.join(dict.fromkeys(kinds))})" if kinds else ""
        problem = f"the camera asks for a kind of login that isn't known{named}"
        fix = "choose Basic, or Digest with MD5 or SHA-256, in its settings"
    elif code in (401, 403, 407) and with_user:
        problem = f"the camera refuses this user and password ({code})"
        fix = "check both, and that this user may see the video; a few wrong tries may lock it"
    elif code in (401, 403, 407):
        problem = f"the camera asks for a user and a password ({code})"
        fix = "put them into the address: SCHEME://USER:PASSWORD@HOST/PATH"
    elif code in (404, 410, 454):
        problem = f"the camera has nothing at this address ({code})"
        fix = "look up the path of its stream or snapshot in its manual or settings"
    elif code in (429, 453) or code >= 500:
        problem = f"the camera is there but can't serve just now ({code})"
        fix = "close other programs that watch it, or start it again"
    return CameraError(f"{name}: {problem}", fix)


def explain_failure(name: str, address: Address, error: BaseException) -> CameraError:
    """Return the error for what opening a connection, or speaking over one, raised.

    Nothing of the exception's own text is in it: that may repeat the whole address.
    """
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    problem, fix = "the connection failed", "is the camera on, and in this network?"
    if isinstance(error, socket.gaierror):
        problem = "unknown host"
        fix = "check the name, or give the camera's number, such as 192.168.1.20"
    elif isinstance(error, ConnectionRefusedError):
        problem = "nothing listens there: the connection was refused"
        fix = f"is the camera on, and is {address.port_number} its port?"
    elif isinstance(error, ssl.SSLCertVerificationError):
        problem, fix = _explain_certificate(address, error)
    elif isinstance(error, ssl.SSLError):
        problem, fix = "no TLS there", f"try {address.scheme.rstrip('s')}://"
    elif isinstance(error, TimeoutError):
        problem, fix = "no answer in time", "is the camera on? A slow one needs --read-timeout"
    elif isinstance(error, OSError) and error.errno in _UNREACHABLE:
        problem, fix = "no way to this host", "is this machine in the camera's network?"
    elif isinstance(error, ConnectionError):
        problem = "the connection was cut off"
        fix = "is the camera on, and is the scheme right: http:// or https://?"
    elif isinstance(error, http.client.HTTPException):
        problem = f"what answers doesn't speak {address.scheme.upper()}"
        fix = "check the port and the scheme: rtsp:// or http://"
    return CameraError(f"{name}: {problem}", fix)


def _explain_certificate(address: Address, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    path = os.environ.get("SSL_CERT_FILE")
    if path and not os.path.isfile(path):
        problem = f"SSL_CERT_FILE names a file that isn't there ({printable(path)})"
        return problem, "set it to the full path of the camera's certificate"
    fix = (
        "is this machine's clock right? Else save the camera's certificate: openssl s_client "
        f"-connect {address.host}:{address.port_number} </dev/null | openssl x509 >camera.pem; "
        'export SSL_CERT_FILE="$PWD/camera.pem"'
    )
    return f"its certificate is not trusted ({error.verify_message})", fix
