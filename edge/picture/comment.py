"""What a JPEG of ours carries: its result, as JSON in comments, by which it is known for ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge.files import open_regular

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

_START, _COMMENT, _TAG = b"\xff\xd8", b"\xff\xfe", b"lesion-edge:"
_COMMENT_MOST = 65535 - 2 - len(_TAG)


def add_comment(jpeg: bytes, line: Mapping[str, Any]) -> bytes:
    """Return a JPEG with ``line`` as JSON in comments behind its start marker (T.81, B.2.4.5)."""
    text = json.dumps(line).encode()
    segments = []
    for start in range(0, len(text), _COMMENT_MOST):
        part = _TAG + text[start : start + _COMMENT_MOST]
        segments.append(_COMMENT + (len(part) + 2).to_bytes(2, "big") + part)
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def read_comment(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Return what :func:`add_comment` put into a picture; None if there is no such thing."""
    text = b""
    try:
        with open_regular(path) as stream:
            if stream.read(2) != _START:
                return None
            while stream.read(2) == _COMMENT:
                part = stream.read(int.from_bytes(stream.read(2), "big") - 2)
                if not part.startswith(_TAG):
                    break
                text += part[len(_TAG) :]
        line = json.loads(text)
    except (OSError, ValueError):
        return None
    return line if isinstance(line, dict) else None


def source_mark(source: str) -> str | None:
    """Return what tells a picture's file from others in the comment of its annotated copy.

    A hash, since a path may hold a person's name; None for standard input and where no path is.
    """
    import hashlib
    import os

    try:
        path = os.fsencode(os.path.realpath(source))
    except OSError:  # the folder that we are in was deleted
        return None
    return None if source == "-" else hashlib.sha256(path).hexdigest()[:16]


def is_ours(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is a picture that this package annotated, by its first 18 bytes."""
    try:
        with open_regular(path) as stream:
            head = stream.read(18)
    except OSError:
        return False
    return head[:4] == _START + _COMMENT and head[6:] == _TAG
