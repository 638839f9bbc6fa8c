"""Checks of the machine and of what is installed on it, for ``python -m edge.doctor``."""

from __future__ import annotations

import grp
import os
import platform
import shlex
import sys
from importlib.metadata import distributions
from typing import Any

from . import board, findings
from .findings import Finding, pip, run_probe

_PYTHONS = ((3, 10), (3, 14))
_OPENCV = (
    "opencv-python", "opencv-python-headless", "opencv-contrib-python",
    "opencv-contrib-python-headless",
)  # fmt: skip
_HOT_C = 80.0
"""From here on a Raspberry Pi lowers its clock (Raspberry Pi documentation, "thermal")."""


_NO_CAMERAS = ("bcm2835-codec", "bcm2835-isp", "pispbe", "rpi-hevc-dec", "rpivid")
"""Video devices of a Raspberry Pi that are there without a camera: codecs and image processors."""


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


def check_picamera2() -> Finding | None:
    """Import picamera2, where it is installed; it is built for the system's numpy."""
    if "picamera2" not in _installed():
        return None
    result = run_probe("import json, picamera2 as p; print(json.dumps(['', p.__file__]))")
    finding = _imported("picamera2", result, "picamera2")
    if finding.level == "failed" and "numpy" in finding.message:
        return Finding(
            "picamera2", "warning",
            f"{finding.message}: the system's picamera2 is built for the system's numpy",
            "install ours beside that: see deploy/INSTALL.md, --system-site-packages",
        )  # fmt: skip
    return finding


def check_cameras(root: str = "/") -> list[Finding]:
    """Look for camera devices, and whether this user may open them.

    Args:
        root: where ``dev`` and ``sys`` are; a test hands in its own.

    """
    nodes = board.matches(root, "dev/video[0-9]*")
    devices = [
        os.path.relpath(node, root)
        for node in nodes
        if not (_video_name(root, node) or "").startswith(_NO_CAMERAS)
    ]
    if not devices:
        return [
            Finding(
                "camera", "warning", "no camera device: needed only for a camera",
                "connect it with the power off, then: rpicam-hello --list-cameras, or"
                " v4l2-ctl --list-devices",
            )
        ]  # fmt: skip
    refused = [
        name for name in devices if not os.access(os.path.join(root, name), os.R_OK | os.W_OK)
    ]
    if not refused:
        return [Finding("camera", "ok", f"{len(devices)} devices, all may be opened")]
    group = _group(os.path.join(root, refused[0]))
    return [
        Finding(
            "camera", "failed", f"no permission for /{refused[0]}",
            f"sudo usermod -aG {shlex.quote(group)} {shlex.quote(_user())}, then log in again",
        )
    ]  # fmt: skip


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
        slow = governor == "powersave"
        found.append(
            Finding(
                "governor", "warning" if slow else "ok", governor,
                "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
                if slow else None,
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
        "sudo timedatectl set-ntp true, or by hand: sudo date --set='2026-01-31 12:00'",
    )  # fmt: skip


def _video_name(root: str, node: str) -> str | None:
    return board.read(root, f"sys/class/video4linux/{os.path.basename(node)}/name")


def _imported(check: str, result: Any, package: str) -> Finding:
    if isinstance(result, list):
        version, path = result
        return Finding(check, "ok", f"{version}, {os.path.dirname(path)}".removeprefix(", "))
    error = result["error"]
    if findings.is_numpy_clash(error):
        return Finding(
            check, "failed", f"built for numpy 1, but numpy 2 is installed ({error})",
            f"{pip(f'pip install --ignore-installed {package}')}; with apt's packages beside ours"
            " see deploy/INSTALL.md",
        )  # fmt: skip
    if "No module named" in error:
        return Finding(check, "failed", f"not installed: {error}", pip(f"pip install {package}"))
    return Finding(
        check, "failed", f"can't be imported: {error}",
        pip(f"pip install --force-reinstall {package}"),
    )  # fmt: skip


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
