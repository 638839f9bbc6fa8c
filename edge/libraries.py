"""Why numpy, OpenCV or a TFLite runtime can't be loaded, in a line, and the command that helps.

Standard library only: this is for where the others don't load.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .rights import sudo

if TYPE_CHECKING:
    from types import TracebackType

_NUMPY_CLASH = ("compiled using NumPy 1.x", "_ARRAY_API not found", "numpy.dtype size changed")
_MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file")
_OLD_SYSTEM = re.compile(r"version [`'](GLIBC(?:XX)?)_([\d.]+)' not found")
_NO_THREAD_SPACE = re.compile(r"(\S+\.so[\d.]*): cannot allocate memory in static TLS block")
_NO_EXECUTION = re.compile(r"(/\S+): failed to map segment from shared object")
_NO_MODULE = re.compile(r"No module named '?(\w+)(?![\w.])")  # with a dot: a part of one is broken
_PACKAGES = {
    "libatlas.so.3": "libatlas3-base",
    "libcblas.so.3": "libatlas3-base",
    "libf77blas.so.3": "libatlas3-base",
    "liblapack_atlas.so.3": "libatlas3-base",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgobject-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libgio-2.0.so.0": "libglib2.0-0",
    "libgmodule-2.0.so.0": "libglib2.0-0",
    "libgdk-3.so.0": "libgtk-3-0",
    "libatk-1.0.so.0": "libatk1.0-0",
    "libgdk_pixbuf-2.0.so.0": "libgdk-pixbuf-2.0-0",
    "libQt5Core.so.5": "libqt5core5a",
    "libgstreamer-1.0.so.0": "libgstreamer1.0-0",
    "libgstbase-1.0.so.0": "libgstreamer1.0-0",
    "libgstapp-1.0.so.0": "libgstreamer-plugins-base1.0-0",
    "libgstriff-1.0.so.0": "libgstreamer-plugins-base1.0-0",
    "libgstvideo-1.0.so.0": "libgstreamer-plugins-base1.0-0",
    "libgstpbutils-1.0.so.0": "libgstreamer-plugins-base1.0-0",
    "libv4l1.so.0": "libv4l-0",
    "libv4l2.so.0": "libv4l-0",
    "libGLdispatch.so.0": "libglvnd0",
    "libIex-3_1.so.30": "libopenexr-3-1-30",
    "libIlmThread-3_1.so.30": "libopenexr-3-1-30",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
    "libhdf5_serial.so.103": "libhdf5-103-1",
    "libjpeg.so.62": "libjpeg62-turbo",
    "libz.so.1": "zlib1g",
    "libbz2.so.1.0": "libbz2-1.0",
    "libffi.so.8": "libffi8",
}
"""Debian's packages of libraries that are not called as the library is; see :func:`apt_package`."""
_GONE = ("libjasper.so.1", "libIlmImf-2_2.so.23", "libIlmImf-2_3.so.24", "libImath-2_2.so.23")
"""Libraries of old OpenCV wheels, which no Debian has any more: a newer wheel does without."""
_WHEELS = {
    "cv2": "opencv-python-headless",
    "ai_edge_litert": "ai-edge-litert",
    "tflite_runtime": "tflite-runtime",
}
"""Packages on PyPI that are not called as the module is."""
_OWN = ("edge", "convert", "deploy", "tests", "benchmarks", "models")


def is_known(text: str) -> bool:
    """Tell whether a line of an error is one that :func:`explain` can make something of."""
    signs = (_MISSING_LIBRARY, _OLD_SYSTEM, _NO_THREAD_SPACE, _NO_EXECUTION)
    return is_numpy_clash(text) or any(sign.search(text) for sign in signs)


def is_numpy_clash(text: str) -> bool:
    """Tell whether an import failed since a package was built for numpy 1 and 2 is there."""
    return any(sign in text for sign in _NUMPY_CLASH)


def explain(error: str, wheel: str) -> tuple[str, str]:  # noqa: PLR0911 - one for each cause
    """Return why an import failed, as one line, and a command that puts it right.

    Args:
        error: what Python said.
        wheel: the package that was to be imported, as pip calls it.

    """
    again = pip(f"pip install --force-reinstall --no-cache-dir {wheel}")
    if is_numpy_clash(error):
        return "built for numpy 1, but numpy 2 is installed", pip(
            f"pip install --ignore-installed {wheel}"
        )
    if match := _NO_MODULE.search(error):
        name = _WHEELS.get(match[1], match[1])
        return f"not installed: No module named {match[1]!r}", pip(f"pip install {name}")
    if match := _MISSING_LIBRARY.search(error):
        if match[1] in _GONE or shutil.which("apt-get") is None:
            return match[0], again
        return match[0], sudo(f"apt install {apt_package(match[1])}")
    if match := _OLD_SYSTEM.search(error):
        mine = " ".join(platform.libc_ver()).strip() or "an older one"
        reason = f"made for a system with {match[1]} {match[2]} or newer, this one has {mine}"
        return reason, again
    if match := _NO_THREAD_SPACE.search(error):
        return match[0], f"export LD_PRELOAD={shlex.quote(match[1])}"
    if match := _NO_EXECUTION.search(error):
        quoted = shlex.quote(match[1])
        reason = f"{match[1]}: no code may be run from this disk (noexec), or memory is short"
        return reason, sudo(f'mount -o remount,exec "$(findmnt -no TARGET -T {quoted})"')
    lines = error.strip().splitlines() or ["no reason given"]
    return lines[-1].strip(), again


def apt_package(library: str) -> str:
    """Return the Debian package of a shared library, such as "libopenblas0" of "libopenblas.so.0".

    Debian Policy, 8.1: the library's name and the number behind ".so.", with a hyphen between them
    if the name ends with a digit.
    """
    if library in _PACKAGES:
        return _PACKAGES[library]
    name, _, number = library.partition(".so")
    number = number.lstrip(".")
    hyphen = "-" if name[-1].isdigit() and number else ""
    return f"{name}{hyphen}{number}".lower().replace("_", "-")


def pip(command: str) -> str:
    """Return a pip command as one that works for the Python that is running."""
    python = shlex.quote(sys.executable)
    if sys.prefix == sys.base_prefix and os.path.exists(
        os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")  # PEP 668
    ):
        return (
            f"{sudo('apt install python3-venv')} && {python} -m venv --system-site-packages"
            f" ~/lesion-edge && ~/lesion-edge/bin/python -m {command}"
            " && ~/lesion-edge/bin/python -m edge.doctor"
        )
    run = str if os.access(sysconfig.get_path("purelib"), os.W_OK) else sudo
    first = "" if find_spec("pip") else f"{run(f'{python} -m ensurepip')} && "
    return f"{first}{run(f'{python} -m {command}')}"


def extra(name: str) -> str:
    """Return the pip command that adds an extra of this package."""
    project = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.isfile(os.path.join(project, "pyproject.toml")):
        return pip(f"pip install '.[{name}]'")
    command = pip(f"pip install 'lesion-edge[{name}]'")
    return f"{command}, or with '.[{name}]' in a copy of the project"


def explain_start(error: Exception) -> str | None:
    """Say in one line that an import failed, and what helps; None where something else did."""
    wheel = _importing(error.__traceback__)
    foreign = not str(getattr(error, "name", None)).startswith(_OWN)
    if wheel is None and not (isinstance(error, ImportError) and foreign):
        return None
    reason, fix = explain(str(error), wheel or "numpy opencv-python-headless")
    doctor = f"{shlex.quote(sys.executable)} -m edge.doctor"
    return f"can't start: {reason}; try: {fix}; {doctor} tells more"


def _importing(traceback: TracebackType | None) -> str | None:
    """Return the package whose import failed, as pip calls it, if a package's own code was run."""
    while traceback is not None:
        name = str(traceback.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if traceback.tb_frame.f_code.co_name == "<module>" and name in ("numpy", *_WHEELS):
            return _WHEELS.get(name, name)
        traceback = traceback.tb_next
    return None
