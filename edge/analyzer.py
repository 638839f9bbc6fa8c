"""A picture's analysis: its regions and the model's answer, together."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .picture import Picture, check_image, decode, printable, read_bytes
from .runtime import Classifier
from .segmentation import Region, find_regions

if TYPE_CHECKING:
    import os

    import numpy as np
    from numpy.typing import NDArray

    from .contract import Contract


NOTICE = "Research and education only, not a diagnosis."


@dataclass(frozen=True, slots=True)
class Timings:
    """How long each step took, in milliseconds; total is from the file to the answer."""

    decode: float
    segment: float
    resize: float
    invoke: float
    total: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is known of one picture.  Research and education, not diagnosis."""

    size_wh: tuple[int, int]
    """Width and height of the upright picture, in pixels."""
    label: str
    probability: float
    """P(malignant), 0..1."""
    threshold: float
    """The label is malignant from this probability on."""
    regions: tuple[Region, ...]
    """In pixels of the upright picture, the largest area first."""
    timings_ms: Timings
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the analysis as plain JSON types, without the picture's name and the model's."""
        return {
            "size": list(self.size_wh),
            "label": self.label,
            "probability": self.probability,
            "threshold": self.threshold,
            "regions": [asdict(region) for region in self.regions],
            "timings_ms": {step: round(ms, 3) for step, ms in asdict(self.timings_ms).items()},
            "warnings": list(self.warnings),
        }


class Analyzer:
    """The package's front door: a model, loaded once, that analyses any number of pictures.

    >>> from edge import Analyzer
    >>> analysis = Analyzer().analyze("photo.jpg")       # doctest: +SKIP
    >>> analysis.label, analysis.probability             # doctest: +SKIP
    ('benign', 0.21)

    Several threads may call :meth:`analyze`; the model answers them one at a time, the rest of
    the work runs side by side.

    Args:
        model: a model file made by ``python -m convert``; None is the one that the package ships.
        threads: the interpreter's threads; None is one a core, four at most.
        threshold: the probability from which on the label is malignant; None is the model's own.

    Raises:
        ModelError: the model file is missing, damaged, or asks for what this runtime can't do.
        RuntimeMissingError: no TFLite runtime that works is installed.
        ValueError: the threshold is not in 0..1, or there are fewer threads than one.

    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        threads: int | None = None,
        threshold: float | None = None,
    ) -> None:
        if threshold is not None and not 0.0 <= threshold <= 1.0:
            message = f"threshold must be from 0 to 1, is {threshold}"
            raise ValueError(message)
        if threads is not None and threads < 1:
            message = f"threads must be 1 or more, is {threads}"
            raise ValueError(message)
        self._classifier = Classifier(model, threads=threads)
        self.threshold = self.contract.threshold if threshold is None else threshold

    @property
    def contract(self) -> Contract:
        """The loaded model's contract."""
        return self._classifier.contract

    def analyze(self, picture: str | os.PathLike[str] | NDArray[np.uint8] | Picture) -> Analysis:
        """Analyse a picture.

        Args:
            picture: a path (``"-"`` is standard input), an array (height, width, 3) of uint8 in
                BGR order, 0..255, as OpenCV reads it, or what :func:`read_picture` returned.

        Raises:
            PictureError: the picture can't be read, or the array is not such an array.
            PredictionError: the model's output is no probability.

        """
        if hasattr(picture, "__fspath__") or isinstance(picture, str):
            picture = read_picture(picture)
        if not isinstance(picture, Picture):
            picture = Picture(check_image(picture))
        started = time.perf_counter()
        regions = find_regions(picture.image_bgr)
        segmented = time.perf_counter()
        prediction = self._classifier.predict(picture.image_bgr)
        finished = time.perf_counter()
        height, width = picture.image_bgr.shape[:2]
        return Analysis(
            size_wh=(width, height),
            label=self.contract.label(prediction.probability, self.threshold),
            probability=prediction.probability,
            threshold=self.threshold,
            regions=regions,
            timings_ms=Timings(
                decode=picture.decode_ms,
                segment=(segmented - started) * 1e3,
                resize=prediction.resize_ms,
                invoke=prediction.invoke_ms,
                total=picture.decode_ms + (finished - started) * 1e3,
            ),
            warnings=picture.warnings,
        )


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """Read and decode a JPEG or PNG file (``"-"`` is standard input), upright by EXIF.

    Raises:
        PictureError: missing, unreadable, damaged, too large, or of another kind.

    """
    started = time.perf_counter()
    picture = decode(read_bytes(path), printable(path))
    return Picture(picture.image_bgr, picture.warnings, (time.perf_counter() - started) * 1e3)
