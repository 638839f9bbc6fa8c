"""Tells systemd and a status file how the loop is doing (systemd's protocol: sd_notify(3)).

Both are told of finished cycles only, so that a loop that hangs falls silent.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from edge.doctor import board
from edge.files import printable, write_atomically

if TYPE_CHECKING:
    from .snapshot import Status
    from .store import Store

_LOG = logging.getLogger("edge.camera")


class Sender(Protocol):
    """What sends snapshots on; :class:`edge.mqtt.publisher.Publisher` is one."""

    def to_dict(self) -> dict[str, Any]:
        """Return how it is doing, as plain JSON types."""


class SystemdNotifier:
    """Datagrams to the socket that systemd names in NOTIFY_SOCKET; without one, nothing happens.

    ``@`` at the start of its path is the abstract name space.
    """

    def __init__(self, address: str | None = None) -> None:
        address = os.environ.get("NOTIFY_SOCKET") if address is None else address
        self._address = "\0" + address[1:] if address and address[0] == "@" else address
        self._ready = "READY=1\n"

    def cycle(self, status: Status) -> None:
        """Say READY once, then what the loop does, and that it is alive."""
        self.send(f"{self._ready}STATUS={summary(status)}\nWATCHDOG=1")
        self._ready = ""

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
    """A JSON file that says how the loop is doing, replaced at each cycle.

    Put it on a file system in memory, such as ``/run``: it wears an SD card otherwise.
    """

    def __init__(self, path: str, store: Store | None, sender: Sender | None = None) -> None:
        self._path, self._store, self._sender = path, store, sender
        self._told = False

    def cycle(self, status: Status) -> None:
        """Write the file; a disk that fails is no reason to stop, and told once."""
        told = json.dumps(health(status, self._store, self._sender))
        try:
            write_atomically(self._path, told.encode() + b"\n")
        except OSError as error:
            if not self._told:
                what = f"{printable(self._path)}: the status can't be written"
                _LOG.warning("%s: %s", what, error.strerror)
            self._told = True
        else:
            self._told = False


def summary(status: Status) -> str:
    """Return one line about the loop for a person."""
    text = f"camera {status.camera.value}, {status.counts.get('snapshots', 0)} snapshots"
    if status.last_good is not None:
        text += f", last good {status.last_good.captured_at:%Y-%m-%d %H:%M:%S} UTC"
    if status.failed_tries:
        text += f"; {status.failed_tries} failed tries: {status.reason}"
    return text.replace("\n", " ")


def health(status: Status, store: Store | None, sender: Sender | None = None) -> dict[str, Any]:
    """Return counts, last good snapshot, camera, disk, sending and board, as plain JSON types."""
    throttling = board.throttling()
    saving = store and {"folder": store.folder, "saved": store.saved, "not_saving": store.reason}
    return {
        "camera": {
            "state": status.camera.value,
            "failed_tries": status.failed_tries,
            "failures": status.failures,
            "reason": status.reason or None,
        },
        "counts": dict(status.counts),
        "last_good": status.last_good and status.last_good.to_dict(),
        "frame_state": status.frame_state,
        "store": saving,
        **({} if sender is None else {"mqtt": sender.to_dict()}),
        "temperature_c": board.temperature_c(),
        "throttling": None if throttling is None else list(throttling),
    }
