"""Asks an RTSP server why there was no stream, which OpenCV doesn't tell (RFC 2326, 10.2)."""

from __future__ import annotations

import http.client
import socket
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.errors import CameraError

from .explain import explain_failure, explain_status
from .login import authorization

if TYPE_CHECKING:
    from .address import Address

_LINE_MOST = 4096


def explain_rtsp(name: str, address: Address, timeout_s: float) -> CameraError:
    """Return the error for a stream that can't be opened; asks the server for ``timeout_s``."""
    if not 0 < address.port_number < 65536:
        return CameraError(f"{name}: there is no port {address.port_number}", "check the address")
    try:
        with socket.create_connection(address.socket_address, timeout_s) as connection:
            if address.scheme == "rtsps":
                # Only a question: whose certificate it is doesn't matter, but it gets no password.
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                with context.wrap_socket(connection) as secure:
                    code, challenges = _describe(secure, replace(address, user=None))
            else:
                code, challenges = _describe(connection, address)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return explain_failure(name, address, error)
    if code != 200:
        with_user = address.user is not None
        return explain_status(name, code, with_user=with_user, challenges=challenges)
    problem = "the camera answers, but gives no video stream that can be decoded"
    return CameraError(f"{name}: {problem}", "choose H.264 or MJPEG in its settings")


def _describe(connection: socket.socket, address: Address) -> tuple[int, list[str]]:
    """Return the status that a server answers with, and the kinds of login that it asks for."""
    header = ""
    with connection.makefile("rb") as answers:
        for number in (1, 2):
            connection.sendall(
                f"DESCRIBE {address.plain} RTSP/1.0\r\nCSeq: {number}\r\n"
                f"Accept: application/sdp\r\nUser-Agent: lesion-edge\r\n{header}\r\n".encode()
            )
            protocol, _, rest = answers.readline(_LINE_MOST).decode("latin-1").partition(" ")
            status = rest.split(" ")[0].strip()
            if not protocol.startswith("RTSP/") or not status.isdecimal():
                raise http.client.BadStatusLine("no RTSP")
            headers = http.client.parse_headers(answers)
            challenges = headers.get_all("WWW-Authenticate", [])
            login = authorization(challenges, address, "DESCRIBE", address.plain)
            if status != "401" or login is None:
                break
            header = f"Authorization: {login}\r\n"
            answers.read(int(headers.get("Content-Length", "0")))
    return int(status), challenges
