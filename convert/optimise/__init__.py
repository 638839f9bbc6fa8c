"""Makes the network faster before it is quantised, and proves that no int8 value changes.

What leaves it, where it stays exact and what was measured: docs/optimisation.md.
"""

from __future__ import annotations

from convert.verify.proof import verify

from .channels import compact
from .lattice import find_lattice
from .plan import build_planned, choose, sample

__all__ = ["build_planned", "choose", "compact", "find_lattice", "sample", "verify"]
