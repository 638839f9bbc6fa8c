"""What is at work here, for ``--version``: the package, its runtime, OpenCV, the shipped model."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from edge import __version__
from edge.errors import LesionEdgeError


def text() -> str:
    """Return the versions, a line each; what can't be told says why, since that is news, too."""
    numpy = _library("numpy")  # first: where it can't be loaded, OpenCV prints lines of its own
    opencv = numpy if numpy.startswith("can't") else _library("cv2")
    return "\n".join(
        (
            f"lesion-edge {__version__}, Python {platform.python_version()}",
            f"runtime: {_runtime()}",
            f"OpenCV: {opencv}, numpy: {numpy}",
            f"model: {_model()}",
        )
    )


def _runtime() -> str:
    try:
        from edge.model.interpreter import load_interpreter_class

        package = load_interpreter_class().__module__.split(".")[0].replace("_", "-")
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} of unknown version"
    except Exception as error:  # noqa: BLE001 - as below
        return _cannot(error)


def _library(name: str) -> str:
    import importlib

    try:
        return str(importlib.import_module(name).__version__)
    except Exception as error:  # noqa: BLE001 - a broken package may raise anything
        return _cannot(error)


def _cannot(error: Exception) -> str:
    return f"can't be loaded ({' '.join(str(error).split())})"


def _model() -> str:
    from edge.model.contract import parse_contract
    from edge.model.load import load_model_file
    from edge.model.named import find_model

    try:
        path = find_model(None)
        contract = parse_contract(load_model_file(path).document, path)
    except LesionEdgeError as error:
        return str(error)
    return f"{contract.name} {contract.variant}, SHA-256 {contract.sha256}"
