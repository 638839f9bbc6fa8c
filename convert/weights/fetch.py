"""Fetches weights from Google Drive or an https address into a cache whose hashes are checked.

A network connection is opened only for weights that the cache doesn't hold.  Nothing gets its
final name before it is whole, recognised and hashed, and what has it is hashed again on every
use.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import FetchError, UsageError
from edge.files import open_regular, read_bounded, write_atomically

from .download import download_drive, download_https, fetch
from .file import MAX_BYTES
from .kinds import is_weights
from .source import parse_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .download import Download
    from .source import Source


def default_cache_dir() -> Path:
    """Return the folder that fetched weights are kept in; it need not exist.

    Raises:
        FetchError: neither XDG_CACHE_HOME nor a home folder is set.

    """
    configured = os.environ.get("XDG_CACHE_HOME", "")
    try:
        # The XDG specification has relative paths ignored.
        base = Path(configured) if Path(configured).is_absolute() else Path.home() / ".cache"
    except RuntimeError as error:
        raise FetchError(
            "there is no home folder to keep weights in; set XDG_CACHE_HOME to a folder"
        ) from error
    return base / "lesion-edge" / "weights"


def resolve_weights(
    spec: str,
    *,
    sha256: str | None,
    cache_dir: Path | None,
    timeout_s: float,
    say: Callable[[str], None],
    drive: Download = download_drive,
    https: Download = download_https,
) -> Path:
    """Return the path of the weights that ``spec`` names, fetched if the cache lacks them.

    A path is returned as it is: who reads it says what is wrong with it, its hash too.

    Args:
        spec: a path, ``upstream`` (the notebook's own file), ``gdrive:ID`` or ``https://...``.
        sha256: what the file's hash has to be, in hex.  None takes whatever the first download
            gave, whose hash is recorded, and nothing else from then on.
        cache_dir: where fetched files are kept; None is :func:`default_cache_dir`, which only
            what is fetched needs.
        timeout_s: see :func:`.download.fetch`.
        say: told, in this thread, what goes on, a line at a time.
        drive: fetches from Google Drive.
        https: fetches an https address.

    Raises:
        UsageError: ``spec``, ``sha256`` or ``timeout_s`` make no sense, or it is http.
        FetchError: it can't be fetched or kept, it is no weights file, or its hash is another
            one.  Nothing is left in the cache then.

    """
    if sha256 is not None:
        sha256 = sha256.strip().lower()
        if not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise UsageError(f"--sha256 {sha256}: a SHA-256 is 64 hexadecimal digits")
    if not (math.isfinite(timeout_s) and timeout_s > 0):
        raise UsageError(f"a time-out of {timeout_s} seconds makes no sense; give one above 0")
    source = parse_source(spec)
    if source is None:
        return Path(spec)
    cache_dir = cache_dir or default_cache_dir()
    target = cache_dir / source.file_name
    with _keeping(cache_dir):
        cache_dir.mkdir(parents=True, exist_ok=True)
    pinned = _recorded_hash(target)
    if _cache_holds(target, sha256 or pinned, say):
        if sha256 not in (None, pinned):
            with _keeping(cache_dir):
                _record_hash(target, sha256)
        return target
    say(f"fetching {source.address}")
    data = fetch(source, drive if source.on_drive else https, timeout_s)
    digest = _checked(data, source, sha256, pinned)
    with _keeping(cache_dir):
        # The hash first: who finds the file finds its hash too, however many fetch it at once.
        _record_hash(target, digest)
        write_atomically(target, data)
    say(f"fetched {len(data):,} bytes, SHA-256 {digest}, to {target}")
    return target


@contextmanager
def _keeping(cache_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise FetchError(
            f"{cache_dir}: weights can't be kept there: {reason}; set XDG_CACHE_HOME"
        ) from error


def _hash_file(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256")


def _recorded_hash(target: Path) -> str | None:
    """Return the hash of the first download, or None if there was none or it is unreadable."""
    with suppress(OSError), open_regular(_hash_file(target)) as stream:
        match = re.match(rb"([0-9a-f]{64})\s", read_bounded(stream, 1024) or b"")
        return match[1].decode() if match else None
    return None


def _record_hash(target: Path, digest: str) -> None:
    # As sha256sum writes it, so that sha256sum -c can check it.
    write_atomically(_hash_file(target), f"{digest}  {target.name}\n".encode())


def _cache_holds(target: Path, wanted: str | None, say: Callable[[str], None]) -> bool:
    try:
        with open_regular(target) as stream:
            seen = os.fstat(stream.fileno())
            data = read_bounded(stream, MAX_BYTES)
    except FileNotFoundError:
        return False
    except OSError as error:
        say(f"{target}: the cached file can't be read ({error.strerror}); fetching it again")
        return False
    digest = "that of a file too large" if data is None else hashlib.sha256(data).hexdigest()
    if digest == wanted:
        return True
    reason = f"SHA-256 is {digest}, not {wanted}" if wanted else "SHA-256 was never recorded"
    say(f"{target}: the cached file's {reason}; it is discarded and fetched again")
    # Not what another process has put there since.
    with suppress(OSError):
        now = target.stat()
        if (now.st_ino, now.st_mtime_ns) == (seen.st_ino, seen.st_mtime_ns):
            target.unlink()
    return False


def _checked(data: bytes, source: Source, sha256: str | None, pinned: str | None) -> str:
    """Return the hash of what was fetched.

    Raises:
        FetchError: it is no weights file, or not the one that is asked for.

    """
    if not is_weights(data):
        from edge.picture.kinds import identify

        kind = identify(data)
        what = kind.name if kind else f"what is no HDF5 or .keras file ({data[:16]!r})"
        raise FetchError(
            f"{source.address}: answered with {what}, not with weights (a quota is used up, or the "
            f"file is not shared with everyone); {source.by_hand}"
        )
    digest = hashlib.sha256(data).hexdigest()
    if sha256 is not None and digest != sha256:
        raise FetchError(
            f"{source.address}: its SHA-256 is {digest}, not {sha256} as asked; discarded; "
            f"check the hash, or {source.by_hand}"
        )
    if sha256 is None and pinned is not None and digest != pinned:
        raise FetchError(
            f"{source.address}: its SHA-256 is {digest}, but {pinned} at the first download; "
            f"discarded; if the change is right, pass --sha256 {digest}"
        )
    return digest
