"""The camera loop under one fault after another, for minutes or hours: does anything leak?

    python -m benchmarks.soak                   # two minutes at least, 1,000 faults at least
    python -m benchmarks.soak --minutes 600     # a night

Real threads and the machine's own clock; a camera that fails as told by chance, and a disk that
does.  Prints its figures; the exit status is 1 if anything leaked, was old, or was half-written.
"""

from __future__ import annotations

import argparse
import errno
import gc
import json
import logging
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import cv2
import numpy as np

from edge import Analyzer
from edge.camera import Camera, Patience, Settings, SnapshotLoop
from edge.camera import store as store_module
from edge.camera.store import Store
from edge.errors import CameraError
from edge.files import write_atomically
from edge.terminal import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_MAX_AGE_S = 0.2
_PATIENCE = Patience(open_s=0.5, read_s=0.25, retry_s=0.005, retry_most_s=0.02)
_CAMERA_FAULTS = (
    "open fails", "open hangs", "read fails", "read hangs", "read raises", "no picture",
    "frozen", "black", "saturated", "old", "another size", "unplugged",
)  # fmt: skip
_DISK_FAULTS = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES)
_LEAST_FAULTS = 1000


class FaultyCamera(Camera):
    """A live camera of 200 frames a second that does something wrong every few frames."""

    name = "soak"
    live = True
    fixed_size = True

    def __init__(self, rng: random.Random) -> None:
        self._rng, self._noise = rng, np.random.default_rng(0)
        self.faults: Counter[str] = Counter()
        self._fault = ""
        self._image: NDArray[np.uint8] | None = None
        self._absent_until = 0.0

    def open(self) -> None:
        """Open, or not."""
        if time.monotonic() < self._absent_until:
            raise CameraError("unplugged")
        fault = self._draw(("open fails", "open hangs"), 0.2)
        if fault == "open fails":
            raise CameraError("told to fail")
        if fault == "open hangs":
            time.sleep(0.7)

    def grab(self) -> bool:
        """Take 5 ms, and sometimes do something wrong."""
        time.sleep(0.005)
        self._fault = self._draw(_CAMERA_FAULTS[2:], 0.15)
        if self._fault == "read hangs":
            time.sleep(0.4)
        if self._fault == "old":
            time.sleep(_MAX_AGE_S + 0.02)
        if self._fault == "read raises":
            raise RuntimeError("told to raise")
        if self._fault == "unplugged":
            self._absent_until = time.monotonic() + self._rng.uniform(0.01, 0.1)
        return self._fault not in ("read fails", "unplugged")

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Return a picture that fits the fault."""
        if self._fault == "no picture":
            return None
        if self._fault != "frozen" or self._image is None:
            shape = (90, 120, 3) if self._fault == "another size" else (120, 160, 3)
            low, high = {"black": (0, 8), "saturated": (252, 256)}.get(self._fault, (60, 200))
            self._image = self._noise.integers(low, high, shape, dtype=np.uint8)
        return self._image

    def close(self) -> None:
        """Nothing to release."""

    def _draw(self, faults: tuple[str, ...], share: float) -> str:
        if self._rng.random() >= share:
            return ""
        fault = self._rng.choice(faults)
        self.faults[fault] += 1
        return fault


def main() -> int:
    """Run the soak, print its figures and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="at least so long (default: 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the faults (default: 0)")
    options = parser.parse_args()
    rng = random.Random(options.seed)  # noqa: S311 - faults, not secrets
    # A thousand times lost and back are no news here.
    logging.getLogger("edge.camera").addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory() as folder:
        return _soak(folder, rng, options.minutes * 60)


def _soak(folder: str, rng: random.Random, seconds: float) -> int:
    camera = FaultyCamera(rng)
    store = Store(folder, keep=50)
    settings = Settings(
        interval_s=0.02, max_age_s=_MAX_AGE_S, wait_for_camera=True, patience=_PATIENCE
    )
    loop = SnapshotLoop(camera, Analyzer(threads=1), settings, store=store)
    disk: Counter[str] = Counter()

    def write(path: str, data: bytes) -> None:
        if rng.random() < 0.1:
            number = rng.choice(_DISK_FAULTS)
            disk[f"disk: {os.strerror(number)}"] += 1
            raise OSError(number, os.strerror(number))
        write_atomically(path, data)

    begun = time.monotonic()
    progress = Progress("faults injected:")
    oldest_ms, marks = 0.0, []
    with mock.patch.object(store_module, "write_atomically", write):
        for snapshot in loop:
            if snapshot.analysis is not None:
                oldest_ms = max(oldest_ms, snapshot.age_ms)
            if loop.counts["snapshots"] % 100 == 0:
                marks.append(_resources())
            total = camera.faults.total() + disk.total()
            progress.update(total)
            if total >= _LEAST_FAULTS and time.monotonic() - begun >= seconds:
                loop.stop()
    progress.clear()
    store.close()
    return _report(loop, camera.faults + disk, oldest_ms, marks, list(_broken(folder)))


def _resources() -> dict[str, float]:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return {
        "memory, MB": int(status.split("VmRSS:")[1].split()[0]) / 1e3,
        "threads": threading.active_count(),
        "file descriptors": len(os.listdir("/proc/self/fd")),
    }


def _broken(folder: str) -> Iterator[str]:
    logged = set()
    for log in Path(folder).glob("*.jsonl"):
        logged |= {json.loads(line).get("saved") for line in log.read_text().splitlines()}
    for path in Path(folder).iterdir():
        if path.suffix == ".tmp" or (
            path.suffix == ".jpg" and (path.name not in logged or cv2.imread(str(path)) is None)
        ):
            yield path.name


def _report(
    loop: SnapshotLoop,
    faults: Counter[str],
    oldest_ms: float,
    marks: list[dict[str, float]],
    broken: list[str],
) -> int:
    for name, number in sorted(faults.items()):
        print(f"{name:<28} {number}")
    print(f"{'faults in all':<28} {faults.total()}")
    print(f"snapshots: {dict(loop.counts)}; failures of the camera: {loop.supervisor.failures}")
    print(f"oldest frame analysed: {oldest_ms:.0f} ms, limit {_MAX_AGE_S * 1e3:.0f} ms")
    print(f"files half-written: {len(broken)}")
    # The first tenth is warm-up: the allocator's pools fill.
    settled = marks[len(marks) // 10 :]
    leaks = []
    for name, slack in (("memory, MB", 5.0), ("threads", 1), ("file descriptors", 2)):
        first, last = settled[0][name], settled[-1][name]
        print(f"{name}: {first:g} then, {last:g} at the end")
        if last > first + slack:
            leaks.append(name)
    missing = [name for name in _CAMERA_FAULTS if not faults[name]]
    good = not (leaks or missing or broken or oldest_ms > _MAX_AGE_S * 1e3)
    print("passed" if good else f"FAILED: leaks {leaks}, never injected {missing}, {broken}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os._exit(main())
