"""What a camera is to the loop, and the cameras there are."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Protocol

import cv2

from edge.analyzer import read_picture
from edge.errors import CameraError, PictureError
from edge.picture import printable
from edge.sources import expand

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Camera(Protocol):
    """A source of frames.  All calls come from one thread; any of them may hang or raise."""

    name: str
    live: bool
    """Frames come by themselves and old ones queue up: they must be grabbed all the time."""
    fixed_size: bool
    """All frames are of one size."""

    def open(self) -> None:
        """Open it, or raise a :class:`CameraError` that says how to mend it."""

    def grab(self) -> bool:
        """Move on to the next frame without decoding it; False if none came."""

    def stream_s(self) -> float | None:
        """Return when the frame grabbed last was captured, by the source's own clock, in seconds.

        Its zero may lie anywhere.  None, unless a camera has its own way: the source doesn't
        say, or can't fall behind.
        """
        return None

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Decode the frame grabbed last: (height, width, 3) uint8 BGR; None if that failed."""

    def close(self) -> None:
        """Release it; harmless if it isn't open."""


class EndOfSourceError(CameraError):
    """A file that is played as a camera has come to its end."""


class OpenCVCamera(Camera):
    """A V4L2 device, or a network stream, through OpenCV.

    A V4L2 frame is decoded only by :meth:`retrieve`; FFmpeg decodes each that it grabs.

    Args:
        source: ``/dev/videoN``, or an address (rtsp, http, https).
        timeout_s: how long a network stream may take to open, or to give a frame, in seconds.
        size_wh: width and height to ask a device for; None is its own choice.

    """

    live = True
    fixed_size = True

    def __init__(
        self, source: str, *, timeout_s: float = 10.0, size_wh: tuple[int, int] | None = None
    ) -> None:
        self.name = printable(without_password(source))
        self._source, self._timeout_ms, self._size_wh = source, round(timeout_s * 1e3), size_wh
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> None:
        """Open it, or raise a :class:`CameraError` that says how to mend it."""
        if "://" in self._source:
            limits = [
                *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, self._timeout_ms),
                *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, self._timeout_ms),
            ]
            capture = cv2.VideoCapture(self._source, cv2.CAP_FFMPEG, limits)
            if not capture.isOpened():
                raise CameraError(
                    f"{self.name}: no video stream there: is the camera on, the address right?"
                )
        else:
            _check_device(self._source, self.name)
            capture = cv2.VideoCapture(self._source, cv2.CAP_V4L2)
            if not capture.isOpened():
                raise CameraError(
                    f"{self.name}: in use by another program, or no camera",
                    f"'fuser -v {self.name}' tells which program holds it",
                )
            if self._size_wh:
                capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size_wh[0])
                capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size_wh[1])
        self._capture = capture

    def grab(self) -> bool:
        """Move on to the next frame; False if none came."""
        return self._capture is not None and self._capture.grab()

    def stream_s(self) -> float | None:
        """Return an RTSP frame's time; of other sources OpenCV has none that can be trusted.

        For JPEG over HTTP FFmpeg makes times up, at 25 frames a second.  A device's driver keeps
        a few buffers only, which are emptied all the time.
        """
        if self._capture is None or not self._source.startswith(("rtsp://", "rtsps://")):
            return None
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Decode the frame grabbed last; None if that failed."""
        if self._capture is None:
            return None
        good, image = self._capture.retrieve()
        return image if good else None  # type: ignore[return-value] # OpenCV converts to uint8 BGR

    def close(self) -> None:
        """Release it."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


class VideoFile(OpenCVCamera):
    """A video file played as a camera: each snapshot is ``step_s`` seconds after the last.

    It is stepped in its own time, so that a run gives the same frames however long each took.
    """

    live = False

    def __init__(self, path: str, *, step_s: float) -> None:
        super().__init__(path)
        self._step_s, self._first = step_s, True

    def open(self) -> None:
        """Open it at its beginning."""
        self._capture = cv2.VideoCapture(self._source, cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise CameraError(f"{self.name}: not a video file that FFmpeg can read")
        self._first = True

    def grab(self) -> bool:
        """Move on by a step; raise :class:`EndOfSourceError` where there is nothing more."""
        assert self._capture is not None
        rate = self._capture.get(cv2.CAP_PROP_FPS) or 25.0
        frames = 1 if self._first else max(1, round(self._step_s * rate))
        self._first = False
        for _ in range(frames):
            if not self._capture.grab():
                raise EndOfSourceError(f"{self.name}: end of the file")
        return True


class PictureFolder(Camera):
    """The pictures of a folder, one after the other and over again, played as a camera."""

    live = False
    fixed_size = False

    def __init__(self, folder: str) -> None:
        self.name = printable(folder)
        self._folder, self._number = folder, -1
        self._paths: list[str] = []

    def open(self) -> None:
        """List the folder's JPEG and PNG files."""
        self._paths = [path for path in expand([self._folder]) if isinstance(path, str)]
        if not self._paths:
            raise CameraError(f"{self.name}: no JPEG or PNG in this folder")

    def grab(self) -> bool:
        """Move on to the next picture."""
        self._number += 1
        return bool(self._paths)

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Decode it."""
        try:
            return read_picture(self._paths[self._number % len(self._paths)]).image_bgr
        except PictureError as error:
            raise CameraError(str(error)) from error

    def close(self) -> None:
        """Nothing is held open."""


class PiCamera(Camera):
    """A Raspberry Pi's camera, by picamera2, which Raspberry Pi OS ships (not on PyPI for all).

    Written from picamera2's documented interface; not yet run on a Raspberry Pi.

    Args:
        size_wh: width and height of the frames, in pixels.

    """

    live = False  # libcamera's own thread keeps taking frames; each call waits for a new one
    fixed_size = True

    def __init__(self, *, size_wh: tuple[int, int] = (1280, 960)) -> None:
        self.name = "picamera2"
        self._size_wh = size_wh
        self._camera: object = None
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
        request = self._camera.capture_request(flush=True)  # type: ignore[attr-defined]
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
            self._camera.close()  # type: ignore[attr-defined]
            self._camera = None


def open_source(
    source: str, *, interval_s: float, timeout_s: float, size_wh: tuple[int, int] | None = None
) -> Camera:
    """Return the camera that ``--source`` names, not yet opened.

    Args:
        source: a device's number or path, an address, ``picamera2``, a video file or a folder.
        interval_s: between snapshots, in seconds: the step through a video file.
        timeout_s: of a network stream, in seconds.
        size_wh: width and height to ask for.

    """
    if source == "picamera2":
        return PiCamera(size_wh=size_wh) if size_wh else PiCamera()
    if source.isdecimal():
        source = f"/dev/video{source}"
    if os.path.isdir(source):
        return PictureFolder(source)
    if os.path.isfile(source):
        return VideoFile(source, step_s=interval_s)
    return OpenCVCamera(source, timeout_s=timeout_s, size_wh=size_wh)


def without_password(source: str) -> str:
    """Return an address without the user and password that may stand in it."""
    scheme, found, rest = source.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}" if found else source


def _check_device(path: str, name: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise CameraError(
            f"{name}: no such camera", "is it plugged in? 'ls /dev/video*' shows those there are"
        ) from error
    if not stat.S_ISCHR(mode):
        raise CameraError(f"{name}: not a camera, picture folder or video file")
    if not os.access(path, os.R_OK | os.W_OK):
        raise CameraError(
            f"{name}: no permission", "'sudo usermod -aG video $USER', then log in again"
        )
