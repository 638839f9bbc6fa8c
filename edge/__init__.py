"""Lesion analysis on a small computer: OpenCV segmentation and TFLite prediction, offline.

    from edge import Analyzer
    analysis = Analyzer().analyze("photo.jpg")
    print(analysis.label, analysis.probability, analysis.regions)

Research and education only, not a diagnosis.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from .picture import limits as _limits

if _limits.is_command():
    _limits.limit_opencv()  # before anything loads OpenCV
    # Where numpy or OpenCV can't be loaded, a command ends with a line that says what helps.
    sys.excepthook = lambda *about: importlib.import_module(".libraries", __name__).tell(*about)

if TYPE_CHECKING:
    from edge.model.contract import Contract, InputSpec
    from edge.picture.decode import Picture, decode

    from .analyzer import Analyzer, read_picture
    from .drawing import annotate
    from .errors import (
        LesionEdgeError,
        ModelError,
        OutputError,
        PictureError,
        PredictionError,
        RuntimeMissingError,
    )
    from .results import Analysis, Timings
    from .segmentation import Region, find_regions

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "Analyzer",
    "Contract",
    "InputSpec",
    "LesionEdgeError",
    "ModelError",
    "OutputError",
    "Picture",
    "PictureError",
    "PredictionError",
    "Region",
    "RuntimeMissingError",
    "Timings",
    "annotate",
    "decode",
    "find_regions",
    "read_picture",
]

# A name's module is imported when the name is first used: `python -m edge.doctor` has to start
# where numpy, OpenCV or the runtime can't.  No module may be called as a name is.
_MODULES = {
    "results": ("Analysis", "Timings"),
    "analyzer": ("Analyzer", "read_picture"),
    "model.contract": ("Contract", "InputSpec"),
    "drawing": ("annotate",),
    "errors": (
        "LesionEdgeError", "ModelError", "OutputError", "PictureError", "PredictionError",
        "RuntimeMissingError",
    ),
    "picture.decode": ("Picture", "decode"),
    "segmentation": ("Region", "find_regions"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


if not TYPE_CHECKING:  # to a type checker, any name would be there

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        value: object = getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
