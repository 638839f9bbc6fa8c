"""The architecture that somebody gives beside weights: a description, or code of their own."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from convert.errors import WeightsError
from edge.files import open_regular, printable, read_bounded

from .declared import one_line
from .plan import MAX_CONFIG_BYTES

if TYPE_CHECKING:
    import keras


def read_architecture(path: str) -> str:
    """Return the text of a file that ``model.to_json()`` wrote.

    Raises:
        WeightsError: it can't be read.

    """
    try:
        with open_regular(path) as stream:
            data = read_bounded(stream, MAX_CONFIG_BYTES)
        text = None if data is None else data.decode()
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"the architecture {printable(path)} can't be read ({one_line(error)}); give a file "
            "that model.to_json() wrote, or module:function"
        ) from error
    if text is None:
        raise WeightsError(f"the architecture {printable(path)} is too large")
    return text


def load_code(spec: str) -> keras.Model:
    """Run ``module:function`` and return the model that it builds.

    It is code of whoever asks for it, and runs with all their rights.

    Raises:
        WeightsError: it can't be imported, fails, or returns something else than a Sequential or
            Functional model.

    """
    import keras

    module, _, function = spec.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        model = getattr(importlib.import_module(module), function)()
    except Exception as error:  # it is anybody's code
        raise WeightsError(f"the architecture {spec} failed: {one_line(error)}") from error
    functional = isinstance(model, keras.Sequential) or hasattr(model, "operations")
    if not isinstance(model, keras.Model) or not functional or not model.built:
        raise WeightsError(
            f"the architecture {spec} returned {type(model).__name__}, not a Sequential or "
            "Functional model that knows its input"
        )
    return model
