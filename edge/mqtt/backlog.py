"""Reads what a store has logged and nobody has sent, in order, a few lines at a time.

The logs are the queue.  They are read while a loop adds to them, a person deletes a picture and
its line, and a full disk takes the oldest away.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from edge.camera.daylog import line_number, tail
from edge.camera.store import LOG_NAME
from edge.files import open_regular

_CHUNK = 16_384
"""How many bytes of each log are in memory; there is a log for each day."""


@dataclass(slots=True)
class _Log:
    path: str
    done: int
    """How many of its bytes were read ..."""
    last: bytes = b""
    """... and the last line of them, by which a log that was written anew is known."""
    lines: deque[tuple[int, bytes]] = field(default_factory=deque)

    def is_changed(self) -> bool:
        """Tell whether it isn't as long as what was read of it."""
        with suppress(FileNotFoundError):
            return os.stat(self.path).st_size != self.done
        return False

    def fill(self, after: int, upto: int) -> bool:
        """Have lines of numbers over ``after``, of those up to ``upto``; False if there is none."""
        while self.lines and self.lines[0][0] <= after:
            self.lines.popleft()
        with suppress(FileNotFoundError):
            while not self.lines and self._read(after, upto):
                pass
        return bool(self.lines)

    def _read(self, after: int, upto: int) -> bool:
        before = self.done
        with open_regular(self.path) as stream:
            stream.seek(self.done - len(self.last))
            if stream.read(len(self.last)) != self.last:
                self.done, self.last = 0, b""
                stream.seek(0)
            start = self.done
            for line in stream.readlines(_CHUNK):
                number = line_number(line)
                # A line that isn't safely on the disk yet may go, and its place be another's.
                if number > upto or not line.endswith(b"\n"):
                    break
                self.done += len(line)
                self.last = line
                if number > after:
                    self.lines.append((number, line))
        return self.done > start or start < before


class Backlog:
    """The lines of a folder whose number is larger than that of the last that was sent.

    Args:
        folder: a store's.
        after: the number of the last that was sent.

    """

    def __init__(self, folder: str, after: int) -> None:
        self._folder, self._after = folder, after
        self._upto = -1
        self._logs: dict[str, _Log] = {}
        self._left: list[_Log] = []

    def take(self, upto: int) -> tuple[int, bytes] | None:
        """Return the next line and its number; None if there is no more up to a number.

        Args:
            upto: what is on the disk for sure (:attr:`edge.camera.store.Store.logged`).

        Raises:
            OSError: as the system says it.

        """
        if upto > self._upto:
            self._look()
            self._upto = upto
        self._left = [log for log in self._left if log.fill(self._after, upto)]
        if not self._left:
            return None
        # Where the clock went back, a day's log has later lines than the next day's.
        number, line = min(self._left, key=lambda log: log.lines[0][0]).lines.popleft()
        self._after = number
        return number, line.rstrip(b"\n")

    def _look(self) -> None:
        """Find logs with more in them than was read; those that were sent whole are passed over."""
        names = set(filter(LOG_NAME.fullmatch, os.listdir(self._folder)))
        for gone in self._logs.keys() - names:
            del self._logs[gone]
        for name in names:
            path = os.path.join(self._folder, name)
            with suppress(FileNotFoundError):
                if name not in self._logs:
                    number, start = tail(path)
                    self._logs[name] = _Log(path, 0 if number > self._after else start)
        self._left = [log for log in self._logs.values() if log.lines or log.is_changed()]
