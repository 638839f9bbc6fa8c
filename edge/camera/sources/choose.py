"""Chooses the camera that ``--source`` names, and plays a folder of pictures as one."""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

from edge.analyzer import read_picture
from edge.camera.interfaces import Camera
from edge.cli.sources import SUFFIXES, expand
from edge.errors import CameraError, PictureError
from edge.files import printable

from .address import is_address, scheme_of, shown
from .opencv import OpenCVCamera, VideoFile
from .picamera import PiCamera

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LOG = logging.getLogger("edge.camera")
TAKEN = (
    "a camera's number or path (0, /dev/video0, /dev/v4l/by-id/...), an rtsp://, http:// or "
    "https:// address, picamera2, a video file, or a folder of pictures"
)
"""What ``--source`` takes, in one sentence."""

_OTHERS = {"csi": "--source picamera2", "libcamera": "--source picamera2", "rtspx": "rtsps://"}
"""What to use instead of addresses that other programs take; UniFi cameras show ``rtspx``."""


_LOOKS_LIKE = {
    r"\s!\s|^\w+src\b": "a GStreamer pipeline isn't taken",
    r"^(?:[\w.-]+:\d+(?:/|$)|\[[0-9A-Fa-f:]+\]|\d+(?:\.\d+){3}|//|(?:rtsps?|https?)\b)": (
        "an address needs its scheme: rtsp://HOST:PORT/PATH or http://HOST:PORT/PATH"
    ),
    r"^(?!.*://).*(?:[*?\[]|%\d*d)": "a pattern isn't taken: give the folder",
    r"(?i)^[^/]*(?:csi|pi|libcamera)[^/]*$": (
        "no camera of this name; a Raspberry Pi's own is picamera2"
    ),
    "": "no camera, file or folder of this name",
}
"""What a source that is no camera seems to be."""


class PictureFolder(Camera):
    """The pictures of a folder, one after the other and over again, played as a camera."""

    live = False
    recorded = True
    fixed_size = False

    def __init__(self, folder: str) -> None:
        self.name = printable(folder)
        self._folder, self._number = folder, -1
        self._paths: list[str] = []
        self._told: set[str] = set()

    def open(self) -> None:
        """List the folder's pictures, as :func:`edge.cli.sources.expand` does for all commands."""
        found = list(expand([self._folder], tell=self._tell))
        errors = [each for each in found if isinstance(each, PictureError)]
        self._paths = [each for each in found if isinstance(each, str)]
        if not self._paths:
            raise CameraError(str(errors[0]), "put JPEG or PNG pictures there, or name another")
        for error in errors:
            self._tell(str(error))

    def grab(self) -> bool:
        """Move on to the next picture."""
        self._number += 1
        return bool(self._paths)

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Decode it; raise a PictureError if it is damaged."""
        picture = read_picture(self._paths[self._number % len(self._paths)])
        self.warnings = picture.warnings
        return picture.image_bgr

    def close(self) -> None:
        """Nothing is held open."""

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            _LOG.warning("%s: %s", self.name, text)


def open_source(
    source: str, *, interval_s: float, timeout_s: float, size_wh: tuple[int, int] | None = None
) -> Camera:
    """Return the camera that ``--source`` names, not yet opened.

    Args:
        source: a device's number or path, an address, ``picamera2``, a video file or a folder.
        interval_s: between snapshots, in seconds: the step through a video file.
        timeout_s: of a network stream, in seconds.
        size_wh: width and height to ask for.

    Raises:
        CameraError: it is none of these; the message says what is taken.

    """
    if source == "picamera2":
        return PiCamera(size_wh=size_wh) if size_wh else PiCamera()
    if source.isdecimal():
        source = f"/dev/video{int(source)}"
    if is_address(source):
        if scheme_of(source) in ("http", "https"):
            from .http import HttpCamera  # with urllib and TLS, which no other needs

            return HttpCamera(source, timeout_s=timeout_s)
        if scheme_of(source) in ("rtsp", "rtsps"):
            return OpenCVCamera(source, timeout_s=timeout_s)
        other = _OTHERS.get(scheme_of(source))
        raise CameraError(
            f"{shown(source)}: no camera's address",
            f"use {other}" if other else f"--source takes {TAKEN}",
        )
    if os.path.isdir(source):
        return PictureFolder(source)
    if os.path.isfile(source):
        if source.lower().endswith(SUFFIXES):
            raise CameraError(
                f"{printable(source)}: a picture, not a camera",
                "python -m edge.run takes pictures; --source takes the folder that it lies in",
            )
        return VideoFile(source, step_s=interval_s)
    if source.startswith("/dev/"):
        return OpenCVCamera(source, size_wh=size_wh)
    raise _no_source(source)


def _no_source(source: str) -> CameraError:
    """Say what a source that is no camera seems to be, and what is taken."""
    # A pipeline, or an address that lacks its scheme, may hold a password.
    is_name = re.fullmatch(r"[\w.%-]*|(?:/(?!/)|[.~])[^@?=&!:]*", source)
    name = printable(source) if is_name else "--source"
    problem = next(text for pattern, text in _LOOKS_LIKE.items() if re.search(pattern, source))
    return CameraError(f"{name}: {problem}", f"--source takes {TAKEN}")
