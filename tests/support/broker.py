"""A real broker, Debian's mosquitto, on loopback, and a subscriber that counts and asks."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_ASK_S = 0.5
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def until(done: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so, and fail where it takes for ever."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it takes for ever"
        time.sleep(0.01)


class Mosquitto:
    """The broker; it keeps what subscribers haven't taken yet over an orderly restart."""

    def __init__(self, folder: Path, *settings: str) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as first,
            socket.create_server(("127.0.0.1", 0)) as second,
        ):
            self.port, self.plain = first.getsockname()[1], second.getsockname()[1]
        folder.mkdir(exist_ok=True)
        self._file = folder / "mosquitto.conf"
        if not any(each.startswith("listener") for each in settings):
            settings = (*settings, "listener PORT 127.0.0.1\nallow_anonymous true")
        self._file.write_text(
            "\n".join(
                (
                    f"persistence true\npersistence_location {folder}/",
                    "max_queued_messages 0\nmax_inflight_messages 0",
                    *(() if os.geteuid() else ("user root",)),  # or it can't write to the folder
                    *(
                        each.replace("PORT", str(self.port)).replace("PLAIN", str(self.plain))
                        for each in settings
                    ),
                    "",
                )
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Mosquitto:
        self._process = subprocess.Popen(
            [MOSQUITTO or "", "-c", self._file],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._listens)
        return self

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self.send(number)
            self.send(signal.SIGCONT)
            self._process.wait()
            self._process = None


class Subscriber:
    """Takes a fleet's messages for good (QoS 1, a session that outlives connections); counts."""

    def __init__(self, port: int, topics: str = "derm/#", name: str = "counter") -> None:
        self.ids: list[str] = []
        """Of the snapshots, each once, as they came."""
        self.repeated = 0
        self.messages: dict[str, list[bytes]] = {}
        """Payloads of all other topics."""
        self._last: int | None = None
        self._missing: set[int] = set()
        self._asked_s = 0.0
        self.retained: dict[str, bytes] = {}
        self._known: set[str] = set()
        self._topics = topics
        self.ready = threading.Event()
        self._client = client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
        client.reconnect_delay_set(1, 1)
        client.on_connect = self._connected
        client.on_subscribe = lambda *_: self.ready.set()
        client.on_message = self._take
        about = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        about.SessionExpiryInterval = 86_400
        client.connect_async("127.0.0.1", port, 5, clean_start=False, properties=about)
        client.loop_start()
        assert self.ready.wait(60)

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(self._topics, qos=1)

    def _take(self, _client: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        topic = message.topic.rpartition("/")[2]
        if topic != "snapshot":
            self.messages.setdefault(topic, []).append(bytes(message.payload))
            if message.retain:
                self.retained[topic] = bytes(message.payload)
            return
        name = json.loads(message.payload)["id"]
        number = int(name[9:])
        if self._last is not None:
            self._missing |= set(range(self._last + 1, number))
        self._last = max(self._last or 0, number)
        if number in self._missing:  # more may be on their way
            self._missing.discard(number)
            self._asked_s = time.monotonic()
        self._topic = message.topic.replace("snapshot", "resend")
        self.ask()
        if name in self._known:
            self.repeated += 1
        else:
            self._known.add(name)
            self.ids.append(name)

    def ask(self) -> None:
        """Ask for what is missing, again where none of it comes: the question may get lost."""
        if self._missing and time.monotonic() - self._asked_s > _ASK_S:
            self._asked_s = time.monotonic()
            self._client.publish(self._topic, min(self._missing.copy()) - 1, qos=1)

    def has(self, count: int) -> bool:
        """Tell whether so many are there; else ask."""
        self.ask()
        return len(self.ids) == count

    @property
    def numbers(self) -> list[int]:
        """The numbers of the snapshots, each once, as they came."""
        return [int(each[9:]) for each in self.ids]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def come_back(self) -> None:
        """Connect once more, to the same session."""
        self._client.reconnect()
        self._client.loop_start()
