"""systemd's notify protocol (sd_notify(3)), and a status file: who supervises the loop is told.

Both are told of finished cycles only, so that a loop that hangs falls silent.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edge.doctor import board
from edge.files import printable, write_atomically

if TYPE_CHECKING:
    from .loop import SnapshotLoop
    from .store import Store

_LOG = logging.getLogger("edge.camera")


class SystemdNotifier:
    """Datagrams to the socket that systemd names in NOTIFY_SOCKET; without one, nothing happens.

    Args:
        address: the socket's path; ``@`` at its start is the abstract name space.

    """

    def __init__(self, address: str | None = None) -> None:
        address = os.environ.get("NOTIFY_SOCKET") if address is None else address
        self._address = "\0" + address[1:] if address and address[0] == "@" else address
        self._ready = False

    def cycle(self, loop: SnapshotLoop) -> None:
        """Say READY once, then what the loop does, and that it is alive."""
        ready = "" if self._ready else "READY=1\n"
        self._ready = True
        self.send(f"{ready}STATUS={summary(loop)}\nWATCHDOG=1")

    def stopping(self) -> None:
        """Say that the loop has been told to end."""
        self.send("STOPPING=1")

    def send(self, text: str) -> None:
        """Send assignments, one a line; a supervisor that isn't there is no error."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.settimeout(1.0)
            connection.sendto(text.encode(), self._address)


class StatusFile:
    """A JSON file that says how the loop is, replaced at each cycle.

    Put it on a file system in memory, such as ``/run``: it wears an SD card otherwise.
    """

    def __init__(self, path: str, store: Store | None) -> None:
        self._path, self._store = path, store
        self._told = False

    def cycle(self, loop: SnapshotLoop) -> None:
        """Write the file; a disk that fails is no reason to stop, and told once."""
        try:
            write_atomically(self._path, json.dumps(health(loop, self._store)).encode() + b"\n")
        except OSError as error:
            if not self._told:
                _LOG.warning(
                    "%s: the status can't be written: %s", printable(self._path), error.strerror
                )
            self._told = True
        else:
            self._told = False


class Both:
    """Several notifiers as one."""

    def __init__(self, *notifiers: SystemdNotifier | StatusFile) -> None:
        self._notifiers = notifiers

    def cycle(self, loop: SnapshotLoop) -> None:
        """Tell each."""
        for notifier in self._notifiers:
            notifier.cycle(loop)


def summary(loop: SnapshotLoop) -> str:
    """Return one line about the loop for a person."""
    camera = loop.supervisor
    text = f"camera {camera.state}, {loop.counts['snapshots']} snapshots"
    if loop.last_good is not None:
        text += f", last good {loop.last_good.captured_at:%Y-%m-%d %H:%M:%S} UTC"
    if camera.attempts:
        text += f"; {camera.attempts} failed tries: {camera.reason}"
    return text.replace("\n", " ")


def health(loop: SnapshotLoop, store: Store | None) -> dict[str, Any]:
    """Return counts, last good snapshot, camera, disk and board, as plain JSON types."""
    camera, last = loop.supervisor, loop.last_good
    throttling = board.throttling()
    return {
        "camera": {
            "state": camera.state,
            "failed_tries": camera.attempts,
            "failures": camera.failures,
            "reason": camera.reason or None,
        },
        "counts": dict(loop.counts),
        "last_good": last.to_dict() if last else None,
        "store": None
        if store is None
        else {"folder": store.folder, "saved": store.saved, "not_saving": store.reason},
        "temperature_c": board.temperature_c(),
        "throttling": None if throttling is None else list(throttling),
    }
