"""What is known of one picture: what the analyzer gives and the commands print."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .explain import Explanation
    from .outline import Lesion
    from .segmentation import Region

SEGMENTATIONS = ("otsu", "outline", "both")
"""What may be looked for: regions by the notebook's rule, the lesion's outline, or both."""
UNFAMILIAR = "unlike the pictures this model was trained on: its answer means little"
NOTICE = "Research and education only, not a diagnosis."


@dataclass(slots=True)
class Timings:
    """How long each step took, in milliseconds; total is from the file to the answer.

    ``segment`` may run beside ``resize`` and ``invoke``: the steps can add up to more than the
    total.
    """

    decode: float = 0.0
    segment: float = 0.0
    resize: float = 0.0
    invoke: float = 0.0
    total: float = 0.0
    explain: float | None = None
    """What comes after the answer, and isn't in the total; None where it wasn't asked for."""

    def to_dict(self) -> dict[str, float]:
        """Return the milliseconds of each step that was taken."""
        return {step: ms for step, ms in asdict(self).items() if ms is not None}


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is known of one picture.  Research and education, not diagnosis."""

    size_wh: tuple[int, int]
    """Width and height of the upright picture, in pixels."""
    label: str
    probability: float
    """P(positive), 0..1."""
    threshold: float | None
    """The label is the positive one from this probability on; None: it is the most probable."""
    regions: tuple[Region, ...]
    """By the notebook's rule, in pixels of the upright picture, the largest area first; empty where
    that wasn't asked for."""
    timings_ms: Timings
    warnings: tuple[str, ...]
    positive: str
    """The label that the probability is of, as the model's contract has it: malignant."""
    image: str = "picture"
    """The picture's path, as it was given."""
    model: Mapping[str, str] = field(default_factory=dict)
    """What answered: name, variant, SHA-256 of the flatbuffer, and of the outline's if it ran."""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    """Of every label of the model, 0..1, by label, in the contract's order."""
    lesion: Lesion | None = None
    """As the model's network outlines it; None where it found none or wasn't asked."""
    segmentation: str = "otsu"
    """What was looked for: ``otsu``, regions; ``outline``, the lesion; or ``both``."""
    uncertain: tuple[float, float] | None = None
    """Low and high: the label is ``uncertain`` where low <= P(positive) < high; None: never."""
    familiar: bool | None = None
    """Whether the picture is like those that the model was trained on; if not, the label is
    ``uncertain``.  None: the model doesn't say."""
    operating_point: str | None = None
    """The name of the model's rule that gave threshold and band; None: it has none."""
    explanation: Explanation | None = None
    """Which parts of the picture the answer comes from; None where that wasn't asked."""

    @property
    def answer(self) -> str:
        """The probability for a person: "P(malignant) 0.21", so that none takes it for P(benign).

        For more than two labels there are two: "P(nv) 0.55, P(mel) 0.22"; see :attr:`shown`.
        """
        return ", ".join(f"P({label}) {rounded}" for label, rounded in self.shown)

    @property
    def shown(self) -> tuple[tuple[str, str], ...]:
        """The labels whose probabilities a person is told, each with its own, rounded.

        Of two labels it is the positive one, whatever the answer.  Of more, the answer comes
        first, or the most probable label where that is uncertain; then the positive label or,
        where that is first, the most probable other.
        """
        if len(self.probabilities) <= 2:
            return ((self.positive, self.rounded),)
        first, second = self.label, self.positive
        if first not in self.probabilities:  # uncertain
            first = max(self.probabilities, key=self.probabilities.__getitem__)
        if first == second:
            others = (label for label in self.probabilities if label != first)
            second = max(others, key=self.probabilities.__getitem__)
        return tuple(
            (label, self.rounded if label == self.positive else f"{self.probabilities[label]:.2f}")
            for label in (first, second)
        )

    @property
    def rounded(self) -> str:
        """P(positive) alone, as in :attr:`answer`.

        It has two decimals, or as many as show on which side of the threshold it is, and of the
        ends of the band in which the label is uncertain.
        """
        edges = (*(self.uncertain or ()), *(() if self.threshold is None else (self.threshold,)))
        for digits in range(2, 17):
            text = f"{self.probability:.{digits}f}"
            if all((float(text) >= edge) == (self.probability >= edge) for edge in edges):
                return text
        return repr(self.probability)

    @property
    def found(self) -> str:
        """What was found, for a person: "2 regions", "lesion 34 % of the picture", or both."""
        return ", ".join(filter(None, (self.lesion_found, self.regions_found)))

    @property
    def lesion_found(self) -> str:
        """How large the lesion is; "no lesion found"; or empty where none was looked for."""
        if self.segmentation == "otsu":
            return ""
        if self.lesion is None:
            return "no lesion found"
        percent = self.lesion.share * 100
        return f"lesion {percent:.{0 if percent >= 0.95 else 1}f} % of the picture"

    @property
    def regions_found(self) -> str:
        """How many regions there are: "no region", "1 region"; empty where none were looked for."""
        if self.segmentation == "outline":
            return ""
        count = len(self.regions)
        return f"{count or 'no'} region{'s' if count > 1 else ''}"

    @property
    def explained(self) -> str:
        """Where the answer comes from, for a person who sees it; empty where it wasn't asked."""
        return "" if self.explanation is None else self.explanation.tell(self.positive)

    def to_dict(self) -> dict[str, Any]:
        """Return the analysis as plain JSON types.

        Of two labels, one probability tells both.  There are ``regions`` or ``lesion``, or both,
        as was looked for, and an ``explanation`` where one was asked for.
        """
        several = len(self.probabilities) > 2
        found: dict[str, Any] = {}
        if self.segmentation != "outline":
            found["regions"] = [region.to_dict() for region in self.regions]
        if self.segmentation != "otsu":
            found["lesion"] = self.lesion and self.lesion.to_dict()
        if self.explanation is not None:
            found["explanation"] = self.explanation.to_dict()
        return {
            "image": self.image,
            "size": list(self.size_wh),
            "label": self.label,
            "probability": self.probability,
            **({"probabilities": dict(self.probabilities)} if several else {}),
            "threshold": self.threshold,
            **({} if self.familiar is None else {"familiar": self.familiar}),
            **({"uncertain": list(self.uncertain)} if self.uncertain else {}),
            **({"operating_point": self.operating_point} if self.operating_point else {}),
            **found,
            "timings_ms": {step: round(ms, 3) for step, ms in self.timings_ms.to_dict().items()},
            "warnings": list(self.warnings),
            "model": dict(self.model),
        }
