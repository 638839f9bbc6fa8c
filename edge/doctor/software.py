"""Checks of what is installed: Python, numpy, OpenCV, picamera2, the TFLite runtime, the model.

A model and its contract are paths: None is the model that the package ships, and a contract goes
with a TFLite file without one.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib.metadata import distributions
from importlib.util import find_spec
from typing import Any

from edge.libraries import explain, pip
from edge.rights import sudo

from . import board
from .finding import Finding
from .probe import run_probe

_PYTHONS = ((3, 10), (3, 14))
_OPENCV = {f"opencv-{kind}python{head}" for kind in ("", "contrib-") for head in ("", "-headless")}


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Tell Python's version, and whether the package is for it."""
    text = f"{platform.python_version()}, {sys.executable}"
    oldest, newest = _PYTHONS
    if version < oldest:
        fix = "use the system of a newer release, or a newer Python"
        return Finding("python", "failed", f"{text}: older than {oldest[0]}.{oldest[1]}", fix)
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
    wheels = sorted(_OPENCV & _installed())
    if len(wheels) > 1:
        text = f"{' and '.join(wheels)} lie over each other in one folder"
        away = pip(f"pip uninstall -y {' '.join(wheels)}")
        again = pip("pip install opencv-python-headless")
        found.append(Finding("opencv", "warning", text, f"{away} && {again}"))
    return found


def check_model(
    path: str | os.PathLike[str] | None = None, contract: str | os.PathLike[str] | None = None
) -> Finding:
    """Read a model file whole and check it and its contract; the runtime isn't asked."""
    result = run_probe("from edge.doctor.probe import model; model()", *_named(path, contract))
    if "error" in result:
        return Finding("model", "warning", f"not checked, see the others: {result['error']}")
    if "model_error" in result:
        # An error of ours says what is wrong with what, and behind a semicolon what to do.
        problem, _, way_out = result["model_error"].partition("; ")
        return Finding("model", "failed", problem, way_out or "copy the file again")
    return Finding("model", "ok", result["about"])


def check_runtime(
    model: str | os.PathLike[str] | None = None, contract: str | os.PathLike[str] | None = None
) -> Finding:
    """Try the TFLite runtime in a process of its own: load a model, let it answer.

    So a library that ends its process, as one built for another processor does, is a finding too.
    """
    result = run_probe("from edge.doctor.probe import runtime; runtime()", *_named(model, contract))
    if "error" in result:
        fix = result.get("fix") or pip("pip install --force-reinstall ai-edge-litert")
        return Finding("runtime", "failed", result["error"], fix)
    text = f"{result['package']} {result['version']} beside numpy {result['numpy']}"
    if "model_error" in result:
        return Finding("runtime", "warning", f"{text} loads; not tried: {result['model_error']}")
    return Finding("runtime", "ok", f"{text} answers")


def check_picamera2(*, needed: bool = False) -> Finding | None:
    """Import picamera2, where it is installed; it is built for the system's numpy.

    It is ``needed`` where a camera is there that only picamera2 reads.
    """
    if "picamera2" not in _installed() and find_spec("picamera2") is None:
        text = "this Python has no picamera2, which the CSI camera needs"
        return Finding("picamera2", "warning", text, _picamera2_command()) if needed else None
    result = run_probe("import json, picamera2 as p; print(json.dumps(['', p.__file__]))")
    finding = _imported("picamera2", result, "picamera2")
    if finding.level == "failed" and "numpy" in finding.message:
        text = f"{finding.message}: the system's picamera2 is built for the system's numpy"
        fix = pip("pip install 'numpy<2' 'opencv-python-headless<4.12'")
        return Finding("picamera2", "warning", text, fix)
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


def _named(*paths: str | os.PathLike[str] | None) -> list[str]:
    """Return paths as a probe's arguments; an empty one stands for None."""
    return ["" if path is None else os.fspath(path) for path in paths]


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
