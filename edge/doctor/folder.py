"""Tries whether a folder can be written to, by writing to it."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING

from edge.rights import make, sudo

from .finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

_TRIAL_BYTES = 64 << 10
"""What is written to try a folder: more than a file system keeps beside a file's name."""
_FULL = (errno.ENOSPC, errno.EDQUOT)


def check_folder(
    folder: str | os.PathLike[str], min_free_bytes: int = 0, ours_bytes: int = 0
) -> Finding:
    """Try a folder by writing a file to it, flushed to the disk, and taking it away again.

    Folders that had to be made for it are taken away, too.

    Args:
        folder: what will be written to; it need not exist.
        min_free_bytes: fewer free bytes than this are a failure.
        ours_bytes: how many more can be made free, as files of ours are deleted there.

    """
    try:
        path = os.path.abspath(folder)
    except FileNotFoundError:
        return Finding("folder", "failed", "the folder that the shell is in was deleted", "cd")
    made = list(takewhile(lambda each: not os.path.isdir(each), _and_above(path)))
    try:
        os.makedirs(path, exist_ok=True)
        _try_writing(path)
        free = shutil.disk_usage(path).free
    except OSError as error:
        return _folder_failed(path, error)
    finally:
        for each in made:
            with suppress(OSError):  # not made, or something else has put a file there: it stays
                os.rmdir(each)
    text = f"{path}: {_size(free)} free"
    if free + ours_bytes < min_free_bytes:
        text = f"{text}, fewer than the {_size(min_free_bytes)} wanted: delete what is large"
        largest = sudo(f"du -xh --max-depth=2 {shlex.quote(path)} | sort -h | tail")
        return Finding("folder", "failed", text, largest)
    return Finding("folder", "ok", f"{text}, can be written")


def _and_above(path: str) -> Iterator[str]:
    while True:
        yield path
        path = os.path.dirname(path)


def _try_writing(folder: str) -> None:
    trial = os.path.join(folder, f".lesion-edge-{os.getpid()}-{os.urandom(4).hex()}.trial")
    try:
        with open(trial, "xb", buffering=0) as stream:
            left = _TRIAL_BYTES
            while left > 0:  # an unbuffered write may take a part only
                left -= stream.write(bytes(left))
            os.fsync(stream.fileno())
    finally:
        with suppress(FileNotFoundError):
            os.unlink(trial)


def _folder_failed(path: str, error: OSError) -> Finding:
    there = path
    while not os.path.lexists(there):  # df and findmnt know nothing of what isn't there
        there = os.path.dirname(there)
    fix = "choose another folder"
    if error.errno in _FULL:
        # All places for names (inodes) may be taken while bytes are left.
        fix = f"df -h {shlex.quote(there)}; df -i {shlex.quote(there)}"
    elif error.errno == errno.EROFS:
        fix = sudo(f'mount -o remount,rw "$(findmnt -no TARGET -T {shlex.quote(there)})"')
    elif error.errno in (errno.EACCES, errno.EPERM):
        fix = make(path, there) or fix
    if os.path.islink(there) and not os.path.exists(there):
        text = f"{there}: a link to {os.readlink(there)}, which isn't there"
        fix = f"connect that disk, or take the link away: rm {shlex.quote(there)}"
        return Finding("folder", "failed", text, fix)
    reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
    return Finding("folder", "failed", f"{path}: can't be written: {reason}", fix)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
