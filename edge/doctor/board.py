"""Reads what the board tells of itself: name, temperature, throttling, governor.

Standard library only, and files rather than commands, so that a loop may ask on every cycle.
Whatever the system doesn't tell is None, never a guess.  ``root`` is where its ``proc`` and ``sys``
are: a test hands in its own.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess

THROTTLE_BITS = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
"""Of the firmware's ``get_throttled``: now; the same 16 bits higher: since the machine started.

Raspberry Pi documentation, "vcgencmd", get_throttled.
"""
_FIRMWARE = "sys/devices/platform/soc*/soc*firmware/get_throttled"
_VCGENCMD_TIMEOUT_S = 5.0


def name(root: str | os.PathLike[str] = "/") -> str | None:
    """Return what the board calls itself, such as "Raspberry Pi 5 Model B Rev 1.0"."""
    return read(root, "proc/device-tree/model")


def temperature_c(root: str | os.PathLike[str] = "/") -> float | None:
    """Return the processor's temperature in degrees Celsius.

    That is the thermal zone whose type names a CPU or SoC ("cpu-thermal" on a Raspberry Pi,
    "x86_pkg_temp" on a PC), or else the hottest of all zones.
    """
    zones = temperatures_c(root)
    of_cpu = [value for zone, value in zones.items() if re.search("cpu|soc|x86_pkg", zone.lower())]
    return max(of_cpu or zones.values(), default=None)


def temperatures_c(root: str | os.PathLike[str] = "/") -> dict[str, float]:
    """Return the temperature of each thermal zone by "type number", in degrees Celsius."""
    found = {}
    for zone in matches(root, "sys/class/thermal/thermal_zone*"):
        text = read(zone, "temp")
        if text and re.fullmatch(r"-?\d+", text):
            number = os.path.basename(zone).removeprefix("thermal_zone")
            found[f"{read(zone, 'type') or 'zone'} {number}"] = int(text) / 1e3
    return found


def governor(root: str | os.PathLike[str] = "/") -> str | None:
    """Return the frequency governor of the first core, such as "ondemand"."""
    return _of_first_core(root, "scaling_governor")


def governors(root: str | os.PathLike[str] = "/") -> str | None:
    """Return the governors that the first core could have, with spaces between them."""
    return _of_first_core(root, "scaling_available_governors")


def _of_first_core(root: str | os.PathLike[str], name: str) -> str | None:
    files = matches(root, f"sys/devices/system/cpu/cpu[0-9]*/cpufreq/{name}")
    return read(files[0], "") if files else None


def throttling(
    root: str | os.PathLike[str] = "/", vcgencmd: str | None = "vcgencmd"
) -> tuple[str, ...] | None:
    """Return why a Raspberry Pi runs slower than it could, now or since it started.

    Returns:
        Texts such as "under-voltage now" and "throttled since boot", empty if all is well; None
        where the system doesn't tell.

    """
    bits = throttled_bits(root, vcgencmd)
    return None if bits is None else flags(bits)


def flags(bits: int) -> tuple[str, ...]:
    """Return the names of the firmware's throttling bits that are set."""
    return tuple(
        f"{text} {when}"
        for shift, when in ((0, "now"), (16, "since boot"))
        for bit, text in THROTTLE_BITS.items()
        if bits >> (bit + shift) & 1
    )


def throttled_bits(
    root: str | os.PathLike[str] = "/", vcgencmd: str | None = "vcgencmd"
) -> int | None:
    """Return the firmware's ``get_throttled`` word.

    ``vcgencmd`` is the command that is asked where no file tells; None asks none.
    """
    for path in matches(root, _FIRMWARE):
        text = read(path, "")
        if text and re.fullmatch(r"(0x)?[0-9a-fA-F]+", text):
            return int(text, 16)
    command = shutil.which(vcgencmd) if vcgencmd else None
    if command is None:
        return None
    try:
        result = subprocess.run(
            [command, "get_throttled"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_VCGENCMD_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    told = re.fullmatch(r"throttled=0x([0-9a-fA-F]+)", result.stdout.strip())
    return int(told[1], 16) if told else None


def read(root: str | os.PathLike[str], path: str) -> str | None:
    """Return a small text file of the system without its line end; None if there is none."""
    try:
        with open(os.path.join(root, path) if path else root, errors="replace") as stream:
            return stream.read().strip("\0\n \t") or None
    except OSError:
        return None


def matches(root: str | os.PathLike[str], pattern: str) -> list[str]:
    """Return the paths below ``root`` that fit a pattern, sorted."""
    return sorted(glob.glob(os.path.join(glob.escape(os.fspath(root)), pattern)))
