"""One connection to a broker: made, tried, and what is said where it can't be had."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from edge.doctor.finding import Finding

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

    from .broker import Broker

_TRY_S = 10.0
_FIXES = {
    0x84: "it has to speak MQTT 5, as Mosquitto does from 1.6 on",
    0x86: "--mqtt-login FILE",
    0x87: "--mqtt-login FILE, or the broker's list of who may do what",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a broker, in seconds."""

    keepalive_s: int = 30
    """Without a word from it; twice that until it counts as gone."""
    answer_s: float = 60.0
    """Until a message is acknowledged."""
    retry_s: float = 1.0
    """Before the first try to go on; each further wait is twice as long ..."""
    retry_most_s: float = 60.0
    """... up to this."""
    close_s: float = 3.0
    """At the end, for what isn't sent yet."""


def connect(broker: Broker, keepalive_s: int, device: str | None = None) -> paho.Client:
    """Return a client whose connection is open; the broker hasn't said yet whether it may.

    Args:
        broker: to whom.
        keepalive_s: how long the broker may be silent.
        device: what to be called in the place of the device, whose will isn't left then.

    Raises:
        OSError: there is no connection; :func:`explain` has it in a line.

    """
    client = paho.Client(CallbackAPIVersion.VERSION2, device or broker.device, protocol=paho.MQTTv5)
    if broker.tls is not None:
        client.tls_set_context(broker.tls)
    if broker.user is not None:
        client.username_pw_set(broker.user, broker.password)
    if device is None:
        client.will_set(f"{broker.prefix}/availability", b"offline", qos=1, retain=True)
    client.connect(broker.host, broker.port, keepalive_s)
    return client


def hang_up(client: paho.Client) -> None:
    """Close the connection without a word: the broker then publishes the device's will."""
    if (open_socket := client.socket()) is not None:
        open_socket.close()


def explain(error: Exception) -> str:
    """Return in a line why there is no connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate isn't trusted: {error.verify_message}: --mqtt-ca FILE, or its name"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {error.reason or error}: is it mqtts, on this port?"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"{type(error).__name__}: {error}"


def refusal(code: ReasonCode) -> str:
    """Return in a line why a broker refuses something."""
    fix = _FIXES.get(code.value)
    return f"it refuses: {code}{f': {fix}' if fix else ''}"


def check_broker(broker: Broker) -> Finding:
    """Connect as the loop does, under another name, and publish nothing."""
    answers: list[ReasonCode] = []

    def take(_client: paho.Client, _: Any, _flags: Any, code: ReasonCode, _about: Any) -> None:
        answers.append(code)

    problem = "no answer"
    try:
        client = connect(broker, int(_TRY_S), f"{broker.device[:19]}chck")
        client.on_connect = take
        until = time.monotonic() + _TRY_S
        while not answers and time.monotonic() < until and not client.loop(0.1):
            pass
        client.disconnect()
        hang_up(client)
    except (OSError, ValueError) as error:
        problem = explain(error)
    if answers and not answers[0].is_failure:
        return Finding("broker", "ok", f"{broker.name}: connected")
    problem = refusal(answers[0]) if answers else problem
    # Results wait on the disk until it is there.
    fix = "see docs/fleet.md; the loop runs without it, too"
    return Finding("broker", "warning", f"{broker.name}: {problem}", fix)
