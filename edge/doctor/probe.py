"""Tries libraries and models in a process of its own, which a broken one may end.

:func:`runtime` and :func:`model` are what such a process does; each prints one JSON object.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

from edge.libraries import explain, is_known

_PROBE_TIMEOUT_S = 120.0
_LABELS_MOST = 7


def run_probe(code: str, *arguments: str) -> Any:
    """Run Python code in a process of its own, with this one's module path.

    Returns:
        What JSON the code printed as its last line, or ``{"error": one line}``.

    """
    start = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); sys.argv[0] = 'probe'; "
    command = [sys.executable, "-c", start + code, json.dumps(sys.path), *arguments]
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {_PROBE_TIMEOUT_S:.0f} s"}
    except OSError as error:
        return {"error": f"{sys.executable} can't be started: {error.strerror}"}
    if result.returncode < 0:
        name = signal.Signals(-result.returncode).name
        return {"error": f"the process died by {name}: a library not made for this processor?"}
    try:
        return json.loads(result.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        said = result.stderr.decode("utf-8", "backslashreplace")
        lines = said.strip().splitlines() or [f"exit status {result.returncode}"]
        return {"error": next(filter(is_known, lines), lines[-1]).strip()}


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
    from edge.model.classifier import Classifier
    from edge.model.interpreter import load_interpreter_class

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
        classifier = Classifier(path, num_threads=1, contract=contract)
        image = np.full((480, 640, 3), 128, np.uint8)
        classifier.predict(image)
        if (outline := classifier.outline_network()) is not None:
            outline.predict(image)
    except LesionEdgeError as error:
        _print(**about, model_error=_line(error))
        return
    _print(**about)


def model() -> None:
    """Read the model file of the command line and tell its contract."""
    import os

    from edge.cli.labels import describe_rule, name_some
    from edge.errors import ModelError
    from edge.model.classifier import Classifier
    from edge.model.contract import parse_contract
    from edge.model.load import load_model_file
    from edge.model.named import find_model
    from edge.model.outline import parse_outline

    path, beside = _arguments()
    try:
        path = find_model(path)
        name = os.path.basename(path)
        if beside:
            contract = Classifier(path, contract=beside).contract  # the graph says what is left out
        else:
            file = load_model_file(path)
            contract = parse_contract(file.document, name)
            if file.outline is not None:
                parse_outline(file.document, file.outline, name)
    except ModelError as error:
        _print(model_error=_line(error))
        return
    width, height = contract.input.size_wh
    labels = contract.labels
    others = [label for label in labels if label != contract.positive]
    before = f"{len(labels)} labels ({name_some(labels, _LABELS_MOST)}), "
    if len(others) == 1:
        before = f"{others[0]} or "
    outlined = ", outlines the lesion" if contract.segmentation == "outline" else ""
    rule = describe_rule(contract, contract.rule, "{:.4g}")
    _print(
        about=f"{name}: {contract.variant}, {width}x{height}, {before}{rule}{outlined}, "
        f"SHA-256 {contract.sha256[:12]}"
    )


def _arguments() -> list[str | None]:
    """Return the model's and the contract's path, None where the command line names none."""
    return [argument or None for argument in sys.argv[1:3]]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _print(**values: object) -> None:
    print(json.dumps(values))
