"""What :mod:`edge.doctor.findings` and ``python -m edge.doctor`` try in processes of their own.

Each function prints one JSON object; an import that ends the process ends only that one.
"""

from __future__ import annotations

import json
import sys

from edge.libraries import explain


def runtime() -> None:
    """Load the TFLite runtime, then the model of the command line, and let it answer."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        import cv2  # noqa: F401 - whatever is wrong with it must be told apart from the runtime
        import numpy as np
    except Exception as error:  # noqa: BLE001 - a broken package may raise anything
        reason, fix = explain(_line(error), "numpy opencv-python-headless")
        _print(error=f"not tried, since numpy or OpenCV can't be imported ({reason})", fix=fix)
        return
    from edge.errors import LesionEdgeError, RuntimeMissingError
    from edge.model.classifier import Classifier, load_interpreter_class

    try:
        package = load_interpreter_class().__module__.split(".")[0]
    except RuntimeMissingError as error:
        _print(error=_line(error), fix=error.fix)
        return
    try:
        number = version(package.replace("_", "-"))
    except PackageNotFoundError:
        number = "of unknown version"
    about = {"package": package, "version": number, "numpy": np.__version__}
    try:
        path, contract = _arguments()
        classifier = Classifier(path, threads=1, contract=contract)
        classifier.predict(np.full((480, 640, 3), 128, np.uint8))
    except LesionEdgeError as error:
        _print(**about, model_error=_line(error))
        return
    _print(**about)


def model() -> None:
    """Read the model file of the command line and tell its contract."""
    import os

    from edge.errors import ModelError
    from edge.model.classifier import default_model_path, load_model_file
    from edge.model.contract import parse_contract

    path, beside = _arguments()
    path = path or default_model_path()
    name = os.path.basename(path)
    try:
        contract = parse_contract(load_model_file(path, beside)[1], name)
    except ModelError as error:
        _print(model_error=_line(error))
        return
    width, height = contract.input.size_wh
    _print(
        about=f"{name}: {contract.variant}, {width}x{height}, {' or '.join(contract.labels)} from "
        f"{contract.threshold:.4g} on, SHA-256 {contract.sha256[:12]}"
    )


def _arguments() -> list[str | None]:
    """Return the model's and the contract's path, None where the command line names none."""
    return [argument or None for argument in sys.argv[1:3]]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _print(**values: object) -> None:
    print(json.dumps(values))
