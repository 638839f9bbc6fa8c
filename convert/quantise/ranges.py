"""How far the values of any graph's tensors go, by channel, and the ranges that int8 gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from .calibration import with_headroom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from .calibration import Ranges
    from .graph import Graph

    ChannelRanges: TypeAlias = dict[str, NDArray[np.float32]]
    """By the tensor's name, (2, channels): the smallest and the largest value of each, and 0."""

_HEADROOM = 1.0
"""How much further than observed an activation may go before it saturates.

Of a deep network the steps between values cost more than what is cut off, also of other pictures:
a trained EfficientNet-Lite0's mean |Δp| on 210 was 0.0066 with 1.2 and 0.0051 with none."""
_CAPS = {1: (0.0, np.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}
"""What an operation's fused activation leaves, by its number in TFLite's schema: ReLU, ReLU
between -1 and 1, ReLU6."""


def widen_channels(seen: ChannelRanges, values: Mapping[str, NDArray[np.float32]]) -> None:
    """Widen ranges to what tensors hold."""
    for name, found in values.items():
        by_channel = found.reshape(-1, found.shape[-1] if found.ndim else 1)
        low, high = seen.get(name, np.zeros((2, by_channel.shape[1]), np.float32))
        low = np.minimum(low, by_channel.min(axis=0))
        seen[name] = np.stack([low, np.maximum(high, by_channel.max(axis=0))])


def find_ranges(graph: Graph, seen: ChannelRanges) -> Ranges:
    """Return the ranges with headroom, but no further than an operation's activation lets."""
    ranges = {
        name: with_headroom((float(low.min()), float(high.max())), _HEADROOM)
        for name, (low, high) in seen.items()
    }
    for operator in graph.operators:
        cap = _CAPS.get(getattr(operator.builtinOptions, "fusedActivationFunction", 0))
        name = graph.name(operator.outputs[0])
        if cap and name in ranges:
            low, high = ranges[name]
            ranges[name] = (max(low, cap[0]), min(high, cap[1]))
    return ranges
