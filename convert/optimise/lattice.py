"""Finds the places of pool2 that dense1 looks at, where they lie on a lattice.

Dense1 weighs each of pool2's places.  A place that it weighs by nothing but 0 adds 0 to every sum,
whatever is there, so it needn't be computed; nor need what only such places are computed from.
Where the others lie on a lattice, say every eighth of every eighth row, that is most of the
network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.network import dense1_by_place, receptive_field

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.network import Arrays


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

    def take(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what belongs to the lattice's places, of (rows, columns, ...) of all places."""
        return values[self.rows.places][:, self.columns.places]


def find_lattice(arrays: Arrays) -> Lattice | None:
    """Return the coarsest lattice that holds all places that dense1 weighs.

    Args:
        arrays: (kernel, bias) of conv1, conv2, dense1 and dense2, as Keras has them.

    Returns:
        The lattice, or None if nothing is weighed, or if the windows of conv1's outputs that its
        places are computed from would overlap.

    """
    weighed = np.any(dense1_by_place(arrays), axis=(2, 3))
    if not weighed.any():
        return None
    rows, columns = (Axis.through(np.any(weighed, axis=axis)) for axis in (1, 0))
    window, step = receptive_field("pool2", "pool1")
    return Lattice(rows, columns) if min(rows.step, columns.step) * step >= window else None
