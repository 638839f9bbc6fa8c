"""A real RTSP stream, from Debian's GStreamer server, that is stopped, hung and restarted."""

from __future__ import annotations

import signal
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from edge.camera import Patience, Settings, SnapshotLoop, SystemClock
from edge.camera.reader import Opened, Reader
from edge.camera.sources.opencv import OpenCVCamera
from tests.camera import pass_an_outage
from tests.support.pictures import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge import Analyzer

pytestmark = pytest.mark.slow

_PYTHON = "/usr/bin/python3"  # the one that Debian's bindings are for
_NEEDED = (
    "import gi; gi.require_version('GstRtspServer', '1.0');"
    "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
    "assert Gst.ElementFactory.find('rtpjpegpay') and Gst.ElementFactory.find('videotestsrc')"
)
_PACKAGES = (
    "python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good"
)


class _Server:
    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [_PYTHON, ROOT / "tests/support/rtsp_server.py", str(self.port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def server() -> Iterator[_Server]:
    try:
        found = subprocess.run([_PYTHON, "-c", _NEEDED], capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"no {_PYTHON} here")
    if found.returncode:
        pytest.skip(f"no RTSP server here: apt-get install {_PACKAGES}")
    server = _Server()
    server.start()
    yield server
    server.stop()


def test_an_rtsp_camera_that_is_stopped_hung_and_restarted_comes_back(
    server: _Server, int8_analyzer: Analyzer
) -> None:
    camera = OpenCVCamera(f"rtsp://127.0.0.1:{server.port}/live", timeout_s=2)
    patience = Patience(open_s=10, read_s=4, retry_s=0.1, retry_most_s=0.2, give_up_s=90)
    loop = SnapshotLoop(
        camera, int8_analyzer, Settings(interval_s=0, max_age_s=2, patience=patience)
    )
    snapshots = iter(loop)
    first = next(snapshots)
    assert first.analysis is not None
    assert first.analysis.size_wh == (320, 240)

    pass_an_outage(loop, snapshots, server.stop, server.start)
    pause, go_on = partial(server.signal, signal.SIGSTOP), partial(server.signal, signal.SIGCONT)
    pass_an_outage(loop, snapshots, pause, go_on)
    loop.stop()
    assert list(snapshots) == []


def test_a_real_stream_that_is_read_too_slowly_is_seen_to_fall_behind(server: _Server) -> None:
    camera = OpenCVCamera(f"rtsp://127.0.0.1:{server.port}/live", timeout_s=5)
    clock = SystemClock()
    slow = _Slow(camera)
    inbox = clock.mailbox()
    reader = Reader(slow, clock, inbox, warmup=50)
    assert isinstance(inbox.get(30), Opened)
    ages = []
    for pause_s in (0.0, 0.1):  # 25 frames a second come; ten are taken
        slow.pause_s = pause_s
        for _ in range(40):
            reader.request()
            frame = inbox.get(10).frame
        ages.append(clock.monotonic() - frame.captured_s)
    reader.stop()
    assert ages[1] > ages[0] + 1.0  # 40 frames took 4 s, and hold 1.6 s of the stream


class _Slow:
    """A camera on a machine that is too slow for it."""

    live = False
    recorded = False
    fixed_size = True
    warmup = 0
    warnings: tuple[str, ...] = ()

    def __init__(self, camera: OpenCVCamera) -> None:
        self.name, self._camera, self.pause_s = camera.name, camera, 0.0
        self.open, self.close = camera.open, camera.close
        self.retrieve, self.stream_s = camera.retrieve, camera.stream_s
        self.arrived_s = camera.arrived_s

    def grab(self) -> bool:
        time.sleep(self.pause_s)
        return self._camera.grab()
