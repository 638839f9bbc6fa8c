"""Builds the network as fast operations: only what dense1 looks at, in layouts that fill lanes.

It adds the same products, and zeros, in another order: exact in real arithmetic and in int8, where
:mod:`.proof` shows it; in float32 judged by the parity gate like all else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.network import dense1_by_place, receptive_field

from .lattice import Lattice, find_lattice
from .layout import Layout, convolve_and_pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.network import Arrays

PACKED = {"x86": 2, "arm": 4}
"""Columns of the picture in a packed pixel, by the name that ``--tune-for`` takes.

Three channels a column: XNNPACK pads to groups of 8 on x86, of 4 with Arm's dot product."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the network is computed."""

    lattice: Lattice | None
    """The places of pool2 that are computed; None is all."""
    layouts: tuple[Layout | None, Layout | None]
    """Of conv1 and pool1, and of conv2 and pool2."""

    def __str__(self) -> str:
        conv1, conv2 = (layout or "as it is" for layout in self.layouts)
        return f"{self.lattice or 'all places of pool2'}, conv1 {conv1}, conv2 {conv2}"


def sample(lattice: Lattice, packed: int = 1) -> Plan:
    """Return the plan that computes a lattice's places only.

    The picture's rows that each row of places is computed from are one picture of a batch.  Conv1
    goes from one place's window to the next, its columns in a window as phases; pool1's row of a
    window is then one packed pixel for conv2.
    """
    _, step = receptive_field("pool2")
    pooled, _ = receptive_field("pool2", "conv2")
    columns = lattice.columns
    first = Layout(packed, pooled, step * columns.start, step * columns.step)
    return Plan(lattice, (first, Layout(pooled, 1, 0, pooled)))


def choose(arrays: Arrays, tune_for: str) -> Plan:
    """Return the plan for int8 on a processor, by the channels that conv1 and conv2 give.

    The layouts of a network without a lattice are those that were fastest with XNNPACK on a core
    with AVX512-VNNI (docs/optimisation.md); for Arm nothing was measured.

    Args:
        arrays: (kernel, bias) of conv1, conv2, dense1 and dense2, for raw bytes.
        tune_for: a key of :data:`PACKED`.

    """
    if lattice := find_lattice(arrays):
        return sample(lattice, PACKED[tune_for])
    first, second = (arrays[name][1].size for name in ("conv1", "conv2"))
    if first <= 12:
        conv1 = Layout(packed=4, pooled=2)
    elif first <= 24:
        conv1 = Layout(packed=2, pooled=1)
    else:
        conv1 = Layout(packed=2)
    conv2 = Layout(packed=2 if first <= 12 else 1, pooled=1) if second <= 8 else None
    return Plan(None, (conv1, conv2))


def build_planned(arrays: Arrays, plan: Plan) -> Callable[[Any], Any]:
    """Return the network, computed as a plan says, to be exported.

    Args:
        arrays: (kernel, bias) of conv1, conv2, dense1 and dense2, for raw bytes.
        plan: how.

    Returns:
        A function of TensorFlow's: float32 (1, 500, 500, 3) to (1, 1).

    """
    import tensorflow as tf

    bias1, (dense2, bias2) = arrays["dense1"][1], arrays["dense2"]
    seen = dense1_by_place(arrays)
    if plan.lattice:
        seen = plan.lattice.take(seen)
    rows, columns, channels, _ = seen.shape

    def infer(x: Any) -> Any:
        if plan.lattice:
            size, step = receptive_field("pool2")
            at = [step * row + pixel for row in plan.lattice.rows.places for pixel in range(size)]
            x = tf.reshape(tf.gather(x, tf.constant(at), axis=1), (rows, size, *x.shape[2:]))
        for name, layout in zip(("conv1", "conv2"), plan.layouts, strict=True):
            x = convolve_and_pool(x, arrays[name], layout)
        if x.shape[2] > columns:
            x = tf.slice(x, (0, 0, 0, 0), (*x.shape[:2], columns, channels))
        with tf.name_scope("dense1"):  # the quantiser's recipes go by the name
            x = tf.nn.relu(tf.matmul(tf.reshape(x, (1, -1)), seen.reshape(-1, bias1.size)) + bias1)
        return tf.nn.sigmoid(tf.matmul(x, dense2) + bias2)

    return infer
