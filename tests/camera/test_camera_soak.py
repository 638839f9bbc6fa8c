"""Under one fault after another the camera loop leaks nothing and answers from no old frame.

Real threads, the machine's own clock, a camera that fails by chance and a disk that does.  It takes
15 seconds; with LESION_EDGE_SOAK_MINUTES=600 in the environment (pytest -s) a night.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import random
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import cv2
import numpy as np
import pytest

from edge import Analyzer
from edge.camera import Camera, Patience, Settings, SnapshotLoop
from edge.camera import store as store_module
from edge.camera.store import Store
from edge.errors import CameraError
from edge.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_AGE_S = 0.2
FRAME_FAULTS = (
    "read fails",
    "read hangs",
    "read raises",
    "no picture",
    "frozen",
    "black",
    "saturated",
    "old",
    "another size",
    "unplugged",
)
DISK_FAULTS = (errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES)
SLACK = {"memory_mb": 5, "threads": 1, "file_descriptors": 2}


class FaultyCamera(Camera):
    """A live camera of 200 frames a second that does something wrong every few frames."""

    name = "soak"
    live = True
    fixed_size = True

    def __init__(self, rng: random.Random) -> None:
        self.faults: Counter[str] = Counter()
        self._rng, self._noise = rng, np.random.default_rng(0)
        self._fault = ""
        self._image: NDArray[np.uint8] | None = None
        self._absent_until_s = 0.0

    def open(self) -> None:
        if time.monotonic() < self._absent_until_s:
            raise CameraError("unplugged")
        fault = self._draw(("open fails", "open hangs"), 0.2)
        if fault == "open fails":
            raise CameraError("told to fail")
        if fault == "open hangs":
            time.sleep(0.7)

    def grab(self) -> bool:
        time.sleep(0.005)
        self._fault = self._draw(FRAME_FAULTS, 0.15)
        if self._fault == "read hangs":
            time.sleep(0.4)
        if self._fault == "old":
            time.sleep(MAX_AGE_S + 0.02)
        if self._fault == "read raises":
            raise RuntimeError("told to raise")
        if self._fault == "unplugged":
            self._absent_until_s = time.monotonic() + self._rng.uniform(0.01, 0.1)
        return self._fault not in ("read fails", "unplugged")

    def retrieve(self) -> NDArray[np.uint8] | None:
        if self._fault == "no picture":
            return None
        if self._fault != "frozen" or self._image is None:
            shape = (90, 120, 3) if self._fault == "another size" else (120, 160, 3)
            low, high = {"black": (0, 8), "saturated": (252, 256)}.get(self._fault, (60, 200))
            self._image = self._noise.integers(low, high, shape, dtype=np.uint8)
        return self._image

    def close(self) -> None:
        pass

    def _draw(self, faults: tuple[str, ...], share: float) -> str:
        if self._rng.random() >= share:
            return ""
        fault = self._rng.choice(faults)
        self.faults[fault] += 1
        return fault


@pytest.mark.slow
def test_faults_for_a_while_leak_nothing_and_leave_no_file_half_written(tmp_path: Path) -> None:
    seconds = float(os.environ.get("LESION_EDGE_SOAK_MINUTES", "0.25")) * 60
    rng = random.Random(0)
    camera = FaultyCamera(rng)
    store = Store(str(tmp_path), keep=50)
    patience = Patience(open_s=0.5, read_s=0.25, retry_s=0.005, retry_most_s=0.02)
    settings = Settings(
        interval_s=0.02, max_age_s=MAX_AGE_S, wait_for_camera=True, patience=patience
    )
    loop = SnapshotLoop(camera, Analyzer(threads=1), settings, store=store)
    disk: Counter[str] = Counter()

    def write(path: str, data: bytes) -> None:
        if rng.random() < 0.1:
            number = rng.choice(DISK_FAULTS)
            disk[os.strerror(number)] += 1
            raise OSError(number, os.strerror(number))
        write_atomically(path, data)

    ages_ms, marks, begun = [0.0], [], time.monotonic()
    with mock.patch.object(store_module, "write_atomically", write):
        for number, snapshot in enumerate(loop):
            if snapshot.analysis is not None:
                ages_ms.append(snapshot.age_ms)
            if number % 10 == 0:
                marks.append(resources())
            drawn = {"open fails", "open hangs", *FRAME_FAULTS} <= camera.faults.keys() and disk
            enough = len(marks) >= 10 and time.monotonic() - begun >= seconds
            if drawn and enough:
                loop.stop()
    store.close()
    print(f"{camera.faults.total()} faults of the camera, {disk.total()} of the disk; {marks[-1]}")
    assert max(ages_ms) <= MAX_AGE_S * 1e3
    assert list(broken(tmp_path)) == []
    # The first tenth is warm-up: the allocator's pools fill.  What leaks stays; a thread or a file
    # that is about to end doesn't.
    tenth = max(1, len(marks) // 10)
    first, last = least(marks[tenth : 2 * tenth]), least(marks[-tenth:])
    for name, slack in SLACK.items():
        assert last[name] <= first[name] + slack, (name, first, last)


def resources() -> dict[str, float]:
    gc.collect()
    status = Path("/proc/self/status").read_text()
    return {
        "memory_mb": int(status.split("VmRSS:")[1].split()[0]) / 1e3,
        "threads": threading.active_count(),
        "file_descriptors": len(os.listdir("/proc/self/fd")),
    }


def least(marks: list[dict[str, float]]) -> dict[str, float]:
    return {name: min(mark[name] for mark in marks) for name in SLACK}


def broken(folder: Path) -> Iterator[str]:
    """Yield what is half-written: temporary files, pictures without a line or a whole JPEG."""
    lines = (line for log in folder.glob("*.jsonl") for line in log.read_text().splitlines())
    logged = {json.loads(line).get("saved") for line in lines}
    for path in folder.iterdir():
        unreadable = path.suffix == ".jpg" and cv2.imread(str(path)) is None
        unlogged = path.suffix == ".jpg" and path.name not in logged
        if path.suffix == ".tmp" or unreadable or unlogged:
            yield path.name
