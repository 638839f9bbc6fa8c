"""Checks of the machine itself: board, cameras, heat, power and clock.

``root`` is where its ``dev``, ``proc``, ``run`` and ``sys`` are: a test hands in its own.
"""

from __future__ import annotations

import grp
import os
import platform
import pwd
import shlex
import shutil
import sys

from edge.rights import sudo

from . import board, video
from .finding import Finding

_LISTS_CAMERAS = ("rpicam-hello --list-cameras", "v4l2-ctl --list-devices", "lsusb")
_HOT_C = 80.0
"""From here on a Raspberry Pi lowers its clock (Raspberry Pi documentation, "thermal")."""


def check_machine() -> Finding:
    """Tell the board, the architecture, its width and the C library."""
    bits = 64 if sys.maxsize > 2**32 else 32
    libc = " ".join(platform.libc_ver()).strip() or "unknown C library"
    text = f"{board.name() or platform.system()}, {platform.machine()}, {bits}-bit Python, {libc}"
    if bits == 64:
        return Finding("machine", "ok", text)
    fix = "install the 64-bit Raspberry Pi OS, or tflite-runtime: see deploy/INSTALL.md"
    return Finding("machine", "warning", f"{text}: ai-edge-litert has no wheels for it", fix)


def check_cameras(root: str = "/") -> list[Finding]:
    """Look for cameras, tell by what name each is opened, and whether this user may."""
    cameras = video.cameras(root)
    if not cameras:
        text = "no camera device: needed only for a camera; connect one with the power off"
        see = (each for each in _LISTS_CAMERAS if shutil.which(each.split()[0]))
        return [Finding("camera", "warning", text, next(see, None))]
    for camera in cameras:
        path = os.path.join(root, camera.device[1:])
        if not os.access(path, os.R_OK | os.W_OK):
            command = sudo(f"usermod -aG {shlex.quote(_group(path))} {shlex.quote(_user())}")
            text = f"no permission for {camera.device}"
            return [Finding("camera", "failed", text, f"{command}  # then log in again")]
    return [Finding("camera", "ok", _source(camera)) for camera in cameras]


def _source(camera: video.Camera) -> str:
    text = f"{camera.device}{f' ({camera.name})' if camera.name else ''}"
    if camera.csi:
        return f"{text} is a CSI camera: use --source picamera2"
    if camera.lasting:
        return f"{text} may be opened; its number can change, --source {camera.lasting} doesn't"
    return f"{text} may be opened: --source {camera.device}"


def check_board(root: str = "/") -> list[Finding]:
    """Look at temperature, throttling and governor, as far as the system tells."""
    found = []
    temperature = board.temperature_c(root)
    if temperature is not None:
        text = f"{temperature:.1f} degrees Celsius"
        hot = Finding("heat", "warning", text, "give it a heat sink or a fan")
        found.append(hot if temperature >= _HOT_C else Finding("heat", "ok", text))
    throttling = board.throttling(root)
    if throttling:
        power = any("under-voltage" in flag for flag in throttling)
        fix = "use the board's own power supply" if power else "give it a heat sink or a fan"
        found.append(Finding("throttling", "warning", ", ".join(throttling), fix))
    elif throttling is not None:
        found.append(Finding("throttling", "ok", "none since boot"))
    governor = board.governor(root)
    if governor is not None:
        # Some drivers have no more than powersave and performance, and mean something else by it.
        offered = (board.governors(root) or "ondemand").split()
        better = next((each for each in ("ondemand", "schedutil") if each in offered), None)
        if governor == "powersave" and better is not None:
            tee = sudo("tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")
            found.append(Finding("governor", "warning", governor, f"echo {better} | {tee}"))
        else:
            found.append(Finding("governor", "ok", governor))
    return found


def check_clock(root: str = "/") -> Finding | None:
    """Tell whether the clock was set from the network; a Raspberry Pi 4 has none of its own."""
    if not os.path.isdir(os.path.join(root, "run/systemd/timesync")):
        return None  # another program sets it, or none: nothing tells
    if os.path.exists(os.path.join(root, "run/systemd/timesync/synchronized")):
        return Finding("clock", "ok", "synchronised")
    text = "not synchronised since boot: times of results may be wrong"
    return Finding("clock", "warning", text, sudo("timedatectl set-ntp true"))


def _group(path: str) -> str:
    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name
    except (OSError, KeyError):
        return "video"


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
