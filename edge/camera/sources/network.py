"""Why a network camera gives nothing: each cause told apart, each with its own way out."""

from __future__ import annotations

import errno
import hashlib
import http.client
import os
import re
import socket
import ssl
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib import request as urllib_request
from urllib.error import URLError

from edge.errors import CameraError
from edge.files import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .address import Address

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
_ANSWER_MOST = 16 << 10
_ALGORITHMS = {
    "MD5": ("md5", False),
    "MD5-SESS": ("md5", True),
    "SHA-256": ("sha256", False),
    "SHA-256-SESS": ("sha256", True),
}
"""What each of Digest's algorithms hashes with, and whether it makes a key for the session."""
_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
MISMATCHES = (62, 64)
"""OpenSSL's codes (x509_vfy.h) of a certificate that is trusted, but for another name or number."""


class DigestAuth(urllib_request.HTTPDigestAuthHandler):
    """Digest (RFC 7616) with MD5 or SHA-256, tried once: cameras lock users out after a few."""

    def http_error_401(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any) -> Any:
        """Answer a server that asks for a password; not twice."""
        if req.has_header("Authorization"):
            return None
        others = [each for each in headers.get_all("WWW-Authenticate", ()) if is_digest(each)]
        if not others:
            return None  # the handler of Basic is asked next
        headers.replace_header("WWW-Authenticate", _plain_qop(others[0]))
        return super().http_error_401(req, fp, code, msg, headers)

    def get_algorithm_impls(self, algorithm: str) -> tuple[Any, Any]:
        """Return the two functions of RFC 7616, 3.4: H, and KD made of it."""
        name, session = _ALGORITHMS[algorithm.upper()]

        def digest(text: str) -> str:
            return hashlib.new(name, text.encode("utf-8", "surrogateescape")).hexdigest()

        def keyed(secret: str, data: str) -> str:
            if session:  # data is nonce:nc:cnonce:qop:H(A2)
                nonce, _, cnonce, _, _ = data.rsplit(":", 4)
                secret = digest(f"{secret}:{nonce}:{cnonce}")
            return digest(f"{secret}:{data}")

        return digest, keyed


class BasicAuth(urllib_request.HTTPBasicAuthHandler):
    """Basic (RFC 7617), tried once."""

    def http_error_401(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any) -> Any:
        """Answer a server that asks for a password; not twice."""
        if req.has_header("Authorization"):
            return None
        del fp, code, msg
        if not any(map(is_basic, headers.get_all("WWW-Authenticate", ()))):
            return None
        # Not by way of its own search for a realm: cameras leave it out, or its quotes.
        return self.retry_http_basic_auth(req.full_url, req, None)  # type: ignore[arg-type]


class Redirects(urllib_request.HTTPRedirectHandler):
    """Follows redirects, and knows where the last one led."""

    url = ""

    def redirect_request(self, *request: Any) -> urllib_request.Request | None:
        """Note the new address, the last of the arguments."""
        self.url = request[-1]
        return super().redirect_request(*request)


def is_digest(challenge: str) -> bool:
    """Tell whether a server's challenge is one that :class:`DigestAuth` can answer."""
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() != "digest":
        return False
    try:
        fields = urllib_request.parse_keqv_list(urllib_request.parse_http_list(rest))
        session = _ALGORITHMS[fields.get("algorithm", "MD5").upper()][1]
    except (KeyError, ValueError, IndexError):
        return False
    qop = [each.strip() for each in fields.get("qop", "" if session else "auth").split(",")]
    return "auth" in qop and {"realm", "nonce"} <= fields.keys()


def is_basic(challenge: str) -> bool:
    """Tell whether a server's challenge, or one of several in a line, is Basic."""
    return re.search(r"(?:^|,)\s*basic\b", challenge, re.IGNORECASE) is not None


def _plain_qop(challenge: str) -> str:
    """Return a challenge with a list that has "auth" in it brought to that, as urllib takes it."""
    return re.sub(r'\bqop\s*=\s*"[^"]*"', 'qop="auth"', challenge, flags=re.IGNORECASE)


def explain_status(
    name: str, code: int, *, with_user: bool, challenges: Sequence[str] = ()
) -> CameraError:
    """Return the error for a status that an HTTP or RTSP server answered with.

    Args:
        name: what to call the camera.
        code: the status.
        with_user: a user and a password were given.
        challenges: the kinds of login that it asks for (RFC 9110, 11.6.1).

    """
    if code in (401, 403, 407):
        if challenges and not any(is_digest(each) or is_basic(each) for each in challenges):
            kinds = ", ".join(
                dict.fromkeys(re.findall(r"^\w+", "\n".join(challenges), re.MULTILINE))
            )
            return CameraError(
                f"{name}: the camera asks for a kind of login that isn't known"
                f"{f' ({kinds})' if kinds else ''}",
                "choose Basic, or Digest with MD5 or SHA-256, in its settings",
            )
        if with_user:
            return CameraError(
                f"{name}: the camera refuses this user and password ({code})",
                "check both, and that this user may see the video; a few wrong tries may lock it",
            )
        return CameraError(
            f"{name}: the camera asks for a user and a password ({code})",
            "put them into the address: SCHEME://USER:PASSWORD@HOST/PATH",
        )
    if code in (404, 410, 454):
        return CameraError(
            f"{name}: the camera has nothing at this address ({code})",
            "look up the path of its stream or snapshot in its manual or settings",
        )
    if code in (429, 453) or code >= 500:
        return CameraError(
            f"{name}: the camera is there but can't serve just now ({code})",
            "close other programs that watch it, or start it again",
        )
    reason = http.client.responses.get(code)
    return CameraError(
        f"{name}: the camera answers with status {code}{f' ({reason})' if reason else ''}",
        "check the address in its manual",
    )


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
        fix = f"is the camera on, and is {address.port or _PORTS[address.scheme]} its port?"
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
        return (
            f"SSL_CERT_FILE names a file that isn't there ({printable(path)})",
            "set it to the full path of the camera's certificate",
        )
    port = address.port or _PORTS[address.scheme]
    fix = (
        "is this machine's clock right? Else save the camera's certificate: openssl s_client "
        f"-connect {address.host}:{port} </dev/null | openssl x509 >camera.pem; export "
        'SSL_CERT_FILE="$PWD/camera.pem"'
    )
    return f"its certificate is not trusted ({error.verify_message})", fix


def trust_exactly(address: Address, timeout_s: float) -> ssl.SSLContext | None:
    """Return what trusts the camera's certificate alone, whatever name it is made for.

    None, unless that very certificate stands in the file that SSL_CERT_FILE names.
    """
    port = address.port or _PORTS[address.scheme]
    peer = ssl.get_server_certificate((address.host.strip("[]"), port), timeout=timeout_s)
    try:
        with open(os.environ.get("SSL_CERT_FILE", ""), encoding="latin-1") as file:
            own = _CERTIFICATE.findall(file.read())
    except OSError:
        return None
    if ssl.PEM_cert_to_DER_cert(peer) not in map(ssl.PEM_cert_to_DER_cert, own):
        return None
    context = ssl.create_default_context(cadata=peer)
    context.check_hostname = False
    return context


def explain_rtsp(name: str, address: Address, timeout_s: float) -> CameraError:
    """Ask an RTSP server why there was no stream, which OpenCV doesn't tell (RFC 2326, 10.2)."""
    if not 0 < (port := address.port or _PORTS[address.scheme]) < 65536:
        return CameraError(f"{name}: there is no port {port}", "check the address")
    try:
        with socket.create_connection((address.host.strip("[]"), port), timeout_s) as connection:
            with_user = address.user is not None
            if address.scheme == "rtsps":
                # Only a question: whose certificate it is doesn't matter, but it gets no password.
                context = ssl._create_unverified_context()  # noqa: S323, SLF001
                with context.wrap_socket(connection) as secure:
                    code, challenges = _describe(secure, replace(address, user=None))
            else:
                code, challenges = _describe(connection, address)
            if code != 200:
                return explain_status(name, code, with_user=with_user, challenges=challenges)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return explain_failure(name, address, error)
    return CameraError(
        f"{name}: the camera answers, but gives no video stream that can be decoded",
        "choose H.264 or MJPEG in its settings",
    )


def _describe(connection: socket.socket, address: Address) -> tuple[int, list[str]]:
    """Return the status that a server answers with, and the kinds of login that it asks for."""
    header = ""
    for number in (1, 2):
        connection.sendall(
            f"DESCRIBE {address.plain} RTSP/1.0\r\nCSeq: {number}\r\n"
            f"Accept: application/sdp\r\nUser-Agent: lesion-edge\r\n{header}\r\n".encode()
        )
        answer = _read_head(connection)
        status = answer.split("\r\n", 1)[0].split(" ")
        if not answer.startswith("RTSP/") or len(status) < 2 or not status[1].isdecimal():
            raise http.client.BadStatusLine("no RTSP")
        challenges = [
            line.partition(":")[2].strip()
            for line in answer.split("\r\n")
            if line.lower().startswith("www-authenticate:")
        ]
        header = _authorization(challenges, address)
        if status[1] != "401" or not header:
            break
    return int(status[1]), challenges


def _authorization(challenges: list[str], address: Address) -> str:
    if address.user is None:
        return ""
    passwords = urllib_request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, address.origin, address.user, address.password)
    for challenge in filter(is_digest, challenges):
        handler = DigestAuth(passwords)
        request = SimpleNamespace(
            full_url=address.plain, selector=address.plain, data=None, get_method=lambda: "DESCRIBE"
        )
        fields = urllib_request.parse_http_list(_plain_qop(challenge).partition(" ")[2])
        text = handler.get_authorization(request, urllib_request.parse_keqv_list(fields))  # type: ignore[arg-type]
        return f"Authorization: Digest {text}\r\n"
    if any(map(is_basic, challenges)):
        import base64

        raw = f"{address.user}:{address.password}".encode("utf-8", "surrogateescape")
        return f"Authorization: Basic {base64.b64encode(raw).decode()}\r\n"
    return ""


def _read_head(connection: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data and len(data) < _ANSWER_MOST:
        more = connection.recv(4096)
        if not more:
            break
        data += more
    return data.decode("latin-1")
