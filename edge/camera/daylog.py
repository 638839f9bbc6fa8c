"""Keeps the log of each day, a line for each snapshot, whole whatever the disk does."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edge.files import open_regular, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable

_NUMBER = re.compile(rb'^\{"id": "[0-9a-f]{8}-(\d{10})"', re.MULTILINE)
_TAIL, _TAIL_MOST = 8192, 1 << 20


def line_id(run: str, number: int) -> str:
    """Return what a line is known by: the run of the program that wrote it, and its number."""
    return f"{run}-{number:010}"


def line_number(line: bytes) -> int:
    """Return the number of a line as :meth:`DayLogs.append` writes it; 0 if it has none."""
    match = _NUMBER.match(line)
    return int(match[1]) if match else 0


def tail(path: str) -> tuple[int, int]:
    """Return the largest number among a log's last lines, 0 for none, and where the last begins.

    Raises:
        OSError: as the system says it.

    """
    with open_regular(path) as stream:
        size, back = stream.seek(0, os.SEEK_END), _TAIL
        while True:
            start = stream.seek(max(0, size - back))
            data = stream.read(size - start)
            numbers = [int(number) for number in _NUMBER.findall(data)]
            if numbers or start == 0 or data.count(b"\n") > 1 or back > _TAIL_MOST:
                before = data.rfind(b"\n", 0, max(0, data.rfind(b"\n")))
                return max(numbers, default=0), start + before + 1
            back *= 8


class DayLogs:
    """The files ``snapshots-<day>.jsonl`` of a folder, a day as in 20260131.

    Raises:
        OSError: from any method, as the system says it.

    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._mended: set[str] = set()

    def append(self, day: str, lines: Iterable[dict[str, Any]]) -> None:
        """Add lines to a day's log, and leave nothing of them there if that fails."""
        if day not in self._mended:
            self.mend(day)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(self._path(day), flags, 0o644)
        with open(descriptor, "ab", buffering=0) as stream:
            size = os.fstat(descriptor).st_size
            left = memoryview("".join(json.dumps(line) + "\n" for line in lines).encode())
            try:
                while left:  # a full disk takes a part first, and refuses the rest
                    left = left[stream.write(left) :]
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise

    def remove(self, day: str, name: str) -> None:
        """Take the line of a picture out of a day's log."""
        try:
            with open_regular(self._path(day)) as stream:
                lines = stream.readlines()
        except FileNotFoundError:
            return
        sign = json.dumps({"saved": name})[1:-1].encode()  # as append() writes it, and no other
        left = [line for line in lines if sign not in line]
        write_atomically(self._path(day), b"".join(left))

    def mend(self, day: str) -> set[str]:
        """Cut off half a line at the end; return the names of the pictures that have a line."""
        self._mended.add(day)
        names: set[str] = set()
        try:
            descriptor = os.open(self._path(day), os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            return names
        with open(descriptor, "r+b") as stream:
            whole = 0
            for line in stream:
                if line.endswith(b"\n"):
                    whole += len(line)
                    with suppress(ValueError, AttributeError):
                        names.add(str(json.loads(line).get("saved")))
            if whole < os.fstat(descriptor).st_size:
                stream.truncate(whole)
                os.fsync(descriptor)
        return names

    def _path(self, day: str) -> str:
        return os.path.join(self._folder, f"snapshots-{day}.jsonl")
