"""A real broker that is stopped, hung, killed, full, and picky, and the loop that doesn't notice.

LESION_EDGE_MQTT_SNAPSHOTS=10000 pytest -s tests/mqtt: many more than a test should take.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from edge.camera import Settings, SnapshotLoop
from edge.camera.daylog import DayLogs, line_id
from edge.camera.sent import Sent, read_sent, write_sent
from edge.camera.store import Store
from edge.mqtt.broker import Broker
from edge.mqtt.connection import Patience, check_broker
from edge.mqtt.discovery import discovery
from edge.mqtt.publisher import Publisher
from tests.camera.test_camera_store import _snapshot
from tests.support.broker import MOSQUITTO, Mosquitto, Subscriber, until
from tests.support.looping import NoisyCamera, QuickAnalyzer
from tests.support.pictures import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

MANY = int(os.environ.get("LESION_EDGE_MQTT_SNAPSHOTS", "300"))
SHORT = Patience(keepalive_s=1, answer_s=20, retry_s=0.1, retry_most_s=0.3, close_s=2)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Start a broker with more settings than those it needs."""
    if MOSQUITTO is None:
        pytest.skip("no mosquitto here: apt-get install mosquitto")
    brokers: list[Mosquitto] = []

    def start(*settings: str) -> Mosquitto:
        brokers.append(Mosquitto(tmp_path / f"broker{len(brokers)}", *settings))
        return brokers[-1].start()

    yield start
    for each in brokers:
        each.stop()


def publisher(port: int, store: Store, **options: object) -> Publisher:
    broker = Broker("127.0.0.1", port, "derm/one")
    made = Publisher(broker, store, patience=SHORT, **options)  # type: ignore[arg-type]
    made.start()
    return made


def is_told(sender: Publisher, words: str) -> Callable[[], bool]:
    return lambda: words in (sender.reason or "")


def is_sent(sender: Publisher, count: int) -> Callable[[], bool]:
    return lambda: sender.to_dict()["sent"] >= count


def test_fault_73_a_broker_stopped_hung_and_killed_under_the_loop_costs_no_snapshot(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker.port)
    store = Store(str(tmp_path / "out"), policy="positive")
    sender = publisher(broker.port, store)
    settings = Settings(interval_s=0, count=MANY)
    loop = SnapshotLoop(NoisyCamera(), QuickAnalyzer(), settings, store=store, notifiers=[sender])
    over = threading.Event()

    def trouble() -> None:
        while not over.is_set():
            for number in (signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
                time.sleep(0.3)
                if number == signal.SIGSTOP:
                    broker.send(number)
                    time.sleep(2.5)  # it counts as gone after two of keepalive_s
                    broker.send(signal.SIGCONT)
                else:
                    broker.stop(number)
                    broker.start()

    troublemaker = threading.Thread(target=trouble)
    troublemaker.start()
    ends = [time.monotonic() for _ in loop]
    over.set()
    troublemaker.join()
    until(is_sent(sender, MANY), 60 + MANY / 50)
    store.save(_snapshot())  # that whoever missed the last notices
    until(lambda: subscriber.has(MANY + 1), 60 + MANY / 50)
    sender.close()
    assert sorted(subscriber.numbers) == list(range(1, MANY + 2))
    assert sender.to_dict()["lost"] == 0
    until(lambda: subscriber.messages["availability"][-1] == b"offline")
    longest_s = max(later - earlier for earlier, later in itertools.pairwise(ends))
    print(f"{MANY} snapshots, {subscriber.repeated} repeats; longest cycle {longest_s:.2f} s")


def test_an_orderly_restart_is_told_by_no_subscriber_and_the_order_is_kept(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker.port)
    store = Store(str(tmp_path / "out"), policy="positive")
    sender = publisher(broker.port, store)
    for part in range(3):
        for number in range(20):
            store.save(_snapshot(20 * part + number))
        if part == 1:
            until(is_sent(sender, 40))
            broker.stop()
            broker.start()
    until(lambda: len(subscriber.ids) == 60)
    assert subscriber.numbers == list(range(1, 61))
    sender.close()


def test_fault_74_killed_at_random_a_device_sends_all_and_repeats_only_what_can_be_told(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto()
    subscriber = Subscriber(broker.port)
    code = (
        "import sys; from tests.mqtt.test_mqtt_broker import publisher, Store, _snapshot\n"
        "store = Store(sys.argv[1], policy='positive')\n"
        "publisher(int(sys.argv[2]), store); print('ready', flush=True)\n"
        "for n in range(10**6): store.save(_snapshot(n))"
    )
    rng = random.Random(0)
    for _ in range(max(2, MANY // 500)):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "out"), str(broker.port)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            before = len(subscriber.ids)
            until(lambda: len(subscriber.ids) > before)  # noqa: B023 - called here
            time.sleep(rng.uniform(0, 0.3))
            child.kill()
    store = Store(str(tmp_path / "out"), policy="positive")
    sender = publisher(broker.port, store)
    until(lambda: sender.to_dict()["waiting"] == 0)
    until(lambda: len(subscriber.ids) == store.logged - sender.to_dict()["lost"])
    sender.close()
    assert subscriber.numbers == sorted(set(subscriber.numbers))
    logged = [
        json.loads(line)["id"]
        for path in (tmp_path / "out").glob("snapshots-*.jsonl")
        for line in path.read_text().splitlines()
    ]
    assert sorted(subscriber.ids) == sorted(logged)


def test_after_a_week_away_each_snapshot_comes_once_and_in_order(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    a_day = MANY // 2  # 8640 at one every ten seconds
    for day in range(7):
        numbers = range(day * a_day + 1, (day + 1) * a_day + 1)
        lines = ({"id": line_id("0a0b0c0d", number), "label": "benign"} for number in numbers)
        (tmp_path / "out").mkdir(exist_ok=True)
        DayLogs(str(tmp_path / "out")).append(f"2026010{day + 1}", lines)
    write_sent(str(tmp_path / "out"), Sent(100, 100, 100, 0))
    broker = mosquitto()
    subscriber = Subscriber(broker.port)
    sender = publisher(broker.port, Store(str(tmp_path / "out"), policy="positive"))
    until(is_sent(sender, 7 * a_day), 600)
    until(lambda: len(subscriber.ids) == 7 * a_day - 100)
    sender.close()
    assert subscriber.numbers == list(range(101, 7 * a_day + 1))
    assert subscriber.repeated == 0
    assert read_sent(str(tmp_path / "out")) == Sent(7 * a_day, 7 * a_day, 7 * a_day, 0)


def test_what_a_full_broker_dropped_comes_again_as_soon_as_somebody_misses_it(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto("max_queued_messages 5")
    subscriber = Subscriber(broker.port)
    store = Store(str(tmp_path / "out"))
    sender = publisher(broker.port, store, pictures=True)
    subscriber.close()  # its session stays, and fills
    for number in range(12):
        store.save(_snapshot(number))
    until(is_sent(sender, 12))  # so it says
    subscriber.come_back()
    store.save(_snapshot(12))
    until(lambda: subscriber.has(13))
    assert sorted(subscriber.numbers) == list(range(1, 14))
    assert sender.to_dict()["sent"] == 13
    sender.close()


def test_where_nobody_subscribes_the_results_wait_and_the_device_stays_online(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = mosquitto()
    store = Store(str(tmp_path / "out"), policy="positive")
    for number in range(5):
        store.save(_snapshot(number))
    sender = publisher(broker.port, store)
    until(is_told(sender, "nobody subscribes to derm/one/snapshot"))
    assert sender.connected
    subscriber = Subscriber(broker.port)
    until(lambda: len(subscriber.ids) == 5)
    assert subscriber.numbers == [1, 2, 3, 4, 5]
    sender.close()
    assert sender.to_dict() | {"connected": False} == {
        "connected": False,
        "reason": None,
        "waiting": 0,
        "sent": 5,
        "lost": 0,
        "refused": 0,
    }


def test_status_and_discovery_are_there_for_who_comes_later_and_so_is_the_last_will(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.mqtt.publisher._STATUS_S", 0.1)
    broker = mosquitto()
    store = Store(str(tmp_path / "out"))
    where = Broker("127.0.0.1", broker.port, "derm/one")
    greeting = discovery(where, "homeassistant", "malignant", pictures=True)
    taker = Subscriber(broker.port, "derm/+/snapshot")
    sender = publisher(broker.port, store, greeting=greeting, pictures=True)
    loop = SnapshotLoop(
        *(NoisyCamera(), QuickAnalyzer(), Settings(interval_s=0, count=3)),
        store=store,
        notifiers=[sender],
    )
    snapshots = list(loop)
    until(is_sent(sender, 3))
    time.sleep(0.5)
    late = Subscriber(broker.port, "#", "late")
    until(lambda: {"availability", "status", "picture", "config"} <= late.retained.keys())
    assert late.retained["availability"] == b"online"
    status = json.loads(late.retained["status"])
    assert status["frame_state"] == "ok"
    assert status["last_good"]["label"] == snapshots[-1].analysis.label  # type: ignore[union-attr]
    assert {"at", "counts", "temperature_c", "mqtt", "store"} <= status.keys()
    assert snapshots[-1].saved is not None
    with open(snapshots[-1].saved, "rb") as picture:
        assert late.retained["picture"] == picture.read()
    config = json.loads(late.retained["config"])
    assert config["components"].keys() == {
        *("label", "probability", "frame_state", "temperature", "picture")
    }
    assert config["availability_topic"] == "derm/one/availability"
    assert all(
        part["unique_id"] == f"{where.device}_{key}" for key, part in config["components"].items()
    )
    assert json.loads(late.retained["config"])["components"]["picture"]["platform"] == "image"
    assert taker.numbers == [1, 2, 3]
    code = (
        "import sys, time; from tests.mqtt.test_mqtt_broker import publisher, Store\n"
        "publisher(int(sys.argv[2]), Store(sys.argv[1])); time.sleep(60)"
    )
    sender.close()
    until(lambda: late.messages["availability"][-1] == b"offline")
    arguments = [sys.executable, "-c", code, str(tmp_path / "other"), str(broker.port)]
    with subprocess.Popen(arguments, cwd=ROOT) as child:
        until(lambda: late.messages["availability"][-1] == b"online")
        child.kill()
        until(lambda: late.messages["availability"][-1] == b"offline")


def test_what_the_broker_finds_too_large_is_counted_and_holds_nothing_up(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    lines = (
        {"id": line_id("0a0b0c0d", number), "pad": "x" * (20_000 if number == 2 else 1)}
        for number in range(1, 5)
    )
    DayLogs(str(tmp_path / "out")).append("20260101", lines)
    for setting in ("message_size_limit 9000", "max_packet_size 9000"):
        broker = mosquitto(setting)
        subscriber = Subscriber(broker.port)
        store = Store(str(tmp_path / "out"))
        write_sent(str(tmp_path / "out"), Sent(0))
        sender = publisher(broker.port, store)
        until(is_sent(sender, 4))
        until(lambda: subscriber.numbers == [1, 2, 3, 4])  # noqa: B023 - called here
        assert sender.to_dict()["refused"] == 1, setting
        sender.close()
        store.close()


def test_a_broker_that_does_not_let_it_write_is_no_place_to_lose_results_in(
    mosquitto: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic read #\ntopic write derm/one/availability\n")
    broker = mosquitto(f"acl_file {rules}")
    subscriber = Subscriber(broker.port)
    store = Store(str(tmp_path / "out"), policy="positive")
    store.save(_snapshot())
    sender = publisher(broker.port, store)
    until(is_told(sender, "it refuses: Not authorized: --mqtt-login FILE, or the broker's list"))
    assert (sender.to_dict()["waiting"], sender.to_dict()["sent"]) == (1, 0)
    rules.write_text("topic readwrite #\n")
    broker.send(signal.SIGHUP)
    until(lambda: subscriber.numbers == [1])
    sender.close()


def test_the_check_says_what_keeps_it_out_and_that_all_is_well(
    mosquitto: Callable[..., Mosquitto],
) -> None:
    broker = mosquitto()
    there = Broker("127.0.0.1", broker.port, "derm/one")
    assert check_broker(there).level == "ok"
    broker.stop()
    finding = check_broker(there)
    assert (finding.level, "Connection refused" in finding.message) == ("warning", True)
