"""Twenty who look, four of whom take nothing: the loop keeps its time, and nothing grows.

It takes 15 seconds; with LESION_EDGE_PAGE_SECONDS=120 in the environment (pytest -s) as long as
that, and tells what it measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import pytest

from edge import Analyzer
from edge.analyzer import read_picture
from edge.camera import Camera, Settings, SnapshotLoop
from edge.camera.store import Store
from edge.page.live import Live
from edge.page.serve import serve
from edge.picture.decode import decode
from tests.camera.test_camera_soak import SLACK, broken, least, resources
from tests.conftest import until
from tests.support.pictures import ROOT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

SECONDS = float(os.environ.get("LESION_EDGE_PAGE_SECONDS", "15"))
READING, STALLED = 16, 4
INTERVAL_S, MAX_AGE_S = 1.0, 5.0
"""In seconds; a frame is as old only where the loop waits for one who takes nothing."""


class JpegCamera(Camera):
    """A live camera of 25 frames a second, 1280 x 720, that come as JPEG."""

    name = "load"
    live = True
    fixed_size = True

    def __init__(self) -> None:
        scene = cv2.resize(read_picture(SAMPLES[0]).image_bgr, (1280, 720))
        self._jpegs = [cv2.imencode(".jpg", scene + number)[1].tobytes() for number in range(8)]
        self._number = 0

    def open(self) -> None:
        pass

    def grab(self) -> bool:
        time.sleep(0.04)
        self._number += 1
        return True

    def retrieve(self) -> NDArray[np.uint8]:
        image = decode(self._jpegs[self._number % 8]).image_bgr
        image[0, :3, 0] = tuple(self._number.to_bytes(3, "big"))  # no two are alike
        return image

    def close(self) -> None:
        pass


def settled() -> dict[str, float]:
    """Return the least of several looks: a snapshot that is being saved has files open, too."""
    marks = []
    for _ in range(8):
        marks.append(resources())
        time.sleep(0.05)
    return least(marks)


@pytest.mark.slow
def test_twenty_who_look_cost_the_loop_no_beat_and_leave_nothing_behind(tmp_path: Path) -> None:
    live, store = Live(), Store(str(tmp_path), keep=20)
    analyzer = Analyzer(threads=1)
    settings = Settings(interval_s=INTERVAL_S, max_age_s=MAX_AGE_S)
    loop = SnapshotLoop(JpegCamera(), analyzer, settings, store=store, viewer=live)
    _, port = serve(("127.0.0.1", 0), loop, analyzer, store, live)
    at: list[float] = []
    ages_ms: list[float] = []

    def run() -> None:
        for snapshot in loop:
            at.append(time.monotonic())
            if snapshot.analysis is not None:
                ages_ms.append(snapshot.age_ms)

    thread = threading.Thread(target=run)
    thread.start()

    def measure(seconds: float) -> tuple[float, str]:
        """Return the share of a core that this process takes, and how far snapshots are apart."""
        used, begun, count = time.process_time(), time.monotonic(), len(at)
        time.sleep(seconds)
        share = (time.process_time() - used) / (time.monotonic() - begun)
        steps = sorted(after - before for before, after in pairwise(at[count:]))
        return share, f"{steps[0]:.2f} to {steps[-1]:.2f} s, median {steps[len(steps) // 2]:.2f}"

    until(lambda: at)
    idle, alone = measure(SECONDS / 3)
    counts = [str(count) for count in (port, READING, STALLED, SECONDS)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.viewers", *counts], cwd=ROOT, stdout=subprocess.PIPE
    ) as viewers:
        until(lambda: live.lookers == READING + STALLED)
        time.sleep(SECONDS / 5)  # the allocator's pools and the sockets' buffers fill
        first = settled()
        busy, beside = measure(SECONDS * 0.7)
        last = settled()
        read = int(viewers.communicate()[0])
    loop.stop()
    thread.join(10)
    store.close()
    looked = READING + STALLED
    print(
        f"{idle:.1%} of a core without who looks, {busy:.1%} with {looked}: "
        f"{(busy - idle) / looked:.2%} each; {read / READING / SECONDS / 1e3:.0f} kB/s each\n"
        f"snapshots apart: {alone} without, {beside} with; "
        f"skipped {loop.status.counts['skipped']}; "
        f"ages to {max(ages_ms):.0f} ms; {first} to {last}"
    )
    assert read > 0
    assert loop.status.counts["ok"] == loop.status.counts["snapshots"]
    assert max(ages_ms) <= MAX_AGE_S * 1e3
    assert list(broken(tmp_path)) == []
    # The pool that encodes grows as it is needed, up to a bound of its own.
    for name, slack in {**SLACK, "threads": 6}.items():
        assert last[name] <= first[name] + slack, (name, first, last)
