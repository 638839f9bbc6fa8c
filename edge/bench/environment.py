"""Read what the machine tells of itself before and after a run: whether it throttled."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.doctor import board
from edge.parallel import usable_cores
from edge.processor import features

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def machine(root: Path = Path("/")) -> dict[str, Any]:
    """Return what doesn't change during a run: processor, cores, memory, system, Python.

    Args:
        root: where ``proc`` and ``sys`` are; a test hands in its own.

    """
    cpuinfo = board.read(root, "proc/cpuinfo") or ""
    fields = dict(re.findall(r"^([^\t:\n]+?)\s*:[ \t]*(.*)$", cpuinfo, re.MULTILINE))
    memory = re.search(r"MemTotal:\s*(\d+) kB", board.read(root, "proc/meminfo") or "")
    return {
        "cpu": fields.get("model name") or fields.get("CPU part") or platform.machine(),
        "board": board.name(root),
        "flags": list(features(root)),
        "cores": usable_cores(),
        "memory_mb": int(memory[1]) >> 10 if memory else None,
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def slug(machine: Mapping[str, Any]) -> str:
    """Return the machine's board or processor as a name for a folder.

    Behind a processor's name stands what makes int8 fast: those of one name differ in it.
    """
    fast = [
        flag for flag in ("avx512_vnni", "avx_vnni", "asimddp", "avx2") if flag in machine["flags"]
    ]
    name = str(machine.get("board") or " ".join([machine["cpu"], *fast[:1]])).lower()
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "unnamed"


def state(
    root: Path = Path("/"), firmware: Callable[[Path], int | None] = board.throttled_bits
) -> dict[str, Any]:
    """Return what changes: load, governor, frequencies, temperatures, throttling; None if untold.

    Args:
        root: where ``proc`` and ``sys`` are; a test hands in its own.
        firmware: asks a Raspberry Pi's firmware.

    """
    counts = [each for each in _each(root, "thermal_throttle/*_count") if each.isdigit()]
    cpuinfo = board.read(root, "proc/cpuinfo") or ""
    # Where there is no cpufreq, as in most guests, the kernel still tells something.
    told = map(float, re.findall(r"^cpu MHz\s*:\s*([\d.]+)$", cpuinfo, re.MULTILINE))
    return {
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "governor": _once(_each(root, "cpufreq/scaling_governor")),
        "mhz": _mhz(_each(root, "cpufreq/scaling_cur_freq")) or _once([*map(round, told)]),
        "mhz_max": _mhz(_each(root, "cpufreq/scaling_max_freq")),
        "temperature_c": board.temperatures_c(root),
        "throttle_count": sum(map(int, counts)) if counts else None,
        "firmware_throttled": firmware(root),
    }


def throttled(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return why a run between two states counts as throttled; empty if nothing says so."""
    reasons = []
    count = (after.get("throttle_count") or 0) - (before.get("throttle_count") or 0)
    if count > 0:
        reasons.append(f"the processor throttled {count} times")
    first, last = before.get("firmware_throttled"), after.get("firmware_throttled")
    if first is not None and last is not None:
        new = (last >> 16) & ~(first >> 16)  # what happened since the first look
        bits = (first | last | new) & 0xF
        reasons += [text for bit, text in board.THROTTLE_BITS.items() if bits >> bit & 1]
    return reasons


def _each(root: Path, name: str) -> list[str]:
    """Return what a file says for each core."""
    files = board.matches(root, f"sys/devices/system/cpu/cpu[0-9]*/{name}")
    return [text for path in files if (text := board.read(path, ""))]


def _once(values: list[Any]) -> list[Any] | None:
    """Return one value if all cores have the same; None without any."""
    return (values[:1] if len(set(values)) == 1 else values) or None


def _mhz(kilohertz: list[str]) -> list[int] | None:
    return _once([int(each) // 1000 for each in kilohertz if each.isdigit()])
