"""What is to be converted, and how it is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from convert.network import LAYERS
from convert.verify.pictures import resized
from edge.cli.terminal import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from convert.quantise.preprocessing import Preprocessing
    from convert.verify.maps import MapBudget
    from convert.verify.parity import Budget
    from convert.verify.pictures import SamplePicture
    from convert.weights.file import Weights
    from edge.model.contract import InputSpec

    from .meaning import Meaning

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Outlining:
    """A network that outlines the lesion, what its numbers mean, and what it has to stand."""

    weights: Weights
    pixels: Preprocessing
    """What happens to a picture before it reaches the model of the file."""
    geometry: InputSpec
    """How a picture gets the network's size: only size and interpolation are meant."""
    threshold: float
    """Lesion is where the map is at least this."""
    budgets: Mapping[str, MapBudget]

    def source(self) -> dict[str, Any]:
        """Return which file it is from, and what happens to a picture before it."""
        contract = self.pixels.to_dict()
        return {"file": self.weights.name, "sha256": self.weights.sha256, "contract": contract}


@dataclass(frozen=True, slots=True)
class Job:
    """A model, what its numbers mean, and the pictures and budgets that it has to stand."""

    weights: Weights
    meaning: Meaning
    name: str
    variants: tuple[str, ...]
    calibration: Sequence[SamplePicture]
    held_out: Sequence[SamplePicture]
    seed: int
    budgets: Mapping[str, Budget]
    rounds: int
    notes: tuple[str, ...] = ()
    """What a reader of the table has to know of the pictures."""
    compact: bool = True
    """Take dead channels out of the notebook's network before quantisation."""
    rewrite: bool = True
    """Make its int8 graph a faster one with the same values, and prove it."""
    tune_for: str = "x86"
    """The processor that it is laid out for: ``x86`` or ``arm``."""
    float_until: str | None = None
    """The layer up to which int8 stays in float32; None for networks that aren't the notebook's."""
    outline: Outlining | None = None
    """The file's second network."""
    familiar: float | None = None
    """Where the model's last output is below this, a picture is unlike those of its training."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """The contract's ``licence`` and ``evaluation``, as far as they are given."""

    def preprocessing(self) -> dict[str, Any]:
        """Return what happens to a picture before the first layer that isn't preprocessing."""
        notebook = self.weights.notebook
        if notebook is None:
            return self.meaning.pixels.to_dict()
        whole = self.meaning.pixels.then(notebook.front)
        return {**whole.to_dict(), "folded_into": LAYERS[0].name}

    def images(
        self, pictures: Sequence[SamplePicture], what: str
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Yield names and pictures in the model's size, (height, width, 3) uint8, BGR.

        How many are done is shown, as ``what``.
        """
        for picture in counted(what, pictures):
            yield picture.name, resized(picture, self.meaning.geometry)


def counted(what: str, items: Sequence[Item]) -> Iterator[Item]:
    """Yield the items, and show how many are done."""
    progress = Progress(what, len(items))
    for done, item in enumerate(items, 1):
        yield item
        progress.update(done)
    progress.clear()
