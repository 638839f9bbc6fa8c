"""Who may ask for what: looked at before any of it is done.

Against a page of somebody else's in the same browser: the name that was asked for must be this
machine's (DNS rebinding), and what changes something must come from a page of ours.  Against
strangers on the network: a token, of which only a hash is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "lesion_edge"
_COOKIE_S = 30 * 24 * 3600
_OPEN = ("/login", "/static/", "/api/words", "/favicon.ico")
"""What anyone may have: nothing of it tells of a picture."""
_PROXIED = {"forwarded", "x-forwarded-for", "x-real-ip"}
_HEADER_BYTES = 16_384
_WRONG_MOST, _WRONG_S, _ADDRESSES = 10, 60.0, 1000
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def hash_token(token: str) -> bytes:
    """Return what is kept of a token: the hash of its cookie."""
    return hashlib.sha256(_cookie_of(token).encode()).digest()


def refusal(status: int, message: str) -> JSONResponse:
    """Return the answer to what isn't done; the connection ends, whatever more was to come."""
    return JSONResponse({"error": message}, status, {"Connection": "close"})


class Guard:
    """Lets through to ``app`` what may pass, and adds headers to all that comes back (ASGI).

    Args:
        app: the page.
        names: the host names of this machine, without ports; any IP address is one, too.
        token_hash: of the token, see :func:`hash_token`; None where none is asked for.

    """

    def __init__(self, app: ASGIApp, names: Iterable[str], token_hash: bytes | None) -> None:
        self._app, self._hash = app, token_hash
        self._names = {name.lower().rstrip(".") for name in names}
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have the page answer it."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        answer = (
            self._check_request(scope, headers)
            or self._check_origin(scope, headers)
            or self._check_token(scope, headers)
        )
        await (answer or self._app)(scope, receive, send_guarded)

    def login(self, scope: Scope, token: str) -> Response:
        """Return the answer to a token: a cookie, if it is the right one."""
        refused = self._try(scope, token)
        if refused is not None:
            return refused
        answer = JSONResponse({})
        # Behind a proxy that does TLS, the browser says so.
        secure = Headers(scope=scope).get("origin", "").startswith("https:")
        answer.set_cookie(
            COOKIE,
            _cookie_of(token),
            max_age=_COOKIE_S,
            httponly=True,
            samesite="strict",
            secure=secure,
        )
        return answer

    def _check_request(self, scope: Scope, headers: Headers) -> Response | None:
        if sum(len(name) + len(value) for name, value in headers.raw) > _HEADER_BYTES:
            return refusal(431, "more is said in front than is read")
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return refusal(421, "this name is not known here: start it with --page-name NAME")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return refusal(405, "not done here")
        body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if scope["method"] != "POST" and body:
            return refusal(400, "nothing is to be sent here")
        return None

    def _check_origin(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["method"] == "POST":
            origin = headers.get("origin")
            if origin is not None and urlsplit(origin).netloc.lower() != headers["host"].lower():
                return refusal(403, "asked for by another page")
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind not in ("", "application/json") and not kind.startswith("image/"):
                return refusal(415, "neither JSON nor a picture")
        elif not scope["path"].startswith("/api/"):
            return None
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return refusal(403, "asked for by another page")
        return None

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        if self._hash is None and not _PROXIED.isdisjoint(headers):
            return refusal(
                403, "behind a proxy all come from here: start it with --page-token FILE"
            )
        if self._hash is None or scope["path"].startswith(_OPEN):
            return None
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        if hmac.compare_digest(hashlib.sha256(cookie.encode()).digest(), self._hash):
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._try(scope, token.strip())
        if scope["path"].startswith("/api/"):
            return refusal(401, "log in first")
        return RedirectResponse("/login", 303)

    def _try(self, scope: Scope, token: str) -> Response | None:
        """Return None if a token is right; each address may be wrong ten times a minute."""
        if self._hash is None:
            return None
        now, address = time.monotonic(), (scope["client"] or ("",))[0]
        wrong = self._wrong.setdefault(address, deque(maxlen=_WRONG_MOST))
        self._wrong.move_to_end(address)
        if len(self._wrong) > _ADDRESSES:
            self._wrong.popitem(last=False)
        if len(wrong) == _WRONG_MOST and now - wrong[0] < _WRONG_S:
            answer = refusal(429, "too many wrong tokens: wait a minute")
            answer.headers["Retry-After"] = f"{_WRONG_S:.0f}"
            return answer
        if hmac.compare_digest(hash_token(token), self._hash):
            return None
        wrong.append(now)
        return refusal(401, "this is not the token that was printed at the start")

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)  # no address can be rebound
        except ValueError:
            return name.rstrip(".") in self._names
        return True


def _cookie_of(token: str) -> str:
    return hashlib.sha256(f"cookie:{token}".encode()).hexdigest()
