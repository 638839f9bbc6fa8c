"""Ways to compute one stage, a convolution and its 2x2 max-pooling: all exact, one the fastest.

A row of a picture, ``width`` pixels of ``channels`` bytes, is in memory also a row of
``width / S`` packed pixels of ``S * channels`` bytes.  A kernel of ``k`` columns is then one of
``ceil(k / S)`` packed columns with the same weights and zeros around them, which add 0 to every
int32 sum; sums, scales and zero points stay, so the int8 elements are the same ones.  That fills
the groups of 8 (or 4) input channels to which a kernel library pads.

Packed pixels lie S columns apart, and an output is wanted at every column:

* **phases**: the same weights at several places of the kernel, as further output channels, give
  the outputs of several columns.  They fill the tiles of 16 output channels.
* **shifts**: the picture once more, moved by a column, gives the columns between.  Both pictures
  go through one convolution, their rows in turns, with a row dilation of 2.

Pooling takes a maximum, and in any order: over two rows of two shifts it is a window of 4x1.
With phases in the order (column parity, pooled column, channel) the outputs of a row, seen as
twice as many pixels, are a picture of (pooled columns * channels) channels to pool 2x2.  Either
way what comes out is pool's picture in its usual order, in memory, so the next layer's weights
stay in theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

SHIFTS = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """What a stage works on: (height, width, channels) in, a kernel, channels out."""

    height: int
    width: int
    channels: int
    kernel_hw: tuple[int, int]
    out_channels: int

    @property
    def pooled_hw(self) -> tuple[int, int]:
        """Height and width after the pool, its whole windows only."""
        height, width = self.kernel_hw
        return (self.height - height + 1) // 2, (self.width - width + 1) // 2


@dataclass(frozen=True, slots=True)
class Layout:
    """One way to compute a stage."""

    packed: int = 1
    """S, the columns in a packed pixel."""
    pooled: int = 1
    """The pooled columns that one place of the kernel gives, as phases; 0 for the plain graph."""
    shifted: bool = False
    """Whether the two columns of a pool are two shifts, else two phases or plain pixels."""
    groups: int = 1
    """With shifts: convolutions, each for every so manieth pooled column, joined at the end."""

    def __str__(self) -> str:
        if self.plain:
            return "as it is"
        kind = f"{SHIFTS * self.groups} shifts" if self.shifted else "unshifted"
        return f"{self.packed} columns packed, {kind}, {self.phases} phases"

    @property
    def plain(self) -> bool:
        """Whether it is the convolution and the pool as they are."""
        return self.pooled == 0

    @property
    def phases(self) -> int:
        """How often the kernel's output channels are repeated."""
        if self.plain:
            return 1
        return self.pooled * (1 if self.shifted else 2)

    @property
    def stride(self) -> int:
        """The horizontal step of the kernel, in packed pixels; 0 if there is no whole one."""
        if self.plain:
            return 1
        columns = 2 * self.pooled * self.groups
        return 0 if columns % self.packed else columns // self.packed

    @property
    def offsets(self) -> list[int]:
        """The column at which each phase starts, in the order of the output channels."""
        if self.plain:
            return [0]
        parities = (0,) if self.shifted else (0, 1)
        return [2 * index + parity for parity in parities for index in range(self.pooled)]

    def taps(self, shape: Shape) -> int:
        """Return the kernel's width in packed pixels."""
        return -(-(shape.kernel_hw[1] + max(self.offsets)) // self.packed)

    def places(self, shape: Shape, needed_hw: tuple[int, int]) -> int:
        """Return how many places the kernel takes in a row; 0 if the layout doesn't fit.

        Args:
            shape: the stage.
            needed_hw: the pooled rows and columns that the next layer looks at.

        """
        if self.stride == 0:
            return 0
        if self.plain:
            return shape.width - shape.kernel_hw[1] + 1
        at_once = self.pooled * self.groups
        if not self.shifted:
            if shape.width % self.packed:
                return 0
            places = (shape.width // self.packed - self.taps(shape)) // self.stride + 1
            return places if places * at_once >= needed_hw[1] else 0
        places = -(-needed_hw[1] // at_once)
        start = 2 * self.pooled * (self.groups - 1) + SHIFTS - 1
        return places if start + self.row_columns(shape, places) <= shape.width else 0

    def pooled_hw(self, shape: Shape, needed_hw: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns that come out, where the layout fits."""
        if self.plain:
            return shape.pooled_hw
        columns = self.places(shape, needed_hw) * self.pooled * self.groups
        return needed_hw[0] if self.shifted else shape.pooled_hw[0], columns

    def row_columns(self, shape: Shape, places: int) -> int:
        """Return the columns that so many places of the kernel see."""
        return ((places - 1) * self.stride + self.taps(shape)) * self.packed


PLAIN = Layout(pooled=0)
"""The convolution and the pool as they are."""
