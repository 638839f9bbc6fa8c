"""Reads a Raspberry Pi's own camera."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.camera.interfaces import Camera
from edge.errors import CameraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PiCamera(Camera):
    """A Raspberry Pi's camera, by picamera2, which Raspberry Pi OS ships (not on PyPI for all).

    Written from picamera2's documented interface; not yet run on a Raspberry Pi.
    """

    live = False  # libcamera's own thread keeps taking frames; each call waits for a new one
    fixed_size = True
    warmup = 10

    def __init__(self, *, size_wh: tuple[int, int] = (1280, 960)) -> None:
        self.name = "picamera2"
        self._size_wh = size_wh
        self._camera: Any = None
        self._image: NDArray[np.uint8] | None = None

    def open(self) -> None:
        """Configure and start it."""
        try:
            from picamera2 import Picamera2
        except ImportError as error:
            raise CameraError(
                f"picamera2 can't be imported ({error})",
                "'sudo apt install python3-picamera2', and make the virtual environment with "
                "--system-site-packages",
            ) from error
        try:
            camera = Picamera2()
            # picamera2 names formats as libcamera does: "RGB888" lies in memory as B, G, R.
            main = {"size": self._size_wh, "format": "RGB888"}
            camera.configure(camera.create_video_configuration(main=main))
            camera.start()
        except (RuntimeError, IndexError) as error:
            raise CameraError(
                f"no Pi camera can be used ({error})", "'rpicam-hello --list-cameras' lists them"
            ) from error
        self._camera = camera

    def grab(self) -> bool:
        """Wait for a frame that was captured after this call."""
        request = self._camera.capture_request(flush=True)
        try:
            self._image = request.make_array("main")
        finally:
            request.release()
        return True

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Return it."""
        return self._image

    def close(self) -> None:
        """Stop and release it."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None
