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
import threading
import time
import urllib.error
import urllib.parse
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.files import open_regular, read_bounded, write_atomically
from edge.terminal import Progress

from .download import Sink, download_drive, download_https
from .errors import FetchError, UsageError
from .weights import MAX_BYTES
from .weights_file import is_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .download import Download

UPSTREAM_DRIVE_ID = "1-yatFvHQokK7fHaaaAMO2TkvlgkUnXhw"
"""The notebook's own weights file, ``model.h5``."""

TOTAL_FACTOR = 20
"""A download may take this many times the time-out of a silence, and then is given up."""

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class _Source:
    """Where remote weights are: what to call, with what, and what a person can open instead."""

    argument: str
    address: str
    """As anybody may see it: no query, which may be a key, and only the end of the path."""
    file_name: str
    on_drive: bool

    @property
    def by_hand(self) -> str:
        return f"fetch {self.address} by hand in a browser and pass --weights PATH"


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
        timeout_s: how long the other side may be silent; the whole download may take
            :data:`TOTAL_FACTOR` times that.
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
    source = _parse(spec)
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
    data = _fetch(source, drive if source.on_drive else https, timeout_s)
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


def _parse(spec: str) -> _Source | None:
    """Return where ``spec`` leads, or None if it is a path."""
    drive_id = UPSTREAM_DRIVE_ID if spec == "upstream" else None
    if spec.startswith("gdrive:"):
        drive_id = spec.removeprefix("gdrive:")
    if drive_id is not None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{10,100}", drive_id):
            raise UsageError(
                f"{spec}: no Drive id; it is the part after /d/ or id= of the file's link"
            )
        address = f"https://drive.google.com/file/d/{drive_id}/view"
        return _Source(drive_id, address, f"gdrive-{drive_id}.h5", on_drive=True)
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
    return _Source(spec, address, f"https-{digest}-{name or 'weights'}", on_drive=False)


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


def _fetch(source: _Source, download: Download, timeout_s: float) -> bytes:
    # A look-up of a host name has no time-out, and a byte now and then defeats that of a socket:
    # only a thread that can be left behind keeps the deadline.
    cancel = threading.Event()
    sink = Sink(cancel)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            download(source.argument, sink, timeout_s=timeout_s, cancel=cancel)
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits
            failures.append(error)

    worker = threading.Thread(target=work, name="fetch-weights", daemon=True)
    progress, start = Progress("weights: bytes"), time.monotonic()
    worker.start()
    try:
        while worker.is_alive():
            worker.join(_POLL_S)
            progress.update(sink.tell())
            taken = time.monotonic() - start
            if worker.is_alive() and taken > TOTAL_FACTOR * timeout_s:
                raise FetchError(
                    f"{source.address}: given up after {taken:.0f} s and {sink.tell():,} bytes;"
                    f" try again later, or {source.by_hand}"
                )
    finally:
        cancel.set()
        progress.clear()
    if failures and not isinstance(failures[0], Exception):
        raise failures[0]
    if failures:
        raise FetchError(_failure(source, failures[0])) from failures[0]
    return sink.getvalue()


def _failure(source: _Source, error: BaseException) -> str:
    if isinstance(error, ImportError):
        return (
            f"{source.address}: gdown is needed for Drive: pip install gdown; or {source.by_hand}"
        )
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        text = str(error.reason)
    else:
        text = str(error)
    text = " ".join(text.replace(source.argument, source.address).split())
    if " " not in text:  # a KeyError, for one, says only its key
        text = f"{type(error).__name__} {text}".rstrip()
    host = urllib.parse.urlsplit(source.address).hostname
    return (
        f"{source.address}: could not be fetched ({text[:240]}); this needs the internet, "
        f"{host} at least: try again, or {source.by_hand}"
    )


def _checked(data: bytes, source: _Source, sha256: str | None, pinned: str | None) -> str:
    """Return the hash of what was fetched.

    Raises:
        FetchError: it is no weights file, or not the one that is asked for.

    """
    if not is_weights(data):
        from edge.kinds import identify

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
