"""Checks of the machine and of what is installed on it, for ``python -m edge.doctor``."""

from __future__ import annotations

import grp
import os
import platform
import shlex
import shutil
import sys
from importlib.metadata import distributions
from importlib.util import find_spec
from typing import Any

from edge.libraries import explain, pip
from edge.rights import sudo

from . import board, video
from .findings import Finding, run_probe

_PYTHONS = ((3, 10), (3, 14))
_OPENCV = (
    "opencv-python", "opencv-python-headless", "opencv-contrib-python",
    "opencv-contrib-python-headless",
)  # fmt: skip
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
    return Finding(
        "machine", "warning", f"{text}: ai-edge-litert has no wheels for it",
        "install the 64-bit Raspberry Pi OS, or tflite-runtime: see deploy/INSTALL.md",
    )  # fmt: skip


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Tell Python's version, and whether the package is for it."""
    text = f"{platform.python_version()}, {sys.executable}"
    oldest, newest = _PYTHONS
    if version < oldest:
        return Finding(
            "python", "failed", f"{text}: older than {oldest[0]}.{oldest[1]}",
            "use the system of a newer release, or a newer Python",
        )  # fmt: skip
    if version > newest:
        return Finding("python", "warning", f"{text}: newer than was tested")
    return Finding("python", "ok", text)


def check_numpy() -> Finding:
    """Import numpy in a process of its own."""
    result = run_probe("import json, numpy as n; print(json.dumps([n.__version__, n.__file__]))")
    return _imported("numpy", result, "numpy")


def check_opencv() -> list[Finding]:
    """Import OpenCV in a process of its own; find wheels that lie over each other."""
    result = run_probe("import json, cv2; print(json.dumps([cv2.__version__, cv2.__file__]))")
    found = [_imported("opencv", result, "opencv-python-headless")]
    wheels = sorted({name for name in _installed() if name in _OPENCV})
    if len(wheels) > 1:
        others = " ".join(wheels)
        found.append(
            Finding(
                "opencv", "warning", f"{' and '.join(wheels)} lie over each other in one folder",
                f"{pip(f'pip uninstall -y {others}')} && "
                f"{pip('pip install opencv-python-headless')}",
            )
        )  # fmt: skip
    return found


def check_picamera2(*, needed: bool = False) -> Finding | None:
    """Import picamera2, where it is installed; it is built for the system's numpy.

    Args:
        needed: a camera is there that only picamera2 reads.

    """
    if "picamera2" not in _installed() and find_spec("picamera2") is None:
        text = "this Python has no picamera2, which the CSI camera needs"
        return Finding("picamera2", "warning", text, _picamera2_command()) if needed else None
    result = run_probe("import json, picamera2 as p; print(json.dumps(['', p.__file__]))")
    finding = _imported("picamera2", result, "picamera2")
    if finding.level == "failed" and "numpy" in finding.message:
        return Finding(
            "picamera2",
            "warning",
            f"{finding.message}: the system's picamera2 is built for the system's numpy",
            pip("pip install 'numpy<2' 'opencv-python-headless<4.12'"),
        )
    return finding


def _picamera2_command() -> str:
    """Return how to get picamera2, which apt alone has, also into a virtual environment."""
    command = sudo("apt install python3-picamera2")
    settings = board.read(sys.prefix, "pyvenv.cfg")
    if settings is None or "include-system-site-packages = true" in settings:
        return command
    python = os.path.join(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))
    again = f"{shlex.quote(python)} -m venv --system-site-packages --without-pip"
    run = str if os.access(sys.prefix, os.W_OK) else sudo
    return f"{command} && {run(f'{again} {shlex.quote(sys.prefix)}')}"


def check_cameras(root: str = "/") -> list[Finding]:
    """Look for cameras, tell by what name each is opened, and whether this user may.

    Args:
        root: where ``dev`` and ``sys`` are; a test hands in its own.

    """
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
    """Look at temperature, throttling and governor, as far as the system tells.

    Args:
        root: where ``proc`` and ``sys`` are; a test hands in its own.

    """
    found = []
    temperature = board.temperature_c(root)
    if temperature is not None:
        hot = temperature >= _HOT_C
        found.append(
            Finding(
                "heat", "warning" if hot else "ok", f"{temperature:.1f} degrees Celsius",
                "give it a heat sink or a fan" if hot else None,
            )
        )  # fmt: skip
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
        tee = sudo("tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")
        slow = governor == "powersave" and better is not None
        found.append(
            Finding(
                "governor", "warning" if slow else "ok", governor,
                f"echo {better} | {tee}" if slow else None,
            )
        )  # fmt: skip
    return found


def check_clock(root: str = "/") -> Finding | None:
    """Tell whether the clock was set from the network; a Raspberry Pi 4 has none of its own.

    Args:
        root: where ``run`` is; a test hands in its own.

    """
    if not os.path.isdir(os.path.join(root, "run/systemd/timesync")):
        return None  # another program sets it, or none: nothing tells
    if os.path.exists(os.path.join(root, "run/systemd/timesync/synchronized")):
        return Finding("clock", "ok", "synchronised")
    return Finding(
        "clock", "warning", "not synchronised since boot: times of results may be wrong",
        sudo("timedatectl set-ntp true"),
    )  # fmt: skip


def _imported(check: str, result: Any, package: str) -> Finding:
    if isinstance(result, list):
        version, path = result
        return Finding(check, "ok", f"{version}, {os.path.dirname(path)}".removeprefix(", "))
    reason, fix = explain(result["error"], package)
    if not reason.startswith(("not installed", "built for")):
        reason = f"can't be imported: {reason}"
    return Finding(check, "failed", reason, fix)


def _installed() -> set[str]:
    names = (each.metadata["Name"] for each in distributions())
    return {name.lower().replace("_", "-") for name in names if name}


def _group(path: str) -> str:
    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name
    except (OSError, KeyError):
        return "video"


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
