"""Collect all that a device without a network needs to install the package, in one folder.

Run it here, on a machine with a network; copy the folder (a USB stick, scp); there, run
"sh FOLDER/install.sh".
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import LesionEdgeError, OutputError

from .devices import DEVICES, Device

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
_PIP = "pip==25.3"
"""Comes along, since Debian's Python has no pip of its own without python3-venv."""
_PICTURE = ROOT / "pictures" / "samples" / "malignant" / "ISIC_0000013.jpg"
_NETWORK = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"),
    *("PIP_TRUSTED_HOST", "PIP_CERT", "PIP_CLIENT_CERT", "PIP_PROXY", "PIP_KEYRING_PROVIDER"),
    *("PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT", "PIP_RETRIES", "PIP_CACHE_DIR", "PIP_NO_CACHE_DIR"),
)
"""Settings of pip that say how packages are reached from here: these alone are kept."""
_EPILOG = f"""\
devices: {", ".join(DEVICES)}
Any other: --machine, --python and --glibc, as `uname -m`, `python3 --version` and
`ldd --version` say there. For 32-bit Arm there are no wheels of numpy and OpenCV: see
deploy/INSTALL.md.

exit status: 0 done, 1 not (nothing is left behind), 2 wrong usage."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parse(arguments)
    device = _device(options)
    out = options.out or ROOT / "out" / f"wheelhouse-{options.device or device.machine}"
    try:
        make_wheelhouse(out, device, options.model)
    except LesionEdgeError as error:
        print(f"deploy.wheelhouse: {error}", file=sys.stderr)
        return 1
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size / 1e6:.0f} MB; copy it to the device, and there: sh {out.name}/install.sh")
    return 0


def make_wheelhouse(out: Path, device: Device, model: Path | None = None) -> None:
    """Make the folder ``out`` for a device; whole, or not at all.

    Args:
        out: the folder; one that is there is replaced, if it is a wheelhouse.
        device: what it is for.
        model: a model file to install besides the one that the package ships.

    Raises:
        ModelError: the model file is damaged.
        OutputError: a wheel can't be had, or the folder not be written.

    """
    if out.exists() and not (out / "install.sh").exists():
        raise OutputError(f"{out}: is there, and no wheelhouse; choose another folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".wheelhouse-") as temporary:
            folder = Path(temporary) / "wheelhouse"
            (folder / "wheels").mkdir(parents=True)
            _collect(folder / "wheels", device)
            if model is not None:
                _add_model(folder, model)
            shutil.copy(_PICTURE, folder / "picture.jpg")
            script = (Path(__file__).parent / "install.sh").read_text()
            (folder / "install.sh").write_text(
                script.replace("@MACHINE@", device.machine).replace("@PYTHON@", device.python)
            )
            _write_sums(folder)
            shutil.rmtree(out, ignore_errors=True)
            folder.rename(out)
    except OSError as error:
        raise OutputError(f"{out}: can't be written: {error.strerror or error}") from error


def _collect(wheels: Path, device: Device) -> None:
    pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT))
    (ours,) = wheels.glob("lesion_edge-*.whl")
    constraints = wheels.parent / "constraints.txt"
    constraints.write_text(pins((ROOT / "constraints.txt").read_text(), device))
    pip(
        "download",
        "--dest",
        str(wheels),
        "--only-binary",
        ":all:",
        "--python-version",
        device.python,
        "--implementation",
        "cp",
        *(f"--platform={tag}" for tag in device.platforms),
        "--constraint",
        str(constraints),
        str(ours),
        _PIP,
    )
    constraints.unlink()


def pins(constraints: str, device: Device) -> str:
    """Return those lines of ``constraints.txt`` that are for a device, without their markers.

    Pip would evaluate the markers for the Python that it runs on.

    Raises:
        OutputError: packaging isn't installed.

    """
    try:
        from packaging.requirements import Requirement
    except ImportError as error:
        raise OutputError(f"{error}; pip install packaging") from error
    environment = {
        "python_version": device.python,
        "python_full_version": f"{device.python}.9",
        "platform_machine": device.machine,
        "sys_platform": "linux",
        "platform_python_implementation": "CPython",
    }
    kept = []
    for line in constraints.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(environment):
            kept.append(f"{pin.name}{pin.specifier}\n")
    return "".join(kept)


def _add_model(folder: Path, model: Path) -> None:
    from edge.model.load import load_model_file

    load_model_file(model)
    shutil.copy(model, folder / "model.tflite")


def _write_sums(folder: Path) -> None:
    """Write ``SHA256SUMS`` as ``sha256sum --check`` reads it."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    (folder / "SHA256SUMS").write_text("".join(lines))


def pip(*arguments: str) -> None:
    """Run pip here, with no constraint but those that the arguments name.

    Raises:
        OutputError: with what pip said.

    """
    # A constraint on the whole process would be one on the build, too, for another Python; and
    # what a person has set for other work (PIP_REQUIRE_HASHES, PIP_NO_BINARY) would refuse ours.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PIP_") or name in _NETWORK
    }
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT
    )
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        message = "; ".join(lines) or result.stderr.strip()[-500:]
        raise OutputError(f"pip {arguments[0]}: {message}")


def _device(options: argparse.Namespace) -> Device:
    if options.device:
        return DEVICES[options.device]
    return Device(options.machine, options.python, options.glibc)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.wheelhouse",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=DEVICES, metavar="NAME", help="one of the list below")
    parser.add_argument("--machine", choices=("aarch64", "x86_64"), help="instead of --device")
    parser.add_argument("--python", type=_python, metavar="3.N")
    parser.add_argument("--glibc", type=_glibc, metavar="2.N")
    parser.add_argument(
        "--model", type=Path, metavar="FILE", help="a model file that is to be installed, too"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="the folder (default: out/wheelhouse-NAME)"
    )
    options = parser.parse_args(arguments)
    other = (options.machine, options.python, options.glibc)
    if (None in other) if options.device is None else any(other):
        parser.error("either --device, or --machine, --python and --glibc")
    return options


def _python(text: str) -> str:
    if not re.fullmatch(r"3\.1[0-4]", text):
        raise argparse.ArgumentTypeError("3.10 to 3.14")
    return text


def _glibc(text: str) -> int:
    if not re.fullmatch(r"2\.\d\d", text):
        raise argparse.ArgumentTypeError("such as 2.36")
    return int(text[2:])


if __name__ == "__main__":
    sys.exit(main())
