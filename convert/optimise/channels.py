"""Takes channels and units out of the network that are constant or that nothing looks at.

All of it happens before quantisation, on the weights that take raw bytes, and is exact in real
arithmetic: what a channel adds to the next layer is a constant, which goes into that layer's
bias.  For that every output must see every tap of the channel, which holds since no layer pads;
and pooling leaves a constant as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from convert.network import LAYERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from convert.network import Arrays, Layer

_PIXEL = 255.0
_ROUNDING = 1e-12
"""Relative: above the error of summing 238,144 products in double precision, pair by pair."""
_NAMES = [spec.name for spec in LAYERS]
_PAIRS = list(pairwise(_NAMES))
"""Each layer whose outputs can be left out, and the layer that takes them."""


@dataclass(frozen=True, slots=True)
class Liveness:
    """How many channels and units of each hidden layer are left, and of how many."""

    counts: Mapping[str, tuple[int, int]]

    @property
    def changed(self) -> bool:
        """Whether anything was taken out."""
        return any(live < total for live, total in self.counts.values())

    def __str__(self) -> str:
        return ", ".join(
            f"{name} {live} of {total} live" for name, (live, total) in self.counts.items()
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Range:
    """What each channel can be: (n,) float64 each, low <= high; equal only where proven so."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


def compact(arrays: Arrays) -> tuple[dict[str, Layer], Liveness]:
    """Take dead channels and units out of a network.

    A channel is dead if its output is the same for all inputs in 0..255, by a bound that rounding
    can't spoil: all its weights are 0, or even the largest sum it can have is not positive, so
    that ReLU gives 0.  It is dead too if the next layer weighs it by nothing but 0.  One channel
    of each layer is kept whatever it is, for the layers to stay.

    Args:
        arrays: (kernel, bias) float32 of conv1, conv2, dense1 and dense2, for raw bytes, the
            pixel contract folded in.  Kernels as Keras has them: (height, width, in, out) and
            (in, out); dense1's inputs are pool2's values in the order (row, column, channel).

    Returns:
        The arrays of the network that is left, and how much that is.

    """
    left, before = dict(arrays), None
    while before != _sizes(left):
        before = _sizes(left)
        _drop_constant(left)
        _drop_unseen(left)
    totals, sizes = _sizes(arrays), _sizes(left)
    return left, Liveness({name: (sizes[name], totals[name]) for name in sizes})


def _drop_constant(left: dict[str, Layer]) -> None:
    inputs = _Range(np.zeros(3), np.full(3, _PIXEL))
    for name, following in _PAIRS:
        kernel, bias = left[name]
        outputs = _bound(_by_input(kernel, inputs.low.size), bias, inputs)
        varies = np.less(outputs.low, outputs.high)
        live = _at_least_one(varies)
        constants = np.where(varies, 0.0, outputs.low)
        next_kernel, next_bias = left[following]
        moved = constants @ _by_input(next_kernel, live.size).astype(np.float64).sum(axis=0)
        kept = _keep_inputs(next_kernel, live)
        left[name] = (kernel[..., live], bias[live])
        left[following] = (
            kept if varies.any() else np.zeros_like(kept),
            (next_bias.astype(np.float64) + moved).astype(np.float32),
        )
        inputs = _Range(outputs.low[live], outputs.high[live])


def _drop_unseen(left: dict[str, Layer]) -> None:
    for name, following in reversed(_PAIRS):
        kernel, bias = left[name]
        next_kernel, next_bias = left[following]
        live = _at_least_one(np.asarray(_by_input(next_kernel, bias.size).any(axis=(0, 2))))
        left[name] = (kernel[..., live], bias[live])
        left[following] = (_keep_inputs(next_kernel, live), next_bias)


def _bound(kernel: NDArray[np.float32], bias: NDArray[np.float32], inputs: _Range) -> _Range:
    """Return the range of ReLU of a layer.

    Args:
        kernel: (places, in, out).
        bias: (out,).
        inputs: of each input.

    """
    wide = kernel.astype(np.float64)
    positive, negative = np.maximum(wide, 0).sum(axis=0), np.minimum(wide, 0).sum(axis=0)
    high = bias + inputs.high @ positive + inputs.low @ negative
    low = bias + inputs.low @ positive + inputs.high @ negative
    # Inputs are never negative.  Without weights the slack is 0, so the range is exactly the bias.
    has_weights = wide.any(axis=(0, 1))
    slack = np.abs(bias) + inputs.high @ (positive - negative)
    slack = np.where(has_weights, _ROUNDING * slack, 0.0)
    return _Range(np.maximum(low - slack, 0.0), np.maximum(high + slack, 0.0))


def _by_input(kernel: NDArray[np.float32], inputs: int) -> NDArray[np.float32]:
    """View a kernel as (places, inputs, out); a place of dense1's is one of pool2's pixels."""
    return kernel.reshape(-1, inputs, kernel.shape[-1])


def _keep_inputs(kernel: NDArray[np.float32], live: NDArray[np.bool_]) -> NDArray[np.float32]:
    kept = _by_input(kernel, live.size)[:, live]
    if kernel.ndim == 2:
        return kept.reshape(-1, kernel.shape[-1])
    return kept.reshape(*kernel.shape[:2], -1, kernel.shape[-1])


def _at_least_one(live: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return what lives, or the first if nothing does: a layer without channels is none."""
    return live if live.any() else np.arange(live.size) == 0


def _sizes(arrays: Arrays) -> dict[str, int]:
    return {name: int(arrays[name][1].size) for name, _ in _PAIRS}
