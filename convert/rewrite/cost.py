"""A model of what a stage costs in a layout.

It counts what a kernel library does, in units of one multiply-add lane (one input byte times
sixteen outputs):

* lanes: every place of the kernel, tile of 16 output channels and kernel column, the column's
  input channels padded to a group (8 on x86, 4 with Arm's dot product);
* pointers: XNNPACK keeps one for each place and column, read anew for every picture, but once
  for all pictures of a batch.  For the plain conv1 that is 32 MB;
* tiles: sums are requantised to int8;
* bytes copied by shape operations, and pieces copied where channels are joined.

What each costs is in :data:`TARGETS`.  For x86 it is a fit to 271 measured stages (conv1 with 4
to 32 channels, conv2 with 4x4 to 32x16, all layouts) on a core with AVX512-VNNI, with
ai-edge-litert 2.3; only the cost of a distinct pointer is from whole networks, whose pointers
compete for the cache.  For each of the sixteen shapes, the layout that it chooses took at most 1.12
times as long as the best one measured, 1.02 in the mean.  For Arm it is not measured
but reckoned, for a Cortex-A76 at 2.4 GHz: a lane is one ``sdot``, two of them a cycle, so 0.2 ns;
memory gives 7 bytes a ns, a small copy is some 15 cycles, and to requantise 16 sums is some 30
instructions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .layouts import SHIFTS

if TYPE_CHECKING:
    from .layouts import Layout, Shape

_TILE = 16


@dataclass(frozen=True, slots=True)
class Target:
    """What things cost on a processor, in lanes, and what its kernels pad to."""

    channel_group: int
    """Input channels of a kernel column are padded to a multiple of this."""
    pointer: float
    """Each time that one is used."""
    distinct_pointer: float
    """Added for each that there is: those of a strip are used once a strip."""
    tile_end: float
    copied_byte: float
    copied_piece: float
    shifted_byte: float
    """Added for every byte that a convolution with shifts gives, for its dilation and pool."""


TARGETS = {
    "x86": Target(8, 4.0, 6.0, 40.0, 1.3, 79.0, 2.2),
    "arm": Target(4, 3.0, 5.0, 30.0, 0.7, 35.0, 0.5),
}
"""By the name that ``--tune-for`` takes."""


def stage_cost(
    shape: Shape, layout: Layout, needed_hw: tuple[int, int], target: Target, strips: int
) -> float:
    """Return what a stage costs in all strips, in the model's units.

    Args:
        shape: one strip.
        layout: a layout that fits.
        needed_hw: the pooled rows and columns that the next layer looks at.
        target: the processor.
        strips: how many strips there are.

    """
    height = shape.kernel_hw[0]
    out_rows = shape.height - height + 1
    if layout.shifted:
        out_rows = 2 * needed_hw[0] * SHIFTS
    columns = layout.places(shape, needed_hw)
    places = out_rows * columns * layout.groups
    channels = shape.out_channels * layout.phases
    cost = convolution_cost(
        target, places, batch=strips, outputs=channels,
        taps=height * layout.taps(shape), inputs=layout.packed * shape.channels,
    )  # fmt: skip
    copied = shifted = pieces = 0
    if layout.shifted:
        rows = 2 * needed_hw[0] + height - 1
        row = layout.row_columns(shape, columns) * shape.channels
        copied = layout.groups * rows * row * SHIFTS * 2
        shifted = places * channels
        if layout.groups > 1:
            pieces = places // (2 * SHIFTS)
            copied += pieces * channels
    elif not layout.plain:
        copied = places * channels
        if layout.packed > 1:
            copied += shape.height * shape.width * shape.channels
    extra = target.copied_byte * copied + target.copied_piece * pieces
    return cost + strips * (extra + target.shifted_byte * shifted)


def convolution_cost(
    target: Target, places: int, *, batch: int, outputs: int, taps: int, inputs: int
) -> float:
    """Return what a convolution alone costs.

    Args:
        target: the processor.
        places: where the kernel is put in one picture of the batch.
        batch: pictures, which share the pointers.
        outputs: output channels.
        taps: the kernel's rows times its columns.
        inputs: input channels.

    """
    tiles = -(-outputs // _TILE)
    padded = -(-inputs // target.channel_group) * target.channel_group
    lanes = places * tiles * (taps * padded + target.tile_end)
    pointers = target.pointer * places * taps
    return batch * (lanes + pointers) + target.distinct_pointer * places * taps
