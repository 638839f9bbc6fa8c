"""Lesion analysis on a small computer: OpenCV segmentation and TFLite prediction, offline.

    from edge import Analyzer
    analysis = Analyzer().analyze("photo.jpg")
    print(analysis.label, analysis.probability, analysis.regions)

Research and education only, not a diagnosis.
"""

from . import limits as _limits

if _limits.is_command():
    _limits.limit_opencv()  # before the imports below load OpenCV

from .analysis import Analysis, Timings
from .analyzer import Analyzer, read_picture
from .annotate import annotate
from .contract import Contract, InputSpec
from .errors import (
    LesionEdgeError,
    ModelError,
    OutputError,
    PictureError,
    PredictionError,
    RuntimeMissingError,
)
from .picture import Picture, decode
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
