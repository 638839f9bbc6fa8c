"""How far the values of any graph's tensors go, by channel, and the ranges that int8 gets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .calibration import with_headroom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .calibration import Ranges
    from .graph import Graph

_STEPS = 255
_SHARES = np.linspace(0.3, 1.0, 15)
"""What parts of a range are tried; what lies outside saturates."""
_SAMPLE = 2048
"""Values of each tensor that are kept of each picture."""
_CAPS = {1: (0.0, np.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""What an operation's fused activation leaves, by its number in TFLite's schema: ReLU, ReLU
between -1 and 1, ReLU6."""


@dataclass(slots=True, eq=False)
class Seen:
    """What the tensors of a graph held on pictures, by their names."""

    ends: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """(2, channels): the smallest and the largest value of each channel, and 0."""
    samples: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    """(places, channels) of each picture."""
    draw: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def look(self, values: Mapping[str, NDArray[np.float32]]) -> None:
        """Take what tensors hold for one picture into account."""
        for name, found in values.items():
            flat = found.reshape(-1, found.shape[-1] if found.ndim else 1)
            low, high = self.ends.get(name, np.zeros((2, flat.shape[1]), np.float32))
            low = np.minimum(low, flat.min(axis=0))
            self.ends[name] = np.stack([low, np.maximum(high, flat.max(axis=0))])
            places = self.draw.integers(0, len(flat), max(1, _SAMPLE // flat.shape[1]))
            self.samples.setdefault(name, []).append(flat[places])

    def scale(self, name: str, factor: NDArray[np.float32]) -> None:
        """Take into account that a tensor's channels were multiplied since."""
        self.ends[name] *= factor
        self.samples[name] = [each * factor for each in self.samples[name]]


def find_ranges(graph: Graph, seen: Seen) -> Ranges:
    """Return the range of each tensor that rounds its values to 8 bits with the least error.

    That is the mean of the squares, over the values that were seen, of which a range narrower than
    theirs cuts some off (Nagel et al., "A White Paper on Neural Network Quantization", 2021, 3.1).
    No range goes further than an operation's activation lets.
    """
    ranges = {}
    for name, (low, high) in seen.ends.items():
        values = np.concatenate(seen.samples[name]).ravel()
        most = (float(low.min()), float(high.max()))
        share = min(_SHARES[::-1], key=lambda share: _error(values, most, share))
        ranges[name] = with_headroom(most, float(share))
    for operator in graph.operators:
        cap = _CAPS.get(getattr(operator.builtinOptions, "fusedActivationFunction", 0))
        name = graph.name(operator.outputs[0])
        if cap and name in ranges:
            low, high = ranges[name]
            ranges[name] = (max(low, cap[0]), min(high, cap[1]))
    return ranges


def _error(values: NDArray[np.float32], ends: tuple[float, float], share: float) -> float:
    """Return the mean square error of values in 8 bits over a share of a range."""
    low, high = ends[0] * share, ends[1] * share
    step = (high - low) / _STEPS or 1.0
    whole = np.clip(np.rint((values - low) / step), 0, _STEPS)
    return float(np.square(whole * step + low - values).mean())
