"""Measure what the camera loop costs between two snapshots, in percent of one core.

Two sources of 30 frames a second, at the default interval: one whose frames can be skipped without
being decoded, as a V4L2 device's can (its driver's own cost isn't in it: the frames come from a
sleeping stand-in), and an HTTP stream of JPEG frames of 1280x720 from another process on loopback,
of which the newest one's bytes are kept.  Processor time of this whole process, the first snapshot
left out.
"""

from __future__ import annotations

import itertools
import multiprocessing
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from edge import Analyzer
from edge.camera import Camera, Settings, SnapshotLoop
from edge.camera.sources.http import HttpCamera
from tests.support.mjpeg_server import MjpegServer, Stream, smooth

from .common import make_parser

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RATE = 30.0
_SIZE_WH = (1280, 720)


class SkippingCamera(Camera):
    """Thirty frames a second, of which only those that are wanted are made."""

    name = "skipping"
    live = True
    fixed_size = True

    def open(self) -> None:
        """Nothing to open."""
        self._noise = np.random.default_rng(0)

    def grab(self) -> bool:
        """Wait for the next frame, as a device's read does."""
        time.sleep(1 / _RATE)
        return True

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Make a frame."""
        return self._noise.integers(60, 200, (*_SIZE_WH[::-1], 3), dtype=np.uint8)

    def close(self) -> None:
        """Nothing to close."""


def measure(camera: Camera, seconds: float) -> float:
    """Return the share of one core that the loop takes between its first and second snapshot."""
    loop = SnapshotLoop(
        camera, Analyzer(threads=1), Settings(interval_s=seconds, count=2, warmup=10, max_age_s=10)
    )
    snapshots = iter(loop)
    next(snapshots)
    processor, wall = time.process_time(), time.monotonic()
    next(snapshots)
    share = (time.process_time() - processor) / (time.monotonic() - wall)
    loop.stop()
    list(snapshots)
    return share


def serve(urls: multiprocessing.Queue[str]) -> None:
    """Serve JPEG frames over HTTP until killed; the address is told first."""
    server = MjpegServer(stream=Stream(itertools.cycle(smooth(*_SIZE_WH)), every_s=1 / _RATE))
    server.start()
    urls.put(server.url())
    threading.Event().wait()


def main() -> None:
    """Measure both sources and print their figures."""
    parser = make_parser("benchmarks.idle", __doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="the interval (default: 10)")
    options = parser.parse_args()
    print(f"frames skipped undecoded: {measure(SkippingCamera(), options.seconds):.2%} of one core")
    processes = multiprocessing.get_context("spawn")
    urls = processes.Queue()
    processes.Process(target=serve, args=(urls,), daemon=True).start()
    share = measure(HttpCamera(urls.get()), options.seconds)
    print(f"HTTP stream of {_SIZE_WH[0]}x{_SIZE_WH[1]}: {share:.2%} of one core")


if __name__ == "__main__":
    main()
