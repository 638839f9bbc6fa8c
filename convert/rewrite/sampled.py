"""Puts the int8 body into a graph so that only a lattice of pool2's places is computed.

How, and why that is exact, is in :mod:`.lattice`.  Scales and zero points stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .cost import convolution_cost
from .lattice import POOL, Lattice, Window, window_kernel
from .stages import pack_kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .body import Body
    from .cost import Target
    from .emit import Emitter
    from .graph import Graph


@dataclass(frozen=True, slots=True)
class SampledPlan:
    """How a body is computed at a lattice's places only."""

    lattice: Lattice
    packed: int
    """The columns in a packed pixel of the picture."""
    cost: float
    """In the model's units; 1 is the plain graph's."""

    def __str__(self) -> str:
        packing = f"{self.packed} columns packed"
        return f"{self.lattice} computed, {packing}, cost {self.cost:.2f} of plain"


def sampled_plans(body: Body, target: Target) -> Iterator[SampledPlan]:
    """Yield all such plans, their costs as they are; none if the places are too close."""
    lattice = Lattice.of(np.asarray(body.dense.any(axis=(0, 3))))
    if lattice is None:
        return
    for packed in _packings(body, lattice):
        yield SampledPlan(lattice, packed, _cost(body, lattice, packed, target))


def _window(body: Body) -> Window:
    first, second = (stage.kernel.shape[1:3] for stage in body.stages)
    return Window.of((int(first[0]), int(first[1])), (int(second[0]), int(second[1])))


def _cost(body: Body, lattice: Lattice, packed: int, target: Target) -> float:
    """Count what :func:`.cost.stage_cost` counts, for both stages."""
    first, second = body.stages
    _, kernel_height, _, channels = first.kernel.shape
    width = body.input_hw[1]
    window = _window(body)
    rows, columns = lattice.rows, lattice.columns
    pooled_height, pooled_columns = window.pooled_hw
    wide = POOL * pooled_columns * first.channels
    taps = -(-(POOL**2 * columns.start + window.pixels_hw[1]) // packed)
    places = POOL * pooled_height * columns.count
    cost = convolution_cost(
        target, places, batch=rows.count, outputs=wide,
        taps=kernel_height * taps, inputs=packed * channels,
    )  # fmt: skip
    cost += convolution_cost(
        target, columns.count, batch=rows.count, outputs=POOL**2 * second.channels,
        taps=pooled_height, inputs=pooled_columns * first.channels,
    )  # fmt: skip
    # The rows gathered and packed, the outputs of conv1 seen in another shape.
    pixels = window.pixels_hw[0] * width * channels
    copied: int = rows.count * (2 * pixels + places * wide)
    return cost + target.copied_byte * copied


def _packings(body: Body, lattice: Lattice) -> list[int]:
    """Return how many columns a packed pixel may have: they divide the picture and the steps."""
    pixels = POOL**2
    width, step = body.input_hw[1], pixels * lattice.columns.step
    return [packed for packed in (1, 2, 4, 8) if width % packed == step % packed == 0]


def apply_sampled(
    graph: Graph, emit: Emitter, body: Body, plan: SampledPlan
) -> tuple[int, NDArray[np.int8]]:
    """Add the operations up to pool2's values; return those and dense1's weights of them.

    Args:
        graph: the plain graph.
        emit: takes the operations.
        body: what to compute.
        plan: how.

    """
    first, second = body.stages
    lattice, window = plan.lattice, _window(body)
    rows, columns = lattice.rows, lattice.columns
    height, pooled_columns = window.pixels_hw[0], window.pooled_hw[1]
    _, _, width, channels = graph.shape(graph.input)
    # Conv1 and pool1.
    picture = emit.gather(graph.input, window.pixel_rows(rows), axis=1)
    packed = (rows.count, height, width // plan.packed, channels * plan.packed)
    outputs = emit.convolve(
        emit.reshape(picture, packed),
        first,
        pack_kernel(first.kernel, window.column_phases(columns), plan.packed),
        stride_hw=(1, POOL**2 * columns.step // plan.packed),
    )
    _, conv_rows, places, _ = graph.shape(outputs)
    wide = pooled_columns * first.channels
    pooled = emit.max_pool(
        emit.reshape(outputs, (rows.count, conv_rows, POOL * places, wide)), (POOL, POOL)
    )
    # Conv2 and pool2.
    kernel = window_kernel(second.kernel)
    copies, kernel_height = kernel.shape[:2]
    outputs = emit.convolve(pooled, second, kernel.reshape(copies, kernel_height, 1, wide))
    outputs = emit.slice(outputs, (0, 0, 0, 0), (rows.count, 1, columns.count, copies))
    squares = (rows.count * columns.count, POOL, POOL, second.channels)
    seen = lattice.take(body.dense, axis=1)
    values = emit.max_pool(emit.reshape(outputs, squares), (POOL, POOL))
    return values, np.ascontiguousarray(seen.reshape(seen.shape[0], -1))
