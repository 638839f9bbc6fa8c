"""Reads what OpenCV can: V4L2 devices, RTSP streams, and video files played as a camera.

Here the compressed frame is in the decoder's hands.  A device's JPEG is refused by OpenCV if it is
cut.  FFmpeg conceals what is lost of a stream: rows filled with one colour are seen in the pixels
(:func:`edge.picture.decode.find_damage`); a part copied from an earlier frame, as with H.264, and a
part of the picture's last twentieth can't be seen.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import cv2

from edge.camera.interfaces import Camera, EndOfSourceError
from edge.doctor import video
from edge.errors import CameraError, PictureError
from edge.files import printable

from .address import is_address, parse, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EXPLAIN_S = 2.0


class OpenCVCamera(Camera):
    """A V4L2 device, or a network stream, through OpenCV.

    A V4L2 frame is decoded only by :meth:`retrieve`; FFmpeg decodes each that it grabs.  A stream
    may take ``timeout_s`` seconds to open, or to give a frame; a device is asked for ``size_wh``.
    """

    live = True
    fixed_size = True
    warmup = 10

    def __init__(
        self, source: str, *, timeout_s: float = 10.0, size_wh: tuple[int, int] | None = None
    ) -> None:
        self._address = parse(source) if is_address(source) else None
        self.name = printable(shown(source) if self._address else source)
        self._source, self._timeout_s, self._size_wh = source, timeout_s, size_wh
        self._capture: cv2.VideoCapture | None = None
        self._has_times = self._address is not None and self._address.scheme in ("rtsp", "rtsps")
        self._grabbed_s = 0.0

    def open(self) -> None:
        """Open it, or raise a :class:`CameraError` that says how to mend it."""
        self._capture = self._open_stream() if self._address else self._open_device()

    def grab(self) -> bool:
        """Move on to the next frame; False if none came."""
        good = self._capture is not None and self._capture.grab()
        self._grabbed_s = time.monotonic()
        return good

    def arrived_s(self) -> float | None:
        """Return when an RTSP frame came: how late it was, its own time tells."""
        return self._grabbed_s if self._has_times else None

    def stream_s(self) -> float | None:
        """Return an RTSP frame's time; of other sources OpenCV has none that can be trusted.

        A device's driver keeps a few buffers only, which are emptied all the time.
        """
        if self._capture is None or not self._has_times:
            return None
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Decode the frame grabbed last.

        Raises:
            PictureError: a device's frame that OpenCV can't decode whole.

        """
        if self._capture is None:
            return None
        good, image = self._capture.retrieve()
        if not good and self._address is None:
            raise PictureError(f"{self.name}: damaged or cut short: it can't be decoded whole")
        return image if good else None  # type: ignore[return-value] # OpenCV converts to uint8 BGR

    def close(self) -> None:
        """Release it."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _open_stream(self) -> cv2.VideoCapture:
        assert self._address is not None
        timeout_ms = round(self._timeout_s * 1e3)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms]
        limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms]
        capture = cv2.VideoCapture(self._address.full, cv2.CAP_FFMPEG, limits)
        if not capture.isOpened():
            if self._has_times:
                from .rtsp import explain_rtsp  # only where something is wrong

                raise explain_rtsp(self.name, self._address, min(_EXPLAIN_S, self._timeout_s))
            raise CameraError(
                f"{self.name}: what is there is no video that FFmpeg can read",
                "check the address in the camera's manual",
            )
        return capture

    def _open_device(self) -> cv2.VideoCapture:
        # A link below /dev/v4l/by-id is followed anew: the camera may have another number now.
        device = os.path.realpath(self._source)
        _check_device(device, self.name)
        capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
        if not capture.isOpened():
            raise CameraError(
                f"{self.name}: in use by another program, or no camera",
                f"'fuser -v {self.name}' tells which program holds it",
            )
        if self._size_wh:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size_wh[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size_wh[1])
        return capture


class VideoFile(OpenCVCamera):
    """A video file played as a camera: each snapshot is ``step_s`` seconds after the last.

    It is stepped in its own time, so that a run gives the same frames however long each took.
    """

    live = False
    recorded = True
    warmup = 0

    def __init__(self, path: str, *, step_s: float) -> None:
        super().__init__(path)
        self._step_s, self._first = step_s, True

    def open(self) -> None:
        """Open it at its beginning."""
        self._capture = cv2.VideoCapture(self._source, cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise CameraError(
                f"{self.name}: not a video file that FFmpeg can read",
                "give an MP4, MKV or AVI file, copied whole",
            )
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


def _check_device(path: str, name: str) -> None:
    """Raise a CameraError if a device is absent, no camera, or not permitted."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise CameraError(f"{name}: no such camera", _present()) from error
    if not stat.S_ISCHR(mode):
        raise CameraError(f"{name}: not a camera, picture folder or video file")
    if video.is_csi(path):
        raise CameraError(
            f"{name}: a CSI camera, which gives pictures through libcamera only",
            "use --source picamera2",
        )
    if not os.access(path, os.R_OK | os.W_OK):
        raise CameraError(
            f"{name}: no permission", "'sudo usermod -aG video $USER', then log in again"
        )


def _present() -> str:
    """Say which cameras there are; a name by-id stays a camera's own whatever its number is."""
    text = "is it plugged in? 'ls /dev/video*' shows the devices there are"
    names = ["picamera2" if each.csi else each.lasting or each.device for each in video.cameras()]
    return f"{text}; cameras: {', '.join(map(printable, dict.fromkeys(names)))}" if names else text
