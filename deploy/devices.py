"""The devices that wheels are collected for, and which wheels fit them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """What decides whether a wheel fits."""

    machine: str
    """As ``uname -m`` says: aarch64, x86_64 or armv7l."""
    python: str
    """Major and minor, such as "3.11"."""
    glibc: int
    """The minor version: 36 is glibc 2.36."""

    @property
    def platforms(self) -> list[str]:
        """The tags of wheels that fit, newest first (PEP 600; PEP 599 for the old name)."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc, 16, -1)]
        return [*tags, f"manylinux2014_{self.machine}", f"linux_{self.machine}"]


DEVICES = {
    "pi-trixie": Device("aarch64", "3.13", 41),
    "pi-bookworm": Device("aarch64", "3.11", 36),
    "ubuntu-24.04-arm": Device("aarch64", "3.12", 39),
    "ubuntu-22.04-arm": Device("aarch64", "3.10", 35),
    "pc-trixie": Device("x86_64", "3.13", 41),
    "pc-bookworm": Device("x86_64", "3.11", 36),
    "pc-ubuntu-24.04": Device("x86_64", "3.12", 39),
    "pc-ubuntu-22.04": Device("x86_64", "3.10", 35),
}
"""Systems by name: Raspberry Pi OS (64-bit) and Debian are one, as are a PC and a server."""
