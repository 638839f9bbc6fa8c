"""Snapshots on a disk that may be full, read-only, or cut off from its power at any moment.

In the folder: ``snapshot-<UTC>-<run>-<number>.jpg``, the annotated pictures, each written whole
or not at all, and ``snapshots-<day>.jsonl``, a line for each snapshot.  A picture carries its own
line in a JPEG comment, so that the two belong together whatever happens between them: a line that
is missing is written again from the picture at the next start.

The clock may go back, on a board without one of its own to 1970: what is oldest is told by the
number, which goes on from the largest in the folder.  Numbers of fewer than ten digits are an older
version's, which began at 1 in each run: those pictures are older than the others, and go by time.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import shutil
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from edge.drawing import encode_annotated
from edge.errors import OutputError
from edge.files import printable, write_atomically
from edge.picture.comment import add_comment, read_comment

if TYPE_CHECKING:
    from .snapshot import Snapshot

_LOG = logging.getLogger("edge.camera")
_PICTURE = re.compile(r"snapshot-(\d{8})T\d{6}\.\d{3}Z-[0-9a-f]{8}-(\d{6,})\.jpg")
_TEMPORARY = re.compile(r"\.snapshot-[\w.-]+\.(?:jpg|jsonl)\.\d+-[0-9a-f]{8}\.tmp")
_DAY = re.compile(r"snapshots-(\d{8})\.jsonl")
LOCK = ".snapshots.lock"
_LOGS_MENDED = 2
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What flock fails with on a network share, or another file system, that has no locks."""

Policy: TypeAlias = Literal["all", "positive", "changed"]


class Store:
    """One folder of snapshots, for one loop at a time.

    Args:
        folder: made if missing, and made again if it is deleted.
        policy: which pictures to save: all; those whose label is the model's second
            (malignant); those whose label or frame state differs from the snapshot before.
        keep: how many pictures at most; the oldest go.  None is no limit.
        min_free_bytes: below so much free space the oldest files of ours go, then nothing more
            is saved.

    Raises:
        OutputError: another loop writes to this folder.

    """

    def __init__(
        self,
        folder: str,
        *,
        policy: Policy = "all",
        keep: int | None = 1000,
        min_free_bytes: int = 0,
        positive: str = "malignant",
    ) -> None:
        self.folder = folder
        self._policy, self._keep, self._min_free = policy, keep, min_free_bytes
        self._positive = positive
        self._run = os.urandom(4).hex()
        self._number = 0
        self._before: tuple[str, str | None] | None = None
        self._lock: int | None = None
        self._pictures: deque[str] = deque()
        self._mended: set[str] = set()
        self._told_of_lock = False
        self.saved = 0
        self.reason: str | None = None
        """Why nothing can be saved just now; None if all is well."""
        try:
            self._set_up()
        except BlockingIOError as error:
            raise OutputError(
                f"{printable(folder)}: another loop writes to this folder: give each its own"
            ) from error
        except OSError as error:
            self._degrade(error)

    def save(self, snapshot: Snapshot) -> str | None:
        """Save a snapshot's line, and its picture if the policy says so; return its path.

        Never raises: a disk that fails is a state of the store, logged once and tried again.
        """
        now = (snapshot.frame_state, snapshot.analysis.label if snapshot.analysis else None)
        wanted = snapshot.analysis is not None and (
            self._policy == "all"
            or (self._policy == "positive" and now[1] == self._positive)
            or (self._policy == "changed" and now != self._before)
        )
        try:
            if not os.path.isdir(self.folder) or self._lock is None:
                self._set_up()
            self._make_room(f"{snapshot.captured_at:%Y%m%d}")
            path = self._write(snapshot, picture=wanted)
        except OSError as error:
            self._degrade(error)
            return None
        self._before = now
        if self.reason is not None:
            _LOG.warning("%s: saving again", printable(self.folder))
            self.reason = None
        return path

    def close(self) -> None:
        """Let another loop have the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _write(self, snapshot: Snapshot, *, picture: bool) -> str | None:
        self._number += 1
        at = snapshot.captured_at
        line = snapshot.to_dict()
        path = None
        if picture and snapshot.analysis is not None:
            # No colon: the folder may lie on a FAT file system.
            stamp = f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03}Z"
            name = f"snapshot-{stamp}-{self._run}-{self._number:010}.jpg"
            path = os.path.join(self.folder, name)
            line["saved"] = name
            jpeg = encode_annotated(path, snapshot.frame.image_bgr, snapshot.analysis)
            write_atomically(path, add_comment(jpeg, line))
            self._pictures.append(name)
            self.saved += 1
        try:
            self._append(f"{at:%Y%m%d}", [line])
        except OSError:
            if path is not None:
                self._remove(self._pictures.pop())
                self.saved -= 1
            raise
        return path

    def _append(self, day: str, lines: list[dict[str, Any]]) -> None:
        """Add lines to a day's log, and leave nothing of them there if that fails."""
        text = "".join(json.dumps(line) + "\n" for line in lines).encode()
        path = os.path.join(self.folder, f"snapshots-{day}.jsonl")
        if day not in self._mended:
            self._mend_log(day)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            try:
                left = memoryview(text)
                while left:  # a full disk takes a part first, and refuses the rest
                    left = left[os.write(descriptor, left) :]
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)

    def _make_room(self, today: str) -> None:
        while self._keep is not None and len(self._pictures) >= max(1, self._keep):
            self._remove(self._pictures.popleft())
        if self._free() < self._min_free:
            self._remove_old_logs(today)
        while self._free() < self._min_free:
            if not self._pictures:
                raise OSError(
                    errno.ENOSPC, f"less than {self._min_free / 1e6:.0f} MB are free on the disk"
                )
            self._remove(self._pictures.popleft())

    def _remove_old_logs(self, today: str) -> None:
        """Remove the logs of days of which no picture is left, but not the one to write to."""
        oldest = self._pictures[0][9:17] if self._pictures else "99999999"
        kept = {today, *(name[9:17] for name in self._pictures)}
        for name in filter(_DAY.fullmatch, os.listdir(self.folder)):
            if name[10:18] < oldest and name[10:18] not in kept:
                self._remove(name)

    def _free(self) -> int:
        return shutil.disk_usage(self.folder).free

    def _remove(self, name: str) -> None:
        path = os.path.join(self.folder, name)
        with suppress(FileNotFoundError):
            if not os.path.islink(path):
                os.unlink(path)

    def _set_up(self) -> None:
        os.makedirs(self.folder, exist_ok=True)
        self.close()
        self._lock, locked = lock(os.path.join(self.folder, LOCK))
        if not locked and not self._told_of_lock:
            self._told_of_lock = True
            _LOG.warning(
                "%s: this file system has no locks: let no second loop write to this folder",
                printable(self.folder),
            )
        self._sweep()

    def _sweep(self) -> None:
        """Mend what a sudden end left: temporary files, half a line, a picture without its line."""
        with os.scandir(self.folder) as entries:
            names = sorted(e.name for e in entries if e.is_file(follow_symlinks=False))
        for name in filter(_TEMPORARY.fullmatch, names):
            self._remove(name)
        self._pictures = deque(sorted(filter(_PICTURE.fullmatch, names), key=_age_order))
        if self._pictures:
            self._number = max(self._number, _age_order(self._pictures[-1])[0])
        # Only what was written last can be torn; a year of logs is too much to read.
        logs = sorted(
            filter(_DAY.fullmatch, names),
            key=lambda name: os.path.getmtime(os.path.join(self.folder, name)),
        )
        # The clock may have gone back: the last by their times need not be the last written.
        newest = {name[9:17] for name in list(self._pictures)[-_LOGS_MENDED:]}
        days = {name[10:18] for name in logs[-_LOGS_MENDED:]}
        days |= newest & {name[10:18] for name in logs}
        whole = {name[10:18] for name in logs} - days
        logged = {day: self._mend_log(day) for day in days}
        for day in sorted({name[9:17] for name in self._pictures} - whole):
            missing = [
                line
                for name in self._pictures
                if name[9:17] == day and name not in logged.get(day, ())
                if (line := read_comment(os.path.join(self.folder, name))) is not None
            ]
            if missing:
                self._append(day, missing)

    def _mend_log(self, day: str) -> set[str]:
        """Cut off half a line at the end; return the names of the pictures that have a line."""
        self._mended.add(day)
        path = os.path.join(self.folder, f"snapshots-{day}.jsonl")
        names: set[str] = set()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return names
        with open(descriptor, "r+b") as stream:
            whole = 0
            for line in stream:
                if line.endswith(b"\n"):
                    whole += len(line)
                    with suppress(ValueError, AttributeError):
                        names.add(str(json.loads(line).get("saved")))
            if whole < os.fstat(stream.fileno()).st_size:
                stream.truncate(whole)
                os.fsync(stream.fileno())
        return names

    def _degrade(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        if reason != self.reason:
            _LOG.warning(
                "%s: not saving: %s; snapshots go on without", printable(self.folder), reason
            )
            self.reason = reason


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


def pictures_bytes(folder: str) -> int:
    """Return the size of all pictures of ours in a folder, which go where the disk gets full."""
    try:
        with os.scandir(folder) as entries:
            return sum(
                entry.stat(follow_symlinks=False).st_size
                for entry in entries
                if _PICTURE.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            )
    except OSError:
        return 0


def _age_order(name: str) -> tuple[int, str]:
    """Return what a picture's name is sorted by, from the oldest to the newest."""
    match = _PICTURE.fullmatch(name)
    assert match is not None
    return (int(match[2]) if len(match[2]) >= 10 else 0), name
