"""What the machine tells of itself, before and after a run: a throttled run must be known."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import board
from edge.runtime import usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FLAGS = {
    "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8",
    "asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "neon",
}  # fmt: skip


def machine(root: Path = Path("/")) -> dict[str, Any]:
    """Return what doesn't change during a run: processor, cores, memory, system, Python.

    Args:
        root: where ``proc`` and ``sys`` are; a test hands in its own.

    """
    cpuinfo = _read(root / "proc/cpuinfo") or ""
    fields = dict(re.findall(r"^([^\t:\n]+?)\s*:[ \t]*(.*)$", cpuinfo, re.MULTILINE))
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    memory = re.search(r"MemTotal:\s*(\d+) kB", _read(root / "proc/meminfo") or "")
    return {
        "cpu": fields.get("model name") or fields.get("CPU part") or platform.machine(),
        "board": board.name(root),
        "flags": sorted(_FLAGS.intersection(flags)),
        "cores": usable_cores(),
        "memory_mb": int(memory[1]) >> 10 if memory else None,
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def slug(machine: Mapping[str, Any]) -> str:
    """Return the machine's board or processor as a name for a folder."""
    name = str(machine.get("board") or machine["cpu"]).lower()
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "unnamed"


def state(
    root: Path = Path("/"), firmware: Callable[[Path], int | None] = board.throttled_bits
) -> dict[str, Any]:
    """Return what changes: load, governor, frequencies, temperatures, throttling; None if untold.

    Args:
        root: where ``proc`` and ``sys`` are; a test hands in its own.
        firmware: asks a Raspberry Pi's firmware.

    """
    system = root / "sys/devices/system/cpu"
    counts = [_number(path) for path in sorted(system.glob("cpu*/thermal_throttle/*_count"))]
    return {
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "governor": _each(system, "cpufreq/scaling_governor", _read),
        "mhz": _each(system, "cpufreq/scaling_cur_freq", _mhz) or _told_mhz(root),
        "mhz_max": _each(system, "cpufreq/scaling_max_freq", _mhz),
        "temperature_c": board.temperatures_c(root),
        "throttle_count": sum(count or 0 for count in counts) if counts else None,
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


def _each(system: Path, name: str, read: Callable[[Path], Any]) -> list[Any] | None:
    """Return a file's value for each core, once if they are all the same; None without files."""
    found = [read(path) for path in sorted(system.glob(f"cpu[0-9]*/{name}"))]
    return (found[:1] if len(set(found)) == 1 else found) or None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _number(path: Path) -> int | None:
    text = _read(path)
    return int(text) if text and re.fullmatch(r"-?\d+", text) else None


def _told_mhz(root: Path) -> list[int] | None:
    """Return what the kernel says of each core where there is no cpufreq, as in most guests."""
    text = _read(root / "proc/cpuinfo") or ""
    told = [
        round(float(mhz)) for mhz in re.findall(r"^cpu MHz\s*:\s*([\d.]+)$", text, re.MULTILINE)
    ]
    return (told[:1] if len(set(told)) == 1 else told) or None


def _mhz(path: Path) -> int | None:
    kilohertz = _number(path)
    return None if kilohertz is None else kilohertz // 1000
