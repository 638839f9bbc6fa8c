"""Computes only what dense1 looks at, where that is every so manieth place of pool2.

Dense1 weighs each of pool2's places.  A place that it weighs by nothing but 0 adds 0 to every sum,
whatever is there, so it needn't be computed; nor need what only such places are computed from.
Where the others lie on a lattice, say every eighth of every eighth row, that is most of the
network: one place of pool2 is computed from a window of 5x5 of pool1's, 10x10 of conv1's, 13x13
pixels.

* Rows: for each of the lattice's rows, the picture's rows that it is computed from are gathered,
  and go through as one picture of a batch.
* Conv1 goes in steps from one window to the next.  Its columns in a window are phases, and the
  picture's columns are packed: see :mod:`.layouts` for both.  What pool1 makes of a window's row
  is then one pixel of five times as many channels.
* Conv2 is at each window once.  Its 2x2 outputs, of which pool2 takes the maximum, are phases too:
  the kernel stands at four places of one that is a row and a column larger.

Every sum has the terms that it had, and zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Weight = TypeVar("Weight", bound=np.generic)

POOL = 2
"""The rows and the columns of a pool's window, which are also its steps."""
_MIN_STEP = 3
"""Windows of 10 pixels of conv1 begin four pixels a place apart: closer, they overlap."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Places at equal distances along rows or columns."""

    start: int
    step: int
    count: int

    @classmethod
    def through(cls, live: NDArray[np.bool_]) -> Axis:
        """Return the coarsest axis on which all live places lie; at least one must be live."""
        found = np.flatnonzero(live)
        first, last = int(found[0]), int(found[-1])
        step = int(np.gcd.reduce(np.diff(found))) if last > first else 1
        return cls(first, step, (last - first) // step + 1)

    @property
    def places(self) -> range:
        """All places."""
        return range(self.start, self.start + self.step * self.count, self.step)


@dataclass(frozen=True, slots=True)
class Lattice:
    """The places of pool2 that dense1 looks at, and perhaps some that it doesn't."""

    rows: Axis
    columns: Axis

    def __str__(self) -> str:
        return f"{self.rows.count} x {self.columns.count} places of pool2"

    @classmethod
    def of(cls, weighed: NDArray[np.bool_]) -> Lattice | None:
        """Return the coarsest lattice that holds all places that dense1 weighs.

        Args:
            weighed: (rows, columns) of pool2.

        Returns:
            The lattice, or None if its windows would overlap or nothing is weighed.

        """
        if not weighed.any():
            return None
        rows = Axis.through(np.asarray(weighed.any(axis=1)))
        columns = Axis.through(np.asarray(weighed.any(axis=0)))
        found = cls(rows, columns)
        return found if min(found.rows.step, found.columns.step) >= _MIN_STEP else None

    def take(self, values: NDArray[Weight], axis: int = 0) -> NDArray[Weight]:
        """Return what belongs to the lattice's places.

        Args:
            values: of all places: rows along ``axis``, columns along the next one.
            axis: see there.

        """
        chosen: NDArray[Weight] = values.take(self.rows.places, axis)
        return chosen.take(self.columns.places, axis + 1)


@dataclass(frozen=True, slots=True)
class Window:
    """What one place of pool2 is computed from, in rows and columns."""

    pooled_hw: tuple[int, int]
    """Of pool1."""
    pixels_hw: tuple[int, int]
    """Of the picture."""

    @classmethod
    def of(cls, first: tuple[int, int], second: tuple[int, int]) -> Window:
        """Work back through both pools and convolutions, whose kernels are so high and wide."""
        pooled = (POOL + second[0] - 1, POOL + second[1] - 1)
        pixels = (POOL * pooled[0] + first[0] - 1, POOL * pooled[1] + first[1] - 1)
        return cls(pooled, pixels)

    def pixel_rows(self, rows: Axis) -> list[int]:
        """Return the picture's rows that the windows of some rows of pool2 hold, in turn."""
        return [
            POOL**2 * row + offset for row in rows.places for offset in range(self.pixels_hw[0])
        ]

    def column_phases(self, columns: Axis) -> list[int]:
        """Return the columns of conv1 in the first window: the even ones, then the odd ones."""
        start = POOL**2 * columns.start
        return [
            start + POOL * column + parity
            for parity in range(POOL)
            for column in range(self.pooled_hw[1])
        ]


def window_kernel(kernel: NDArray[Weight]) -> NDArray[Weight]:
    """Repeat a kernel at the four places of a pool's window.

    Args:
        kernel: (out, height, width, in), of any dtype.

    Returns:
        (4 * out, height + 1, width + 1, in), the window's places in reading order, zeros where a
        copy has no weight.

    """
    out, height, width, channels = kernel.shape
    shape = (POOL, POOL, out, height + POOL - 1, width + POOL - 1, channels)
    wide = np.zeros(shape, kernel.dtype)
    for row, column in product(range(POOL), range(POOL)):
        wide[row, column, :, row : row + height, column : column + width] = kernel
    return wide.reshape(-1, *shape[3:])
