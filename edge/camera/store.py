"""Saves snapshots on a disk that may be full, read-only or cut off from its power any moment.

In the folder: ``snapshot-<UTC>-<run>-<number>.jpg``, the annotated pictures, each written whole
or not at all, and ``snapshots-<day>.jsonl``, a line for each snapshot, with run and number as its
``id``.  A picture carries its own line in a JPEG comment, so that the two belong together whatever
happens between them: a line that is missing is written again from the picture at the next start.

The clock may go back, on a board without one of its own to 1970: what is oldest is told by the
number, which goes on from the largest in the folder.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, TypeAlias

from edge.drawing import encode_annotated
from edge.errors import OutputError
from edge.files import printable, write_atomically
from edge.model.rule import UNCERTAIN
from edge.picture.comment import add_comment, read_comment

from .daylog import DayLogs, line_id, tail
from .lock import LOCK, lock
from .sent import read_sent

if TYPE_CHECKING:
    from .snapshot import Snapshot

_LOG = logging.getLogger("edge.camera")
PICTURE_NAME = re.compile(r"snapshot-\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{8}-\d{10}\.jpg")
_TEMPORARY = re.compile(r"\.snapshots?-[\w.-]+\.(?:jpg|jsonl?)\.\d+-[0-9a-f]{8}\.tmp")
LOG_NAME = re.compile(r"snapshots-\d{8}\.jsonl")
_LOGS_MENDED = 2
Policy: TypeAlias = Literal["all", "positive", "changed"]


class Store:
    """One folder of snapshots, for one loop at a time, and for any number of its threads.

    Args:
        folder: made if missing, and made again if it is deleted.
        policy: which pictures to save: all; those whose label is the positive one, or uncertain,
            which may be that; those whose label or frame state differs from the snapshot before.
        keep: how many pictures at most; the oldest go.  None is no limit.
        min_free_bytes: below so much free space the oldest files of ours go, then nothing more
            is saved.
        positive: the model's positive label.

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
        self._logs = DayLogs(folder)
        self._told_of_lock = False
        self._one_at_a_time = threading.Lock()
        self.saved = 0
        self.logged = 0
        """The number of the last snapshot whose line is on the disk for sure."""
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
            or (self._policy == "positive" and now[1] in (self._positive, UNCERTAIN))
            or (self._policy == "changed" and now != self._before)
        )
        with self._one_at_a_time:
            path = self._save(snapshot, picture=wanted)
            if self.reason is None:
                self._before = now
            return path

    def keep(self, snapshot: Snapshot) -> str | None:
        """Save a snapshot that a person wants to keep, with its picture whatever the policy says.

        As :meth:`save`; without an analysis there is no picture.
        """
        with self._one_at_a_time:
            return self._save(snapshot, picture=snapshot.analysis is not None)

    def delete(self, name: str) -> bool:
        """Delete a picture of ours and its line; False if there is none of this name.

        Raises:
            OSError: as the system says it.

        """
        with self._one_at_a_time:
            if name not in self._pictures:
                return False
            self._logs.remove(name[9:17], name)
            self._remove(name)
            self._pictures.remove(name)
            return True

    def _save(self, snapshot: Snapshot, *, picture: bool) -> str | None:
        try:
            if not os.path.isdir(self.folder) or self._lock is None:
                self._set_up()
            self._number += 1  # also of one that can't be saved: it is missed then
            self._make_room(f"{snapshot.captured_at:%Y%m%d}")
            path = self._write(snapshot, picture=picture)
        except OSError as error:
            self._degrade(error)
            return None
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
        at = snapshot.captured_at
        line = {"id": line_id(self._run, self._number), **snapshot.to_dict()}
        path = None
        if picture and snapshot.analysis is not None:
            # No colon: the folder may lie on a FAT file system.
            stamp = f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1000:03}Z"
            name = f"snapshot-{stamp}-{line['id']}.jpg"
            path = os.path.join(self.folder, name)
            line["saved"] = name
            jpeg = encode_annotated(path, snapshot.frame.image_bgr, snapshot.analysis)
            write_atomically(path, add_comment(jpeg, line))
            self._pictures.append(name)
            self.saved += 1
        try:
            self._logs.append(f"{at:%Y%m%d}", [line])
        except OSError:
            if path is not None:
                self._remove(self._pictures.pop())
                self.saved -= 1
            raise
        self.logged = self._number
        return path

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
        """Remove logs of days of which no picture is left, as many as it takes.

        The one to write to stays.
        """
        oldest = self._pictures[0][9:17] if self._pictures else "99999999"
        kept = {today, *(name[9:17] for name in self._pictures)}
        for name in sorted(filter(LOG_NAME.fullmatch, os.listdir(self.folder))):
            if name[10:18] < oldest and name[10:18] not in kept:
                self._remove(name)
                if self._free() >= self._min_free:
                    return

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
        self._pictures = deque(sorted(filter(PICTURE_NAME.fullmatch, names), key=_number))
        logs = list(filter(LOG_NAME.fullmatch, names))
        paths = [os.path.join(self.folder, log) for log in logs]
        self._number = max(
            self._number,
            *map(_number, list(self._pictures)[-1:]),
            *(tail(path)[0] for path in paths),
            read_sent(self.folder).most or 0,  # or new ones would be taken for sent
        )
        # Only what was written last can be torn; a year of logs is too much to read.
        logs.sort(key=lambda name: os.path.getmtime(os.path.join(self.folder, name)))
        # The clock may have gone back: the last by their times need not be the last written.
        newest = {name[9:17] for name in list(self._pictures)[-_LOGS_MENDED:]}
        days = {name[10:18] for name in logs[-_LOGS_MENDED:]}
        days |= newest & {name[10:18] for name in logs}
        whole = {name[10:18] for name in logs} - days
        logged = {day: self._logs.mend(day) for day in days}
        for day in sorted({name[9:17] for name in self._pictures} - whole):
            missing = [
                line
                for name in self._pictures
                if name[9:17] == day and name not in logged.get(day, ())
                if (line := read_comment(os.path.join(self.folder, name))) is not None
            ]
            if missing:
                self._logs.append(day, missing)
        self.logged = self._number

    def _degrade(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        if reason != self.reason:
            _LOG.warning(
                "%s: not saving: %s; snapshots go on without", printable(self.folder), reason
            )
            self.reason = reason


def pictures_bytes(folder: str) -> int:
    """Return the size of all pictures of ours in a folder, which go where the disk gets full."""
    try:
        with os.scandir(folder) as entries:
            return sum(
                entry.stat(follow_symlinks=False).st_size
                for entry in entries
                if PICTURE_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            )
    except OSError:
        return 0


def _number(name: str) -> int:
    """Return which picture of its folder one is: 1 was the first."""
    return int(name[-14:-4])
