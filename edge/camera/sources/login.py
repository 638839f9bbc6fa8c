"""Logs in to a camera by Digest (RFC 7616) or Basic (RFC 7617), as cameras ask for it."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from typing import TYPE_CHECKING, Any
from urllib import request as urllib_request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .address import Address

_ALGORITHMS = {
    "MD5": ("md5", False),
    "MD5-SESS": ("md5", True),
    "SHA-256": ("sha256", False),
    "SHA-256-SESS": ("sha256", True),
}
"""What each of Digest's algorithms hashes with, and whether it makes a key for the session."""


class Login(urllib_request.BaseHandler):
    """Answers a server that asks for a password, once: cameras lock users out after a few tries.

    No other host than the address's own gets it.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    def http_error_401(self, request: Any, response: Any, *rest: Any) -> Any:
        """Send the request again with the password; None if that isn't for this server."""
        challenges = rest[-1].get_all("WWW-Authenticate", ())
        if request.has_header("Authorization") or not self._address.is_asked(request.full_url):
            return None
        header = authorization(challenges, self._address, request.get_method(), request.selector)
        if header is None:
            return None
        response.close()  # small cameras serve one at a time
        request.add_unredirected_header("Authorization", header)
        return self.parent.open(request, timeout=request.timeout)


def authorization(challenges: Iterable[str], address: Address, method: str, uri: str) -> str | None:
    """Return the header that answers a server's challenges; None if there is none.

    ``uri`` is what is asked for, as it stands in the request.
    """
    if address.user is None:
        return None
    challenges = list(challenges)
    for fields in filter(None, map(_digest_fields, challenges)):
        return f"Digest {_digest(fields, address.user, address.password, f'{method}:{uri}', uri)}"
    if not any(map(_is_basic, challenges)):
        return None
    raw = f"{address.user}:{address.password}".encode("utf-8", "surrogateescape")
    return f"Basic {base64.b64encode(raw).decode()}"


def is_known(challenge: str) -> bool:
    """Tell whether a server's challenge is one that can be answered."""
    return _digest_fields(challenge) is not None or _is_basic(challenge)


def _is_basic(challenge: str) -> bool:
    # Several may stand in a line; cameras leave out the realm, or its quotes.
    return re.search(r"(?:^|,)\s*basic\b", challenge, re.IGNORECASE) is not None


def _digest_fields(challenge: str) -> dict[str, str] | None:
    """Return the fields of a challenge for Digest; None if it is none that is known."""
    scheme, _, rest = challenge.partition(" ")
    try:
        fields = urllib_request.parse_keqv_list(urllib_request.parse_http_list(rest))
    except (ValueError, IndexError):
        return None
    _, session = _ALGORITHMS.get(fields.get("algorithm", "MD5").upper(), (None, None))
    qop = [each.strip() for each in fields.get("qop", "" if session else "auth").split(",")]
    known = scheme.lower() == "digest" and session is not None and "auth" in qop
    return fields if known and {"realm", "nonce"} <= fields.keys() else None


def _digest(fields: dict[str, str], user: str, password: str, asked: str, uri: str) -> str:
    """Return the fields that answer a challenge (RFC 7616, 3.4)."""
    algorithm = fields.get("algorithm", "MD5")
    name, session = _ALGORITHMS[algorithm.upper()]

    def hashed(*parts: str) -> str:
        return hashlib.new(name, ":".join(parts).encode("utf-8", "surrogateescape")).hexdigest()

    nonce, cnonce, count = fields["nonce"], os.urandom(8).hex(), "00000001"
    secret = hashed(user, fields["realm"], password)
    if session:
        secret = hashed(secret, nonce, cnonce)
    own = [nonce, count, cnonce, "auth"] if "qop" in fields else [nonce]
    answer = {
        "username": user,
        "realm": fields["realm"],
        "nonce": nonce,
        "uri": uri,
        "response": hashed(secret, *own, hashed(asked)),
        **{key: fields[key] for key in ("opaque",) if key in fields},
    }
    escaped = {key: re.sub(r'(["\\])', r"\\\1", value) for key, value in answer.items()}
    text = ", ".join(f'{key}="{value}"' for key, value in escaped.items())
    if "algorithm" in fields:
        text += f", algorithm={algorithm}"
    return f'{text}, qop=auth, nc={count}, cnonce="{cnonce}"' if "qop" in fields else text
