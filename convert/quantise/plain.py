"""Any Keras model as TFLite graphs that take raw BGR bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.errors import ExportError

if TYPE_CHECKING:
    from edge.model.contract import InputSpec


@dataclass(frozen=True, slots=True)
class Exported:
    """A graph, and what is to be said of it in its contract and in the report."""

    flatbuffer: bytes
    input: InputSpec
    quantisation: str
    """In plain words."""
    passes: tuple[str, ...] = ()
    """What was done to the graph, and what it gave."""


def export_plain(*_: Any) -> dict[str, Exported]:
    """Return the graphs, by variant.

    Raises:
        ExportError: always, until this is written.

    """
    raise ExportError("only the notebook's network can be converted")
