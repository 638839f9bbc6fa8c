"""Results as a table for spreadsheets: CSV, a row for each picture."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from edge.errors import LesionEdgeError
from edge.files import printable

from .growing import growing_file, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.model.contract import Contract
    from edge.results import Analysis

    Add: TypeAlias = "Callable[[str, Analysis | LesionEdgeError], None]"

_COLUMNS = (
    "path",
    "label",
    "probability",
    "threshold",
    "width",
    "height",
)
_REGIONS = (
    "regions",
    "largest_x",
    "largest_y",
    "largest_width",
    "largest_height",
    "largest_area",
)
_LESION = (
    "lesion_x",
    "lesion_y",
    "lesion_width",
    "lesion_height",
    "lesion_area",
    "lesion_share",
)
_REST = ("warnings", "error_type", "error", "model", "sha256", "total_ms")
# OWASP, "CSV Injection"; Excel takes the full-width forms for the plain ones.
_FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@contextmanager
def csv_table(path: str, contract: Contract, segmentation: str = "otsu") -> Iterator[Add]:
    """Yield a function ``add(name, result)`` that writes a picture's row to the file ``path``.

    Comma-separated values (RFC 4180) in UTF-8 with a byte order mark, without which Excel reads
    another encoding; numbers have all their digits and a dot.  Texts are always quoted; one that a
    spreadsheet would take for a formula gets an apostrophe in front, and characters that can't
    be shown are escaped as in Python: where a program reads the results, ``--json`` is exact.
    The rows of a run that ended early are kept, and a last one says so.  Of more than two labels
    each has a column at the end, its probability.

    Args:
        path: a name that ends in ``.csv``.
        contract: that of the model.
        segmentation: what was looked for, ``otsu``, ``outline`` or ``both``, which have columns of
            their own; where no lesion was found, those of the lesion are empty.

    Raises:
        OutputError: see :func:`edge.report.growing.growing_file`.

    """
    of = {label: f"P({label})" for label in contract.labels if len(contract.labels) > 2}
    model = {"model": f"{contract.name} {contract.variant}", "sha256": contract.sha256}
    columns = [*_COLUMNS, *_REGIONS, *_REST]
    if segmentation != "otsu":
        columns = [*_COLUMNS, *(_REGIONS if segmentation == "both" else ()), *_LESION, *_REST]
    count = 0

    def write_row(**values: str | float) -> None:
        writer.writerow(
            {key: cell(value) if isinstance(value, str) else value for key, value in values.items()}
        )

    def end(early: bool) -> None:  # noqa: FBT001
        if early:
            write_row(
                error_type="Interrupted", error=f"the run ended early; pictures done: {count}"
            )

    def add(name: str, result: Analysis | LesionEdgeError) -> None:
        nonlocal count
        count += 1
        if isinstance(result, LesionEdgeError):
            write_row(
                path=name, error_type=type(result).__name__, error=reason(name, result), **model
            )
            return
        found: dict[str, Any] = {}
        if segmentation != "outline":
            largest = result.regions[0].to_dict() if result.regions else {}
            found = {f"largest_{key}": value for key, value in largest.items()}
            found["regions"] = len(result.regions)
        if result.lesion is not None:
            found |= {key: getattr(result.lesion, key.removeprefix("lesion_")) for key in _LESION}
        write_row(
            path=name,
            label=result.label,
            probability=result.probability,
            threshold="" if result.threshold is None else result.threshold,
            width=result.size_wh[0],
            height=result.size_wh[1],
            warnings="; ".join(result.warnings),
            total_ms=round(result.timings_ms.total, 3),
            **found,
            **model,
            **{of[label]: result.probabilities[label] for label in of},
        )

    with growing_file(path, ".csv") as file:
        writer = csv.DictWriter(
            file, [*columns, *of.values()], restval="", quoting=csv.QUOTE_NONNUMERIC
        )
        file.at_end = end
        file.write("\ufeff")
        writer.writeheader()
        yield add


def cell(text: str) -> str:
    """Return a text for a cell, on one line, that no spreadsheet takes for a formula."""
    text = printable(text)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
