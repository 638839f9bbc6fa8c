"""Addresses of cameras: taken apart as people write them, and shown without anything secret.

People paste passwords as they are.  RFC 3986, 3.2, ends the authority at the first ``/``, ``?`` or
``#`` and has ``@`` once in it, so a password with one of these in it is an address that urllib and
FFmpeg take apart wrongly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from edge.errors import CameraError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.]+)?\]|[^\W_](?:[\w.-]*\w)?\.?)"
    r"(?::(?P<port>\d{1,5})?)?(?P<path>[/?#].*)?",
    re.DOTALL,
)
_NUMBERS = re.compile(r"\[.*\]|\d+\.\d+\.\d+\.\d+|localhost")
_ESCAPED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*", re.DOTALL)
_WORDS = (
    "live|stream(?:ing)?|video|cam(?:era)?|capture|snap(?:shot)?|shot|image|img|pic(?:ture)?|photo"
    "|jpe?g|png|mjpe?g|mpe?g|mp|h26|hevc|main|sub|minor|major|ch(?:annels?|n)?|media|profile|axis"
    "|onvif|cgi|bin|sdp|m3u|ts|index|play|feed|view|high|low|hd|sd|av|unicast|multicast|track|id"
)
_PLAIN = re.compile(rf"(?!.*\d{{4}})(?:{_WORDS}|\d|[._-]){{1,12}}", re.IGNORECASE)
_HIDDEN = "..."


@dataclass(frozen=True, slots=True)
class Address:
    """A camera's address in parts, as they are sent to it."""

    scheme: str
    """In small letters."""
    host: str
    """With brackets around an IPv6 address."""
    port: int | None
    user: str | None
    """Not percent-encoded."""
    password: str
    path: str
    """What comes behind: path and query, without the fragment; "/" at least."""

    @property
    def origin(self) -> str:
        """Return the address without user, password and path."""
        return f"{self.scheme}://{self.host}{'' if self.port is None else f':{self.port}'}"

    @property
    def plain(self) -> str:
        """Return the address without user and password, fit for a request."""
        return self.origin + quote(self.path, safe="/?&=;:@!$'()*+,~%[]", errors="surrogateescape")

    @property
    def full(self) -> str:
        """Return all of the address, user and password percent-encoded: secret."""
        if self.user is None:
            return self.plain
        user, password = (
            quote(text, safe="", errors="surrogateescape") for text in (self.user, self.password)
        )
        return self.plain.replace("://", f"://{user}:{password}@", 1)


def parse(source: str) -> Address:
    """Take an address apart.

    A password may hold ``@``, ``/``, ``#``, ``?`` and ``%`` as they are: the host begins behind
    the last ``@`` that a host can follow.  What is percent-encoded already stays so.

    Raises:
        CameraError: there is no host in it, or no such port; the message repeats nothing.

    """
    scheme, rest = _split_scheme(source)
    found = _find_host(rest)
    if found is None:
        raise CameraError(
            f"{scheme}://{_HIDDEN}: no host can be seen in this address",
            f"write {scheme}://HOST/PATH, or {scheme}://USER:PASSWORD@HOST/PATH",
        )
    info, match = found
    user, colon, password = (info or "").partition(":")
    port = int(match["port"]) if match["port"] else None
    path = (match["path"] or "/").partition("#")[0]
    return Address(
        scheme,
        match["host"],
        port,
        None if info is None or not (user or colon) else _decode(user),
        _decode(password),
        path if path.startswith("/") else f"/{path}",
    )


def is_address(source: str) -> bool:
    """Tell whether a source is an address: ``scheme://...``."""
    return _SCHEME.match(source) is not None


def scheme_of(source: str) -> str:
    """Return an address's scheme, in small letters."""
    return _split_scheme(source)[0]


def shown(source: str) -> str:
    """Return an address as it may be seen by anybody: scheme, host, port, and a word of its path.

    User, password, query and fragment are never in it.  Of the path, which holds passwords and
    keys with some cameras, only the last part, and only if it is made of words that cameras use
    (``stream1``, ``capture.jpg``); all else is ``...``.
    """
    scheme, rest = _split_scheme(source)
    found = _find_host(rest)
    if found is None:
        return f"{scheme}://{_HIDDEN}"
    match = found[1]
    port = f":{match['port']}" if match["port"] else ""
    path = re.split("[?#]", match["path"] or "", maxsplit=1)[0]
    *before, last = path.rstrip("/").split("/")
    parts = [_HIDDEN] if any(before) else []
    if last:
        parts.append(last if _PLAIN.fullmatch(last) else _HIDDEN)
    return f"{scheme}://{match['host']}{port}" + "".join(f"/{part}" for part in parts[-2:])


def _split_scheme(source: str) -> tuple[str, str]:
    match = _SCHEME.match(source)
    assert match is not None
    return match[1].lower(), source[match.end() :]


def _find_host(rest: str) -> tuple[str | None, re.Match[str]] | None:
    """Return user info, or None, and the host with what follows; None if no host can be seen."""
    authority = re.match("[^/?#]*", rest)
    assert authority is not None
    found: list[tuple[str | None, re.Match[str]]] = []
    for start in (0, *(at.end() for at in re.finditer("@", rest))):
        match = _HOST.fullmatch(rest, start)
        info = rest[: start - 1] if start else None
        user, colon, _ = (info or "").partition(":")
        # Behind the authority's end only a password can go on: not a user, not a host.
        fits = start <= authority.end() or (colon and not re.search("[/?#]", user))
        if match and fits and int(match["port"] or 0) <= 65535:
            found.append((info, match))
    # Nobody is called 192.0.2.7: where an @ stands in a path or query behind it, that is the host.
    numbers = [each for each in found if _NUMBERS.fullmatch(each[1]["host"])]
    found = numbers or found
    if len(found) > 1 and re.search(r"\?[^@]*=", found[-1][0] or ""):
        found.pop()  # the @ stands in a query
    return found[-1] if found else None


def _decode(text: str) -> str:
    return unquote(text, errors="surrogateescape") if _ESCAPED.fullmatch(text) else text
