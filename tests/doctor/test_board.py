"""What the machine tells of itself is read as it is, and what it doesn't tell is None."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.doctor import board

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Below sys/, as a Raspberry Pi 5 has it.
_FIRMWARE = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
_PI = {
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "61250\n",
    "sys/class/thermal/thermal_zone1/type": "rp1-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "70000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    _FIRMWARE: "50005\n",
}


def _write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_raspberry_pi_is_read_from_its_files(tmp_path: Path) -> None:
    root = _write(tmp_path / "a [root]", _PI)
    assert board.name(root) == "Raspberry Pi 5 Model B Rev 1.0"
    assert board.temperature_c(root) == 61.25
    assert board.governor(root) == "ondemand"
    assert board.throttling(root, None) == (
        "under-voltage now",
        "throttled now",
        "under-voltage since boot",
        "throttled since boot",
    )


def test_what_no_file_tells_is_none(tmp_path: Path) -> None:
    assert board.name(tmp_path) is None
    assert board.temperature_c(tmp_path) is None
    assert board.governor(tmp_path) is None
    assert board.throttling(tmp_path, None) is None
    assert board.throttling(tmp_path, "no-such-command") is None


@pytest.mark.parametrize("text", ["", "warm", "12.5 C", "0x"])
def test_files_that_hold_something_else_tell_nothing(tmp_path: Path, text: str) -> None:
    names = ("sys/class/thermal/thermal_zone0/temp", _FIRMWARE)
    root = _write(tmp_path, dict.fromkeys(names, text))
    assert board.temperature_c(root) is None
    assert board.throttling(root, None) is None


def test_without_a_cpu_zone_the_hottest_counts(tmp_path: Path) -> None:
    zones = {
        "sys/class/thermal/thermal_zone0/temp": "31000",
        "sys/class/thermal/thermal_zone1/type": "acpitz",
        "sys/class/thermal/thermal_zone1/temp": "45500",
    }
    assert board.temperature_c(_write(tmp_path, zones)) == 45.5


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo throttled=0x0", ()),
        (
            "echo throttled=0x80008",
            ("soft temperature limit now", "soft temperature limit since boot"),
        ),
        ("echo 'Can not open device'; exit 1", None),
    ],
)
def test_vcgencmd_is_asked_where_no_file_tells(
    tmp_path: Path, script: str, expected: tuple[str, ...] | None
) -> None:
    command = tmp_path / "vcgencmd"
    command.write_text(f"#!/bin/sh\n[ $1 = get_throttled ] || exit 9\n{script}\n")
    command.chmod(0o755)
    assert board.throttling(tmp_path, str(command)) == expected


def test_this_machine_is_read_without_an_error() -> None:
    temperature = board.temperature_c()
    assert temperature is None or -60 < temperature < 130
    board.throttling()
    board.governor()
