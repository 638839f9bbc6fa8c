"""A network camera on loopback that sends what it is given, and what the reader makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.mjpeg_server import MjpegServer, Raw

if TYPE_CHECKING:
    from collections.abc import Callable

_FRAMES = 5  # a frame may take what a picture file may: 0.4 s of 6 megapixels in 3 kB
_TIMEOUT_S = 2.0
_WAIT_S = 30.0


def prepare_stream() -> Callable[[bytes], None]:
    """Return a check of what a stream of these bytes does to the camera's reader."""
    import cv2
    import numpy as np

    from edge.camera.clock import SystemClock
    from edge.camera.reader import Got, Opened, Reader
    from edge.camera.sources.http import HttpCamera

    cv2.setNumThreads(1)
    server = MjpegServer(stream=Raw())
    server.start()
    clock = SystemClock()

    def check(data: bytes) -> None:
        server.answers["stream"] = Raw([data])
        inbox, frames = clock.mailbox(), 0
        camera = HttpCamera(server.url(), timeout_s=_TIMEOUT_S)
        reader = Reader(camera, clock, inbox, warmup=0)
        # All at once: a live camera is grabbed all the time, and the stream soon ends.
        for _ in range(_FRAMES):
            reader.request()
        reader.stop()
        while isinstance(message := inbox.get(_WAIT_S), Opened | Got):
            if isinstance(message, Got):
                frames += 1
                image = message.frame.image_bgr
                assert image.dtype == np.uint8
                assert image.ndim == 3
                assert image.shape[2] == 3
        assert message is not None, "the reader neither answers nor ends"
        # A stream that ends is an error, too: it counts as refused where nothing came before.
        if message.error is not None and not frames:
            raise message.error

    return check
