"""Puts a plan into a graph in place of the plain body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .emit import Emitter
from .plan import Geometry
from .sampled import SampledPlan, apply_sampled
from .stages import apply_layout

if TYPE_CHECKING:
    from .body import Body
    from .graph import Graph
    from .plan import Plan


def apply_plan(graph: Graph, body: Body, plan: Plan | SampledPlan) -> None:
    """Replace a graph's body; its input, dense1's output and all behind it stay.

    Args:
        graph: the plain graph.
        body: from :func:`~convert.rewrite.body.read_body`, perhaps with channels left out.
        plan: what to do.

    """
    emit = Emitter(graph)
    if isinstance(plan, SampledPlan):
        tensor, kernel = apply_sampled(graph, emit, body, plan)
    else:
        tensor = _apply_whole(graph, emit, body, plan)
        kernel = body.dense.reshape(body.dense.shape[0], -1)
    dense, *head = graph.operators[body.operators :]
    emit.dense(dense, tensor, kernel)
    graph.operators[:] = [*emit.operators, *head]


def _apply_whole(graph: Graph, emit: Emitter, body: Body, plan: Plan) -> int:
    """Compute all of pool2's places; return its output.

    With strips, the picture's rows are cut into overlapping strips, each with all the rows that
    its share of pool2's rows is computed from, and the strips go through as one batch.  Strip for
    strip, pool2's rows follow each other in memory, so dense1 sees them as it always did.  Conv1's
    strips may be cut once more, into overlapping parts that are a larger batch: part for part,
    pool1's rows follow each other too.
    """
    geometry = Geometry.of(body, plan.strips)
    assert geometry is not None  # the plan was made from it
    tensor = graph.input
    if plan.strips * plan.parts > 1:
        tensor = _cut(emit, tensor, body, geometry, plan.parts)
    (rows, columns), second_hw = geometry.needed
    first_hw = (rows // plan.parts, columns)
    tensor = apply_layout(emit, body.stages[0], tensor, plan.layouts[0], first_hw)
    _, part_rows, *rest = graph.shape(tensor)
    tensor = emit.reshape(tensor, (plan.strips, plan.parts * part_rows, *rest))
    return apply_layout(emit, body.stages[1], tensor, plan.layouts[1], second_hw)


def _cut(emit: Emitter, tensor: int, body: Body, geometry: Geometry, parts: int) -> int:
    """Return the picture as a batch of strips * parts, (batch, rows, width, channels)."""
    _, _, width, channels = emit.graph.shape(tensor)
    part = geometry.needed[0][0] // parts  # pooled rows
    rows = 2 * part + int(body.stages[0].kernel.shape[1]) - 1
    strip_step = 4 * geometry.needed[1][0]  # two pools
    strips = []
    for strip in range(geometry.strips):
        begins = [strip * strip_step + index * 2 * part for index in range(parts)]
        size = (1, rows, width, channels)
        cuts = [emit.slice(tensor, (0, begin, 0, 0), size) for begin in begins]
        strips.append(emit.concatenate(cuts, 1))
    joined = emit.concatenate(strips, 1)
    return emit.reshape(joined, (geometry.strips * parts, rows, width, channels))
