"""Whole files or none: reading within bounds, writing atomically."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME_PART = 100
"""How many bytes of a name its temporary file's has: encrypted folders allow 143 for a whole one
(eCryptfs), others 255."""


def printable(name: str | os.PathLike[str]) -> str:
    """Return a path as one line of text: control characters and lone surrogates escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in os.fspath(name)
    )


def read_bounded(stream: BinaryIO, max_bytes: int) -> bytes | None:
    """Return what is left in ``stream``, or None if that is more than ``max_bytes``.

    No more than ``max_bytes + 1`` bytes are ever read, so an endless stream ends too.
    """
    chunks: list[bytes] = []
    left = max_bytes + 1
    while left > 0 and (chunk := stream.read(min(left, 1 << 20))):
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks) if left > 0 else None


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open an ordinary file for reading; never wait for the writer of a FIFO.

    Raises:
        OSError: it can't be opened, or it is not an ordinary file.

    """
    # Without O_NONBLOCK, opening a FIFO nobody writes to would hang.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder", os.fspath(path))
    raise OSError(errno.EINVAL, "is not an ordinary file", os.fspath(path))


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Give a stream whose bytes get the name ``path`` when the block ends, whole.

    They go to a temporary file in the same folder, are flushed to the disk and renamed over
    ``path``; the folder's entry is flushed too.  On any error, the block's own too, the temporary
    file is removed and the old file stays as it was.

    Raises:
        OSError: as the system says it (no space, no permission, ...).

    """
    folder, name = os.path.split(os.path.abspath(path))
    # A part of the name, or a name as long as the file system allows would be too long here.
    part = name.encode("ascii", "ignore").decode()[:_NAME_PART]
    temporary = os.path.join(folder, f".{part}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _flush_folder(folder)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path`` so that whoever looks finds the old file or the new one, whole.

    Raises:
        OSError: as for :func:`replacing`.

    """
    with replacing(path) as stream:
        stream.write(data)


def _flush_folder(folder: str) -> None:
    # Some file systems (and Windows) can't flush a folder; the rename itself has happened.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
