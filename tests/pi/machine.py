"""A Raspberry Pi that isn't there: Debian's Python for it, run by qemu as one of its processors.

No root, no chroot, no binfmt: ``qemu -L`` finds the system's files in the unpacked tree and all
others where they are.  A script stands for ``python`` there, so that what the package starts
itself, and a virtual environment's ``bin/python``, is run by qemu as well.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.devices import DEVICES, Device
from deploy.wheelhouse import make_wheelhouse, pins, pip

from .debian import make_tree

PROCESSORS = {
    "cortex-a72": "Raspberry Pi 4",
    "cortex-a76": "Raspberry Pi 5",
    "cortex-a7": "Raspberry Pi 2",
}
_PACKAGES = ("python3", "python3-venv", "libstdc++6")
_QEMU_SUITE = "trixie"  # bookworm's qemu 7.2 crashes in the interpreter's constructor
_DEBIAN = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "armhf"}
_QEMU = {"aarch64": "qemu-aarch64", "armv7l": "qemu-arm"}
_TRIPLETS = {"aarch64": "aarch64-linux-gnu", "armv7l": "arm-linux-gnueabihf"}
_TEST_PACKAGES = ("pytest", "hypothesis")


@dataclass(frozen=True, slots=True)
class System:
    """What is unpacked and installed."""

    device: Device
    processors: tuple[str, ...]
    packages: tuple[str, ...] = _PACKAGES
    """Debian's."""
    wheels: tuple[str, ...] = ()
    """Installed beside the package, by pip from here; none: all comes from a wheelhouse."""

    @property
    def runs_tests(self) -> bool:
        """Whether part of the tests runs there: they are for ai-edge-litert."""
        return not self.wheels


SYSTEMS = {
    "pi-bookworm": System(DEVICES["pi-bookworm"], ("cortex-a72", "cortex-a76")),
    "pi-trixie": System(DEVICES["pi-trixie"], ("cortex-a72", "cortex-a76")),
    "tflite-runtime-bookworm": System(
        DEVICES["pi-bookworm"],
        ("cortex-a72", "cortex-a76"),
        wheels=(
            "tflite-runtime==2.14.0",
            "numpy==1.26.4",
            "opencv-python-headless==4.11.0.86",
        ),
    ),
    "32-bit-bookworm": System(
        Device("armv7l", "3.11", 36),
        ("cortex-a7",),
        (*_PACKAGES, "python3-numpy", "python3-opencv"),
        ("tflite-runtime==2.14.0",),
    ),
}
DEFAULT = ("pi-bookworm", "pi-trixie")


@dataclass(frozen=True, slots=True)
class Machine:
    """A system that is there: a tree of Debian's packages, and the package installed beside it."""

    name: str
    folder: Path
    system: System

    @property
    def device(self) -> Device:
        """What the wheels have to fit."""
        return self.system.device

    @property
    def python(self) -> Path:
        """What runs the tree's Python."""
        return self.folder / "tree" / "usr" / "bin" / "emulated-python"

    @property
    def installed_python(self) -> Path:
        """The Python of the virtual environment that the wheelhouse's script makes."""
        return self.folder / "device" / "bin" / "python"

    def run(
        self, python: Path, *arguments: str | Path, cpu: str, **settings: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the two Pythons as a processor, without network where that can be done."""
        environment = self.environment(cpu) | settings
        return subprocess.run(
            [*without_network(), str(python), *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )

    def environment(self, cpu: str) -> dict[str, str]:
        """Return the environment of a process there."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        # Debian compiles its modules when it installs them, which nobody has done here.
        return kept | {"EMULATED_CPU": cpu, "PYTHONPYCACHEPREFIX": str(self.folder / "pycache")}


def make_machine(name: str, cache: Path, root: Path) -> Machine:
    """Unpack a system and install the package in it, unless that is done already.

    Args:
        name: one of :data:`SYSTEMS`.
        cache: the folder that keeps it.
        root: the project's folder.

    Raises:
        OSError: Debian's mirror can't be reached.
        LesionEdgeError: a wheel can't be had.
        RuntimeError: the installation failed; with what it printed.

    """
    system = SYSTEMS[name]
    device = system.device
    machine = Machine(name, cache / name, system)
    qemu = _make_qemu(cache, device)
    suite = name.rsplit("-", maxsplit=1)[-1]
    tree = make_tree(machine.folder / "tree", suite, _DEBIAN[device.machine], system.packages)
    _write_python(machine.python, qemu, tree, device)
    _install(machine, root)
    return machine


def without_network() -> list[str]:
    """Return the command that runs another without network; empty where the system forbids it."""
    command = ["unshare", "--map-root-user", "--net"]
    if shutil.which(command[0]) is None:
        return []
    return [] if subprocess.run([*command, "true"], check=False).returncode else command


def _make_qemu(cache: Path, device: Device) -> Path:
    host = _DEBIAN.get(os.uname().machine)
    if host is None:
        message = f"Debian's qemu isn't known for this machine ({os.uname().machine})"
        raise OSError(message)
    wanted = {f"usr/bin/{name}" for name in _QEMU.values()}
    folder = make_tree(
        cache / "qemu", _QEMU_SUITE, host, ["qemu-user"], only=lambda path: path in wanted
    )
    return folder / "usr" / "bin" / _QEMU[device.machine]


def _write_python(path: Path, qemu: Path, tree: Path, device: Device) -> None:
    binary = tree / "usr" / "bin" / f"python{device.python}"
    libraries = tree / "usr" / "lib" / _TRIPLETS[device.machine]
    # Debian's alternatives, of which the links are made by scripts.
    search = f"{libraries / 'blas'}:{libraries / 'lapack'}"
    path.write_text(
        "#!/bin/sh\n"
        f'exec {shlex.quote(str(qemu))} -cpu "$EMULATED_CPU" -L {shlex.quote(str(tree))} '
        f'-E LD_LIBRARY_PATH={shlex.quote(search)} -0 "$0" {shlex.quote(str(binary))} "$@"\n'
    )
    path.chmod(0o755)


def _install(machine: Machine, root: Path) -> None:
    """Make a wheelhouse for the device, and install from it there, without network."""
    state = _state(root)
    stamp = machine.folder / "device" / ".state"
    if stamp.exists() and stamp.read_text() == state:
        return
    if machine.system.wheels:
        _install_wheels(machine, root)
        stamp.write_text(state)
        return
    wheelhouse = machine.folder / "wheelhouse"
    make_wheelhouse(wheelhouse, machine.device)
    shutil.rmtree(machine.folder / "device", ignore_errors=True)
    cpu = machine.system.processors[0]
    result = subprocess.run(
        [*without_network(), "sh", wheelhouse / "install.sh", machine.folder / "device"],
        env=machine.environment(cpu) | {"PYTHON": str(machine.python)},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    if result.returncode:
        message = f"{machine.name}: install.sh failed: {result.stdout}{result.stderr}"
        raise RuntimeError(message)
    stamp.write_text(state)


def _install_wheels(machine: Machine, root: Path) -> None:
    """Make a virtual environment that sees apt's packages, and put the wheels into it from here.

    Pip there would look whether its own program is one for 32-bit Arm, which the script isn't.
    """
    device = machine.device
    target = machine.folder / "device"
    shutil.rmtree(target, ignore_errors=True)
    made = machine.run(
        machine.python,
        "-m",
        "venv",
        "--without-pip",
        "--system-site-packages",
        target,
        cpu=machine.system.processors[0],
    )
    if made.returncode:
        raise RuntimeError(made.stderr)
    site = target / "lib" / f"python{device.python}" / "site-packages"
    pip_install(site, device, "--no-deps", *machine.system.wheels)
    with tempfile.TemporaryDirectory() as folder:
        pip("wheel", "--no-deps", "--wheel-dir", folder, str(root))
        pip("install", "--no-deps", "--target", str(site), *map(str, Path(folder).iterdir()))


def pip_install(site: Path, device: Device, *arguments: str) -> None:
    """Install wheels for a device into a folder.

    Raises:
        LesionEdgeError: a wheel can't be had.

    """
    pip(
        "install",
        "--target",
        str(site),
        "--only-binary",
        ":all:",
        "--python-version",
        device.python,
        *(f"--platform={tag}" for tag in device.platforms),
        *arguments,
    )


def _state(root: Path) -> str:
    """Return a hash of all that decides what is installed."""
    files = [
        *sorted((root / "edge").glob("**/*.py")),
        *sorted((root / "deploy").glob("*.*")),
        root / "models" / "lesion-int8.tflite",
        root / "constraints.txt",
        root / "pyproject.toml",
    ]
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def install_test_packages(machine: Machine, root: Path) -> Path:
    """Collect what the tests need besides the package, and return the folder that holds it.

    Raises:
        LesionEdgeError: a wheel can't be had.

    """
    site = machine.folder / "site"
    stamp = site / ".packages"
    device = machine.device
    wanted = pins((root / "constraints.txt").read_text(), device)
    if stamp.exists() and stamp.read_text() == wanted:
        return site
    shutil.rmtree(site, ignore_errors=True)
    constraints = machine.folder / "constraints.txt"
    constraints.write_text(wanted)
    pip_install(site, device, "--constraint", str(constraints), *_TEST_PACKAGES)
    stamp.write_text(wanted)
    return site
