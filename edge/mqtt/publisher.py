"""Sends what a store has logged to a broker, each snapshot once and in order.

It has a thread of its own, and the camera's loop never waits for it.  The store's logs are the
queue, with a cursor beside them; what was on its way when a connection was lost, or the process
killed, may come twice: the ``id`` tells.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import error_string

from edge.camera.notify import health

from .connection import Patience, connect, explain, hang_up, refusal
from .discovery import discovery
from .outbox import NO_SUBSCRIBERS, Outbox

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from edge.camera.snapshot import Status
    from edge.camera.store import Store

    from .broker import Broker

_LOG = logging.getLogger("edge.camera")
_TICK_S, _STATUS_S = 0.5, 10.0
_UNSPECIFIED = 0x80
_NUMBER_MOST = 11


def publish(
    broker: Broker, store: Store, positive: str, *, pictures: bool, discovered_below: str
) -> Publisher:
    """Begin to send what a store has and will have; return what does.

    See :class:`Publisher` and :func:`discovery`; ``discovered_below`` may be empty for none.
    """
    greeting = None
    if discovered_below:
        greeting = discovery(broker, discovered_below, positive, pictures=pictures)
    if broker.user is not None and broker.tls is None:
        _LOG.warning("%s: user and password go there unencrypted: use mqtts://", broker.name)
    publisher = Publisher(broker, store, greeting=greeting, pictures=pictures)
    publisher.start()
    return publisher


class Publisher:
    """Sends a store's snapshots, and is a notifier of the loop that fills it.

    Args:
        broker: to whom.
        store: the loop's own.
        greeting: topic and message of Home Assistant's discovery; None for none.
        pictures: send the annotated picture of each snapshot, too, in front of it.
        patience: how long to wait.

    """

    def __init__(
        self,
        broker: Broker,
        store: Store,
        *,
        greeting: tuple[str, str] | None = None,
        pictures: bool = False,
        patience: Patience | None = None,
    ) -> None:
        self._broker, self._store, self._greeting = broker, store, greeting
        self._patience = patience or Patience()
        self._outbox = Outbox(store, broker.prefix, pictures=pictures)
        self._status: Status | None = None
        self._told: Status | None = None
        self._told_s = float("-inf")
        self._wait_s = self._patience.retry_s
        self._hold_s = 0.0
        self._warned = ""
        self._ending = threading.Event()
        self._end_s = float("inf")
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self.connected = False
        self.reason: str | None = None
        """Why nothing is sent just now; None if all is well."""

    def start(self) -> None:
        """Begin, on a thread of its own."""
        self._thread.start()

    def cycle(self, status: Status) -> None:
        """Be told by the loop how it is doing; what is news gets sent."""
        self._status = status

    def close(self) -> None:
        """Send what is left, for as long as patience has it, and say that the device is gone."""
        self._end_s = time.monotonic() + self._patience.close_s
        self._ending.set()
        self._thread.join(self._patience.close_s + 2 * _TICK_S)

    def to_dict(self) -> dict[str, Any]:
        """Return how it is doing, as plain JSON types."""
        return {
            "connected": self.connected,
            "reason": self.reason,
            **self._outbox.to_dict(),
        }

    def _run(self) -> None:
        while not self._ending.is_set():
            began_s = time.monotonic()
            try:
                reason = self._session()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                reason = explain(error)
            self.connected = False
            if reason is not None:
                self._note(reason)
            if time.monotonic() - began_s > self._patience.retry_most_s:
                self._wait_s = self._patience.retry_s
            self._ending.wait(self._back_off_s())

    def _session(self) -> str | None:
        """Connect and send for as long as that goes well; return why it doesn't any more.

        None is that it was told to end.
        """
        self._problem, self._greeted, self._hold_s = "", False, 0.0
        self._outbox.rewind()
        client = connect(self._broker, self._patience.keepalive_s)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish, client.on_message = self._on_publish, self._on_message
        try:
            while not self._problem:
                if code := client.loop(_TICK_S):
                    return self._problem or error_string(code)
                if self.connected:
                    self._work(client)
                if self._ending.is_set() and self._is_done():
                    self._leave(client)
                    return None
        finally:
            hang_up(client)
            self._outbox.keep_cursor()
        return self._problem

    def _work(self, client: Client) -> None:
        now = time.monotonic()
        if not self._greeted:
            self._greeted = True
            client.subscribe(f"{self._broker.prefix}/resend", qos=1)
            self._tell(client, "availability", "online")
            if self._greeting is not None:
                client.publish(*self._greeting, qos=1, retain=True)
        if now >= self._hold_s:
            self._outbox.fill(client)
        answered_s = self._outbox.answered_s
        if answered_s is not None and now - answered_s > self._patience.answer_s:
            self._problem = "no answer"
        if now - self._told_s >= _STATUS_S:
            self._tell_status(client)
        self._outbox.keep_cursor(now)

    def _tell(self, client: Client, topic: str, payload: str, qos: int = 1) -> None:
        client.publish(f"{self._broker.prefix}/{topic}", payload, qos=qos, retain=True)

    def _tell_status(self, client: Client) -> None:
        status = self._status
        if status is not None and status is not self._told:
            self._told, self._told_s = status, time.monotonic()
            at = datetime.now(timezone.utc).isoformat(timespec="seconds")
            told = {"at": at, **health(status, self._store, self)}
            self._tell(client, "status", json.dumps(told), qos=0)

    def _is_done(self) -> bool:
        now = time.monotonic()
        waits = self.connected and self._outbox.waiting > 0 and now >= self._hold_s
        return not waits or now >= self._end_s

    def _leave(self, client: Client) -> None:
        if self.connected:
            self._tell_status(client)
            self._tell(client, "availability", "offline")
            client.disconnect()
            until = time.monotonic() + 2 * _TICK_S
            while time.monotonic() < until and not client.loop(_TICK_S):
                pass

    def _note(self, reason: str | None) -> None:
        """Keep why nothing is sent, and log it once until all is well again, which is None."""
        self.reason = reason
        if reason is None and self._warned:
            _LOG.warning("%s: sending again", self._broker.name)
            self._warned = ""
        elif reason is not None and reason != self._warned:
            _LOG.warning("%s: %s; results wait on the disk", self._broker.name, reason)
            self._warned = reason

    def _back_off_s(self) -> float:
        wait_s = self._wait_s * random.uniform(0.7, 1.0)  # noqa: S311 - a fleet isn't to come at once
        self._wait_s = min(2 * self._wait_s, self._patience.retry_most_s)
        return wait_s

    def _on_connect(
        self, _client: Client, _: Any, _flags: Any, code: ReasonCode, about: Properties | None
    ) -> None:
        if code.is_failure:
            self._problem = refusal(code)
            return
        self.connected, self.reason = True, None
        largest = getattr(about, "MaximumPacketSize", float("inf"))
        self._outbox.limit(largest, getattr(about, "ReceiveMaximum", 65_535))

    def _on_disconnect(
        self, _client: Client, _: Any, _flags: Any, code: ReasonCode, _about: Any
    ) -> None:
        self._outbox.cut_off(code)
        lost = "connection lost" if code.value == _UNSPECIFIED else f"connection lost: {code}"
        # A broker that has refused something may end the connection without a word, too.
        self._problem = self._problem or (self._hold_s and self.reason) or lost

    def _on_publish(self, _client: Client, _: Any, mid: int, code: ReasonCode, _about: Any) -> None:
        taken = self._outbox.acknowledge(mid, code)
        if taken is False:
            nobody = f"nobody subscribes to {self._broker.prefix}/snapshot"
            self._note(nobody if code.value == NO_SUBSCRIBERS else refusal(code))
            self._hold_s = time.monotonic() + self._back_off_s()
            self._outbox.rewind()
        elif taken:
            if self._hold_s:
                self._hold_s, self._wait_s = 0.0, self._patience.retry_s
            self._note(None)

    def _on_message(self, _client: Client, _: Any, message: MQTTMessage) -> None:
        """Go back where somebody misses some, as a broker that was killed forgets what it took."""
        asked = message.payload[:_NUMBER_MOST]
        if asked.isdigit():
            self._outbox.go_back(int(asked))
