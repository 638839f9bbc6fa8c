"""Takes a camera's address apart, and shows it without anything secret.

People paste passwords as they are.  RFC 3986, 3.2, ends the authority at the first ``/``, ``?`` or
``#`` and has ``@`` once in it, so a password with one of these in it is an address that urllib and
FFmpeg take apart wrongly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from edge.errors import CameraError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HOST = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%[\w.]+)?\]|[^\W_](?:[\w.-]*\w)?\.?)"
    r"(?::(?P<port>\d{1,5})?)?(?P<path>[/?#].*)?",
    re.DOTALL,
)
_NUMBERS = re.compile(r"\[.*\]|\d+\.\d+\.\d+\.\d+|localhost")
_QUERY = re.compile(r"[?&][^@?&=/:]+=|://")
_ESCAPED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*", re.DOTALL)
_WORDS = (
    "live|stream(?:ing)?|video|cam(?:era)?|capture|snap(?:shot)?|shot|image|img|pic(?:ture)?|photo"
    "|jpe?g|png|mjpe?g|mpe?g|mp|h26|hevc|main|sub|minor|major|ch(?:annels?|n)?|media|profile|axis"
    "|onvif|cgi|bin|sdp|m3u|ts|index|play|feed|view|high|low|hd|sd|av|unicast|multicast|track|id"
)
_PLAIN = re.compile(rf"(?!.*\d{{4}})(?=.*[a-z])(?:{_WORDS}|\d|[._-]){{1,12}}", re.IGNORECASE)
_HIDDEN = "..."
_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


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
    def port_number(self) -> int:
        """Return the port, the scheme's own where none is given."""
        return self.port or _PORTS[self.scheme]

    @property
    def socket_address(self) -> tuple[str, int]:
        """Return host and port as :mod:`socket` takes them."""
        return self.host.strip("[]"), self.port_number

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

    def is_asked(self, url: str) -> bool:
        """Tell whether a URL leads to this host and port, or from HTTP to its HTTPS."""
        try:
            same = _place(url) == _place(self.plain)
        except ValueError:  # no URL
            return False
        return same and url.startswith((f"{self.scheme}:", "https:"))


def _place(url: str) -> tuple[str | None, int | None]:
    """Return host and port of a URL, None for its scheme's own port."""
    parts = urlsplit(url)
    return parts.hostname, None if parts.port == _PORTS.get(parts.scheme) else parts.port


def parse(source: str) -> Address:
    """Take an address apart.

    A password may hold ``@``, ``/``, ``#``, ``?`` and ``%`` as they are: the host begins behind
    the last ``@`` that a host can follow.  Where it may as well be the path that holds the ``@``,
    as in ``admin:80/x@cam/live``, no host is contacted.  What is percent-encoded already stays so.

    Raises:
        CameraError: there is no host in it, or it may be one of two, or no such port; the
            message repeats nothing.

    """
    scheme, rest = _split_scheme(source)
    found = _find_host(rest)
    if found is None:
        raise CameraError(
            f"{scheme}://{_HIDDEN}: no host can be told for sure in this address",
            f"write {scheme}://HOST/PATH, or {scheme}://USER:PASSWORD@HOST/PATH; in all but "
            "HOST, @ is written %40, and in USER and PASSWORD / is %2F, ? is %3F, # is %23",
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
    """Return user info, or None, and the host with what follows; None if no host is sure."""
    authority = re.match("[^/?#]*", rest)
    assert authority is not None
    inside: list[tuple[str | None, re.Match[str]]] = []  # by RFC 3986
    behind: list[tuple[str | None, re.Match[str]]] = []  # if the password holds "/", "?" or "#"
    for start in (0, *(at.end() for at in re.finditer("@", rest))):
        match = _HOST.fullmatch(rest, start)
        if match is None or int(match["port"] or 0) > 65535:
            continue
        info = rest[: start - 1] if start else None
        user, colon, _ = (info or "").partition(":")
        if start <= authority.end():
            inside.append((info, match))
        elif colon and not re.search("[/?#]", user):
            behind.append((info, match))
    # Nobody is called 192.0.2.7: where an @ stands in a path or query behind it, that is the host.
    numbers = [each for each in behind if _NUMBERS.fullmatch(each[1]["host"])]
    behind = numbers or behind
    if len(behind) > 1 and _QUERY.search(behind[-1][0] or ""):
        behind.pop()  # the @ stands in a query
    if not inside or not behind:
        return [*inside, *behind][-1] if inside or behind else None
    info, match = inside[-1]
    host = match["host"]
    if _NUMBERS.fullmatch(host) or _QUERY.search(rest[: behind[-1][1].start()]):
        return inside[-1]
    if "." in host:  # a name, but a user's may have a dot, too
        return inside[-1] if info is None and not numbers else None
    return None if info is None else behind[-1]  # user:80/xyz@host, or host:80/path@more


def _decode(text: str) -> str:
    return unquote(text, errors="surrogateescape") if _ESCAPED.fullmatch(text) else text
