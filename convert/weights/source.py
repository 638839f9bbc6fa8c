"""Reads what ``--weights`` names: a path, a file of Google Drive or an https address."""

from __future__ import annotations

import hashlib
import re
import urllib.parse
from dataclasses import dataclass

from convert.errors import UsageError

UPSTREAM_DRIVE_ID = "1-yatFvHQokK7fHaaaAMO2TkvlgkUnXhw"
"""The notebook's own weights file, ``model.h5``."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where remote weights are, and what they are called in the cache."""

    argument: str
    """The Drive id or the address, as :mod:`.download` takes it."""
    address: str
    """As anybody may see it: no query, which may be a key, and only the end of the path."""
    file_name: str
    on_drive: bool

    @property
    def by_hand(self) -> str:
        """What a person can do instead."""
        return f"fetch {self.address} by hand in a browser and pass --weights PATH"


def parse_source(spec: str) -> Source | None:
    """Return where ``spec`` leads, or None if it is a path.

    Raises:
        UsageError: it is no Drive id and no https address, or it holds a user name or a password.

    """
    drive_id = UPSTREAM_DRIVE_ID if spec == "upstream" else None
    if spec.startswith("gdrive:"):
        drive_id = spec.removeprefix("gdrive:")
    if drive_id is not None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{10,100}", drive_id):
            raise UsageError(
                f"{spec}: no Drive id; it is the part after /d/ or id= of the file's link"
            )
        address = f"https://drive.google.com/file/d/{drive_id}/view"
        return Source(drive_id, address, f"gdrive-{drive_id}.h5", on_drive=True)
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", spec)
    if scheme is None:
        return None
    if scheme[1].lower() != "https":
        why = ": anyone on the way could exchange the file" if scheme[1].lower() == "http" else ""
        raise UsageError(
            f"{scheme[1]}://...: {scheme[1]}:// is refused{why}; use https://, gdrive:ID or a path"
        )
    if "@" in spec.partition("?")[0]:
        raise UsageError(
            "https://...: an address with a user name or a password is not taken; fetch the file "
            "by hand and pass --weights PATH (an @ in a path is written %40)"
        )
    try:
        parts = urllib.parse.urlsplit(spec)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or re.search(r"[\x00-\x20\x7f-\U0010ffff]", spec):
        raise UsageError("https://...: no address that could be opened; give https://HOST/PATH")
    folders, _, last = parts.path.rpartition("/")
    address = f"https://{parts.netloc}{'/...' if folders else ''}/{last}"
    # Two addresses may end alike, so the name alone won't do.
    name = re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")[-60:]
    digest = hashlib.sha256(spec.encode()).hexdigest()[:12]
    return Source(spec, address, f"https-{digest}-{name or 'weights'}", on_drive=False)
