"""Models by name: those that the package ships, installed or in a checkout."""

from __future__ import annotations

import os
from dataclasses import dataclass

from edge.errors import ModelError
from edge.files import printable


@dataclass(frozen=True, slots=True)
class Shipped:
    """A model that the package ships."""

    file: str
    purpose: str
    """What it is for, in a line."""


DEFAULT = "notebook"
SHIPPED = {
    "notebook": Shipped(
        "lesion-int8.tflite",
        "the notebook's network and its rule for regions: small, fast, to compare and to build on",
    ),
    "dermoscopy": Shipped(
        "dermoscopy-int8.tflite",
        "pictures through a dermatoscope: better answers, and the lesion's outline",
    ),
}
"""By name; a package need not have all of them: see :func:`available`."""


def available() -> dict[str, str]:
    """Return the path of each model that is there, by name."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folders = [os.path.join(folder, "models") for folder in (package, os.path.dirname(package))]
    return {
        name: path
        for name, shipped in SHIPPED.items()
        for path in [os.path.join(folder, shipped.file) for folder in reversed(folders)]
        if os.path.exists(path)  # the installed one comes last, and wins
    }


def find_model(model: str | os.PathLike[str] | None) -> str:
    """Return the path of a model file.

    Args:
        model: the name of one that is shipped, or a path; None is the default model.  A name wins
            over a file that is called so: ``./notebook`` is the file.

    Raises:
        ModelError: neither a name that is there nor a path; the message has those that are.

    """
    text = DEFAULT if model is None else os.fspath(model)
    there = available()
    if text in there:
        return there[text]
    is_path = os.path.basename(text) != text or "." in text or os.path.exists(text)
    if text not in SHIPPED and is_path:
        return text
    raise ModelError(
        f"{printable(text) or repr(text)}: there is no model of this name here; there is "
        f"{' and '.join(there) or 'none'}, or give a file: --model FILE.tflite"
    )
