"""Lesion analysis on a small computer: OpenCV segmentation and TFLite prediction, offline.

    from edge import Analyzer
    analysis = Analyzer().analyze("photo.jpg")
    print(analysis.label, analysis.probability, analysis.regions)

Research and education only, not a diagnosis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import attach as _attach

if TYPE_CHECKING:
    __all__: list[str]
    from edge.model.contract import Contract as Contract
    from edge.model.contract import InputSpec as InputSpec
    from edge.picture.decode import Picture as Picture
    from edge.picture.decode import decode as decode

    from .analyzer import Analyzer as Analyzer
    from .analyzer import Outcome as Outcome
    from .analyzer import read_picture as read_picture
    from .drawing import annotate as annotate
    from .errors import LesionEdgeError as LesionEdgeError
    from .errors import ModelError as ModelError
    from .errors import OutputError as OutputError
    from .errors import PictureError as PictureError
    from .errors import PredictionError as PredictionError
    from .errors import RuntimeMissingError as RuntimeMissingError
    from .explain import Explanation as Explanation
    from .outline import Lesion as Lesion
    from .results import Analysis as Analysis
    from .results import Timings as Timings
    from .segmentation import Region as Region
    from .segmentation import find_regions as find_regions
else:
    __getattr__, __dir__, __all__ = _attach(
        __name__,
        {
            "analyzer": "Analyzer Outcome read_picture",
            "drawing": "annotate",
            "errors": "LesionEdgeError ModelError OutputError PictureError PredictionError"
            " RuntimeMissingError",
            "explain": "Explanation",
            "model.contract": "Contract InputSpec",
            "outline": "Lesion",
            "picture.decode": "Picture decode",
            "results": "Analysis Timings",
            "segmentation": "Region find_regions",
        },
    )

__version__ = "0.1.0"
