"""Lists the video devices of this system (Video4Linux), and tells what each of them is.

Standard library only, and files rather than commands, as in :mod:`edge.doctor.board`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from . import board

_CSI = ("unicam", "bcm2835-unicam", "rp1-cfe")
"""Receivers of a camera on the board's own connector, to Raspberry Pi 4 and from 5 on.  Their
devices give raw sensor data, which only libcamera makes a picture of (Raspberry Pi documentation,
"Camera software")."""
_NO_CAMERAS = (
    *("bcm2835-codec", "bcm2835-isp", "pispbe", "rpi-hevc-dec", "rpivid"),  # Raspberry Pi
    *("hantro", "rkvdec", "rockchip", "sun8i-di", "cedrus", "meson-vdec", "mtk-vcodec", "wave5"),
)
"""Devices that are there without a camera: codecs and image processors."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A device that a camera is behind."""

    device: str
    """Such as "/dev/video0"."""
    name: str
    """What its driver calls it, such as "HD Webcam C270"; empty where nothing tells."""
    csi: bool
    """It is on the board's own connector: ``--source picamera2`` reads it, the device can't be."""
    lasting: str | None
    """Its name below ``/dev/v4l/by-id``, which stays when numbers change; USB cameras have one."""


def cameras(root: str = "/") -> list[Camera]:
    """Return the cameras in the order of their numbers."""
    nodes = board.matches(root, "dev/video[0-9]*")
    nodes.sort(key=lambda node: (len(node), node))
    lasting = {
        os.path.realpath(link): f"/{os.path.relpath(link, root)}"
        for link in board.matches(root, "dev/v4l/by-id/*")
    }
    found = []
    for node in nodes:
        name, driver = _names(node, root)
        if name.startswith(_NO_CAMERAS) or driver.startswith(_NO_CAMERAS):
            continue
        csi = is_csi(node, root)
        # A USB camera's second device gives data about its pictures (Linux, uvcvideo), and a
        # receiver on the board has a device for each of its channels.
        second = board.read(_about(node, root), "index") not in (None, "0")
        if second and (csi or driver == "uvcvideo"):
            continue
        device = f"/{os.path.relpath(node, root)}"
        found.append(Camera(device, name, csi, lasting.get(os.path.realpath(node))))
    return found


def is_csi(node: str, root: str = "/") -> bool:
    """Tell whether a device is a receiver's of a camera on the board's own connector."""
    return any(name.startswith(_CSI) for name in _names(node, root))


def _names(node: str, root: str) -> tuple[str, str]:
    """Return what a device is called, and its driver."""
    driver = os.path.realpath(os.path.join(_about(node, root), "device/driver"))
    return board.read(_about(node, root), "name") or "", os.path.basename(driver)


def _about(node: str, root: str) -> str:
    return os.path.join(root, "sys/class/video4linux", os.path.basename(node))
