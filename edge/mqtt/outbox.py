"""Which snapshots are on their way to a broker, and what to do with its answers.

A few are sent before the first is answered, in order.  What the broker has acknowledged (QoS 1)
moves the cursor; after a refusal or a lost connection it goes on behind that, one at first.
"""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.camera.sent import read_sent, write_sent
from edge.camera.store import PICTURE_NAME
from edge.files import open_regular, printable, read_bounded
from edge.picture.limits import MAX_BYTES

from .backlog import Backlog

if TYPE_CHECKING:
    from paho.mqtt.client import Client
    from paho.mqtt.reasoncodes import ReasonCode

    from edge.camera.store import Store

_LOG = logging.getLogger("edge.camera")
_CURSOR_S = 1.0
_WINDOW, _WINDOW_BYTES = 16, 4_000_000
"""How many messages may be on their way, and how many bytes before one more."""
_HEADER_BYTES = 100
NO_SUBSCRIBERS = 0x10
_MAYBE_TOO_LARGE = (0x82, 0x95)
_NEVER_TOO_LARGE = 4096
"""Bytes.  A broker that ends the connection over less has another reason."""


@dataclass(slots=True)
class _Message:
    number: int | None
    """Of the snapshot; None of its picture."""
    size: int
    acknowledged: bool = False


class Outbox:
    """The snapshots of a store that a broker hasn't acknowledged.

    Args:
        store: where they are.
        prefix: what their topics begin with.
        pictures: send the annotated picture of each, too, in front of it.

    """

    def __init__(self, store: Store, prefix: str, *, pictures: bool) -> None:
        self._store, self._prefix, self._pictures = store, prefix, pictures
        self._cursor = read_sent(store.folder)
        self._kept, self._kept_s, self._told = self._cursor.number, 0.0, False
        self._largest: float = float("inf")
        self._most = _WINDOW
        self._refused = 0
        self.rewind()

    @property
    def waiting(self) -> int:
        """How many aren't acknowledged, those counted that aren't there any more."""
        return self._store.logged - (self._cursor.number or 0)

    def to_dict(self) -> dict[str, int]:
        """Return numbers of snapshots; ``refused`` are messages that the broker won't ever take."""
        cursor = self._cursor
        counts = {"waiting": self.waiting, "sent": cursor.sent, "lost": cursor.lost}
        return counts | {"refused": self._refused}

    def rewind(self) -> None:
        """Go on behind what was acknowledged, one message at first."""
        self._pending: dict[int, _Message] = {}
        self._backlog = Backlog(self._store.folder, self._cursor.number or 0)
        self._window = 1
        self.answered_s: float | None = None
        """When the broker answered last, or should have begun to; None: nothing is on its way."""

    def go_back(self, number: int) -> None:
        """Send again what comes behind a snapshot, as far as it is still there."""
        if number < (self._cursor.number or 0):
            self._cursor.number = number
            self.rewind()

    def keep_cursor(self, now_s: float = float("inf")) -> None:
        """Note on the disk how far it has come: at once where all is answered, else now and then.

        A disk that fails is told once.
        """
        due = self.answered_s is None or now_s - self._kept_s >= _CURSOR_S
        if not due or self._kept == self._cursor.number:
            return
        self._kept_s = time.monotonic()
        try:
            write_sent(self._store.folder, self._cursor)
        except OSError as error:
            if not self._told:
                what = "what was sent can't be noted, and will be sent again after a restart"
                _LOG.warning("%s: %s: %s", printable(self._store.folder), what, error.strerror)
            self._told = True
        else:
            self._kept, self._told = self._cursor.number, False

    def limit(self, largest: float, at_once: int) -> None:
        """Heed what the broker says of itself: bytes of a message, and messages at once."""
        self._largest = min(self._largest, largest)
        self._most = max(1, min(_WINDOW, at_once - 3))

    def fill(self, client: Client) -> None:
        """Send as many as may be on their way."""
        with suppress(FileNotFoundError):  # the folder was deleted
            while self._has_room() and (found := self._backlog.take(self._store.logged)):
                self._send(client, *found)
        if not self._pending:
            self.answered_s = None
        elif self.answered_s is None:
            self.answered_s = time.monotonic()

    def acknowledge(self, mid: int, code: ReasonCode) -> bool | None:
        """Take an answer; True if the snapshot is taken, False if none should be sent for a while.

        None: it is of nothing that waits.
        """
        message = self._pending.get(mid)
        if message is None:
            return None
        self.answered_s = time.monotonic()
        if message.number is None:
            self._refused += code.is_failure
        elif code.is_failure or code.value == NO_SUBSCRIBERS:
            return False
        else:
            self._window = self._most
        message.acknowledged = True
        for each, first in list(self._pending.items()):
            if not first.acknowledged:
                break
            del self._pending[each]
            if first.number is not None:
                self._cursor.advance(first.number)
        return True

    def cut_off(self, code: ReasonCode) -> None:
        """Learn from a connection that the broker ended: over the largest message, perhaps.

        It would do so each time, and nothing would ever come behind.
        """
        if code.value in _MAYBE_TOO_LARGE and self._pending:
            size = max(message.size for message in self._pending.values())
            self._largest = max(_NEVER_TOO_LARGE, min(self._largest, size))

    def _has_room(self) -> bool:
        on_their_way = sum(message.size for message in self._pending.values())
        return len(self._pending) < self._window and on_their_way < _WINDOW_BYTES

    def _send(self, client: Client, number: int, line: bytes) -> None:
        picture = self._picture(line) if self._pictures else None
        if picture is not None and len(picture) + _HEADER_BYTES > self._largest:
            self._refused += 1
        elif picture is not None:
            sent = client.publish(f"{self._prefix}/picture", picture, qos=1, retain=True)
            self._pending[sent.mid] = _Message(None, len(picture))
        if len(line) + _HEADER_BYTES > self._largest:
            self._refused += 1
            line = json.dumps({"id": json.loads(line)["id"], "error": "too large"}).encode()
        sent = client.publish(f"{self._prefix}/snapshot", line, qos=1)
        self._pending[sent.mid] = _Message(number, len(line))

    def _picture(self, line: bytes) -> bytes | None:
        name = json.loads(line).get("saved")
        if not isinstance(name, str) or not PICTURE_NAME.fullmatch(name):
            return None
        with suppress(OSError), open_regular(os.path.join(self._store.folder, name)) as stream:
            return read_bounded(stream, MAX_BYTES)
        return None
