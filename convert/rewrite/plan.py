"""Chooses how each stage is laid out, by the model of :mod:`.cost`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

from convert.errors import UsageError

from .cost import TARGETS, Target, stage_cost
from .layouts import PLAIN, Layout, Shape
from .sampled import SampledPlan, sampled_plans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .body import Body, Stage

_STRIPS = (1, 2)
_PARTS = (1, 5)  # five is what XNNPACK joins at once


@dataclass(frozen=True, slots=True)
class Plan:
    """How a body is computed."""

    strips: int
    """Into how many strips of rows the picture is cut, computed as one batch."""
    parts: int
    """Into how many parts each strip is cut for conv1."""
    layouts: tuple[Layout, Layout]
    """Of conv1 and of conv2."""
    cost: float
    """In the model's units; 1 is the plain graph's."""

    def __str__(self) -> str:
        first, second = self.layouts
        batches = f"batches {self.strips * self.parts} and {self.strips}"
        return f"conv1 {first}, conv2 {second}, {batches}, cost {self.cost:.2f} of plain"


@dataclass(frozen=True, slots=True)
class Geometry:
    """The rows and columns that a strip must have after each pool."""

    strips: int
    needed: tuple[tuple[int, int], tuple[int, int]]

    @classmethod
    def of(cls, body: Body, strips: int) -> Geometry | None:
        """Work back from what dense1 weighs; None if that can't be cut so often.

        Pool1 gives one row and one column more than conv2 needs for the whole windows of pool2.
        """
        rows, columns = body.dense.shape[1:3]
        if rows % strips:
            return None
        second = (rows // strips, columns)
        height, width = body.stages[1].kernel.shape[1:3]
        return cls(strips, ((2 * second[0] + height - 1, 2 * second[1] + width - 1), second))


def candidates(shape: Shape, needed_hw: tuple[int, int]) -> Iterator[Layout]:
    """Yield every layout that fits a stage, the plain one first."""
    yield PLAIN
    for packed, pooled in product((1, 2, 4), (1, 2, 4)):
        for shifted, groups in ((False, 1), (True, 1), (True, 2)):
            layout = Layout(packed, pooled, shifted, groups)
            if layout.places(shape, needed_hw):
                yield layout


def choose(body: Body, tune_for: str) -> Plan | SampledPlan:
    """Return the cheapest plan for a processor.

    Args:
        body: what to compute.
        tune_for: a key of :data:`TARGETS`.

    Raises:
        UsageError: another processor.

    """
    if tune_for not in TARGETS:
        known = " or ".join(TARGETS)
        message = f"a model can be tuned for {known}, not for {tune_for!r}"
        raise UsageError(message)
    target = TARGETS[tune_for]
    plans: list[Plan | SampledPlan] = [*_plans(body, target), *sampled_plans(body, target)]
    best = min(plans, key=lambda plan: plan.cost)
    return replace(best, cost=best.cost / plans[0].cost)


def _plans(body: Body, target: Target) -> Iterator[Plan]:
    """Yield all plans, the plain one first."""
    first, second = body.stages
    height, width = body.input_hw
    for strips, parts in product(_STRIPS, _PARTS):
        geometry = Geometry.of(body, strips)
        if geometry is None or geometry.needed[0][0] % parts:
            continue
        (pooled_rows, pooled_columns), second_hw = geometry.needed
        first_hw = (pooled_rows // parts, pooled_columns)
        batch = strips * parts
        rows = 2 * first_hw[0] + int(first.kernel.shape[1]) - 1 if batch > 1 else height
        shape1 = _shape(first, rows, width)
        # Cut and joined; they are small, so half of what a streamed byte costs.
        copies = (strips > 1) + (parts > 1) + 1 if batch > 1 else 0
        cut = copies * batch * rows * width * shape1.channels * target.copied_byte / 2
        for layout1 in candidates(shape1, first_hw):
            part_rows, columns = layout1.pooled_hw(shape1, first_hw)
            shape2 = _shape(second, part_rows * parts, columns)
            cost1 = cut + stage_cost(shape1, layout1, first_hw, target, batch)
            if parts > 1:
                cost1 += batch * part_rows * columns * first.channels * target.copied_byte
            for layout2 in candidates(shape2, second_hw):
                cost2 = stage_cost(shape2, layout2, second_hw, target, strips)
                yield Plan(strips, parts, (layout1, layout2), cost1 + cost2)


def _shape(stage: Stage, height: int, width: int) -> Shape:
    out_channels, kernel_height, kernel_width, channels = stage.kernel.shape
    return Shape(height, width, channels, (kernel_height, kernel_width), out_channels)
