"""What is known of one picture: the result that the analyzer makes and the commands print."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .segmentation import Region

NOTICE = "Research and education only, not a diagnosis."


@dataclass(frozen=True, slots=True)
class Timings:
    """How long each step took, in milliseconds; total is from the file to the answer.

    ``segment`` may run beside ``resize`` and ``invoke``: the steps can add up to more than the
    total.
    """

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
            "regions": [region.to_dict() for region in self.regions],
            "timings_ms": {step: round(ms, 3) for step, ms in asdict(self.timings_ms).items()},
            "warnings": list(self.warnings),
        }
