"""Sends requests to a camera's HTTP address, and says why one fails."""

from __future__ import annotations

import http.client
import os
import re
import ssl
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib import request as urllib_request
from urllib.error import HTTPError, URLError

from edge.errors import CameraError
from edge.files import printable

from .address import Address, is_address, parse, scheme_of, shown
from .explain import explain_failure, explain_status
from .login import Login

if TYPE_CHECKING:
    from collections.abc import Iterator

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_MISMATCHES = (62, 64)
"""OpenSSL's codes (x509_vfy.h) of a certificate that is trusted, but for another name or number."""


class Requester:
    """Sends one request after the other.  No proxies; redirects lead to HTTP only."""

    def __init__(self, name: str, address: Address, timeout_s: float) -> None:
        self._name, self._address, self._timeout_s = name, address, timeout_s
        self._moved = _Redirects()

    def send(self) -> http.client.HTTPResponse:
        """Return the answer's head; its body is still to be read.

        Raises:
            OSError, HTTPException, ValueError: it failed; see :meth:`explained`.

        """
        try:
            return self._send(None)
        except URLError as error:
            # A self-signed certificate is often made for no name, or for another.
            if getattr(error.reason, "verify_code", 0) not in _MISMATCHES or self._moved.url:
                raise
            context = _trust_exactly(self._address, self._timeout_s)
            if context is None:
                raise
            return self._send(context)

    def _send(self, context: ssl.SSLContext | None) -> http.client.HTTPResponse:
        self._moved = _Redirects()
        opener = urllib_request.OpenerDirector()  # not build_opener: it takes file and ftp, too
        for handler in (
            urllib_request.HTTPHandler(),
            urllib_request.HTTPSHandler(context=context),
            Login(self._address),
            self._moved,
            urllib_request.HTTPErrorProcessor(),
            urllib_request.HTTPDefaultErrorHandler(),
            urllib_request.UnknownHandler(),
        ):
            opener.add_handler(handler)
        opener.addheaders = [("User-Agent", "lesion-edge"), ("Accept", "*/*")]
        response: http.client.HTTPResponse = opener.open(self._address.plain, None, self._timeout_s)
        return response

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what a connection raises into an error of ours, without the text of theirs."""
        try:
            yield
        except HTTPError as error:
            raise self._explain(error) from None
        except CameraError as error:
            text = str(error)
            if text.startswith(self._name):
                raise
            raise CameraError(f"{self._name}: {text}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            name, address = self._name, self._address
            if self._moved.url:
                name = f"{name}, sent on to {printable(shown(self._moved.url))}"
                with suppress(CameraError):
                    address = parse(self._moved.url)
            raise explain_failure(name, address, error) from None

    def _explain(self, error: HTTPError) -> CameraError:
        stayed = self._address.is_asked(error.url)  # else the password wasn't sent
        known = is_address(error.url)
        where = shown(error.url) if known else "what is no address"
        name = self._name if stayed else f"{self._name}, sent on to {printable(where)}"
        challenges = error.headers.get_all("WWW-Authenticate", ())
        error.close()
        if known and scheme_of(error.url) in ("rtsp", "rtsps"):
            return CameraError(name, "give that address, with user and password, as --source")
        with_user = stayed and self._address.user is not None
        return explain_status(name, error.code, with_user=with_user, challenges=challenges)


class _Redirects(urllib_request.HTTPRedirectHandler):
    """Follows redirects, and knows where the last one led."""

    url = ""

    def redirect_request(self, *request: Any) -> urllib_request.Request | None:
        self.url = request[-1]
        return super().redirect_request(*request)


def _trust_exactly(address: Address, timeout_s: float) -> ssl.SSLContext | None:
    """Return what trusts the camera's certificate alone, whatever name it is made for.

    None, unless that very certificate stands in the file that SSL_CERT_FILE names.
    """
    peer = ssl.get_server_certificate(address.socket_address, timeout=timeout_s)
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
