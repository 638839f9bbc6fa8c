"""Measure what sending to a broker costs a camera with very many snapshots that wait on its disk.

Start and memory of store and backlog, all of them sent to Debian's mosquitto on loopback, where
a subscriber in this process counts them, and the connection's idle cost, in percent of one core.
"""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path

from edge import Analyzer
from edge.camera.daylog import DayLogs, line_id
from edge.camera.store import Store
from edge.mqtt.backlog import Backlog
from edge.mqtt.broker import Broker
from edge.mqtt.publisher import Publisher
from tests.support.broker import MOSQUITTO, Mosquitto, Subscriber, until
from tests.support.pictures import SAMPLES

from .common import make_parser

_A_DAY = 8640
_IDLE_S = 20.0


def fill(folder: Path, count: int) -> None:
    """Write the log of so many snapshots, one every ten seconds."""
    line = Analyzer(threads=1).analyze(SAMPLES[0]).to_dict()
    folder.mkdir()
    for start in range(1, count + 1, _A_DAY):
        numbers = range(start, min(start + _A_DAY, count + 1))
        lines = ({"id": line_id("0a0b0c0d", number), **line} for number in numbers)
        DayLogs(str(folder)).append(f"{20260101 + start // _A_DAY}", lines)


def peak_mb() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def send(folder: Path, store: Store, count: int) -> None:
    """Send all, and say how fast; then what it costs to be connected."""
    broker = Mosquitto(folder.parent / "broker").start()
    subscriber = Subscriber(broker.port)
    publisher = Publisher(Broker("127.0.0.1", broker.port, "derm/one"), store)
    began = time.monotonic()
    publisher.start()
    until(lambda: len(subscriber.ids) == count, 3600)
    took_s = time.monotonic() - began
    in_order = subscriber.numbers == list(range(1, count + 1))
    told = f"{count} sent and counted in {took_s:.1f} s, {count / took_s:.0f} a second"
    print(f"{told}; in order: {in_order}, repeated: {subscriber.repeated}; peak {peak_mb():.0f} MB")
    subscriber.close()
    processor, wall = time.process_time(), time.monotonic()
    time.sleep(_IDLE_S)
    share = (time.process_time() - processor) / (time.monotonic() - wall)
    print(f"connected, nothing to send: {share:.2%} of one core")
    publisher.close()
    broker.stop()


def main() -> None:
    """Run the command."""
    parser = make_parser("benchmarks.fleet", __doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many wait")
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "snapshots"
        fill(folder, count)
        size = sum(path.stat().st_size for path in folder.iterdir())
        before = peak_mb()
        began = time.process_time()
        store = Store(str(folder))
        opened = time.process_time()
        for after in (count - 1, 0):
            found = Backlog(str(folder), after).take(store.logged)
            assert found is not None
            assert found[0] == after + 1
        found_ms = (time.process_time() - opened) * 1e3
        print(f"{count} lines, {size / 1e6:.0f} MB; in milliseconds of processor time the store")
        print(f"opens in {(opened - began) * 1e3:.0f}, last and first are found in {found_ms:.0f};")
        print(f"peak {before:.0f} MB before and {peak_mb():.0f} MB behind")
        if MOSQUITTO is None:
            print("not sent: no mosquitto here: apt-get install mosquitto")
        else:
            send(folder, store, count)


if __name__ == "__main__":
    main()
