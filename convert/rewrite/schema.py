"""TFLite's schema, as Python objects, and what its flatbuffers are built with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ALIGNMENT = 16
"""``force_align`` of a buffer's data in the schema, which the Python object API doesn't keep."""


def schema() -> Any:
    """Return the module that TFLite's schema was compiled to."""
    from ai_edge_litert import schema_py_generated

    return schema_py_generated


def aligned_builder() -> Any:
    """Return a builder that puts the data of every vector at a multiple of 16 bytes."""
    import flatbuffers  # type: ignore[import-untyped, unused-ignore]

    class Builder(flatbuffers.Builder):  # type: ignore[misc, unused-ignore]
        def CreateNumpyVector(self, values: NDArray[Any]) -> Any:  # noqa: N802 - overrides
            self.Prep(_ALIGNMENT, values.nbytes)
            return super().CreateNumpyVector(values)

    return Builder(1 << 20)
