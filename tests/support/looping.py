"""A camera and an analyzer that cost next to nothing, for a loop that is only to go round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge import Analysis, Timings
from edge.camera import Camera

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.picture.decode import Picture


class NoisyCamera(Camera):
    """Gives another picture each time."""

    name = "noise"
    live = False
    recorded = True
    fixed_size = True

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)

    def open(self) -> None:
        pass

    def grab(self) -> bool:
        return True

    def retrieve(self) -> NDArray[np.uint8]:
        return self._rng.integers(60, 200, (48, 64, 3), dtype=np.uint8)

    def close(self) -> None:
        pass


class QuickAnalyzer:
    """Says benign of everything."""

    def analyze(self, _picture: Picture, /) -> Analysis:
        return Analysis(
            *((64, 48), "benign", 0.25, 0.5, (), Timings(), (), "malignant"), model={"name": "m"}
        )
