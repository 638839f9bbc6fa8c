"""Locks a folder, so that two loops don't write to it."""

from __future__ import annotations

import errno
import fcntl
import os

LOCK = ".snapshots.lock"
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What flock fails with on a network share, or another file system, that has no locks."""


def lock(path: str) -> tuple[int, bool]:
    """Open a file, made if missing, and lock it; return its descriptor, and whether it is locked.

    It isn't where the file system has no locks.

    Raises:
        BlockingIOError: another process holds the lock.
        OSError: it can't be opened.

    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return descriptor, False
        os.close(descriptor)
        if error.errno == errno.EACCES:  # what NFS says of a lock that another one holds
            raise BlockingIOError(errno.EAGAIN, "locked") from error
        raise
    return descriptor, True
