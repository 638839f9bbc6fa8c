"""The conversion's result as a table for a terminal, as Markdown and as JSON."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edge.results import Timings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from .maps import MapParity
    from .parity import Parity

_OUTLINE_HEADER = (
    "outline",
    "MB",
    "max |Δp|",
    "mean |Δp|",
    "Jaccard",
    "least",
    "ms p50",
    "ms p95",
)
_HEADER = ("model", "MB", "max |Δp|", "mean |Δp|", "flips", "AUC", "ms p50", "ms p95", "")


class Timed(Protocol):
    """A network in an interpreter."""

    def predict(self, image_bgr: NDArray[np.uint8], timings: Timings) -> object:
        """Answer a picture, (height, width, 3) uint8 BGR, and say how long that took."""


@dataclass(frozen=True, slots=True)
class OutlineRow:
    """One variant's line of the second table: of the network that outlines the lesion."""

    size: int
    """The flatbuffer's, in bytes."""
    parity: MapParity
    ms_p50: float
    ms_p95: float


@dataclass(frozen=True, slots=True)
class Row:
    """One variant's line of the table."""

    variant: str
    size: int
    """The model file's size, in bytes."""
    parity: Parity
    ms_p50: float
    ms_p95: float
    over: tuple[str, ...] = ()
    """What is over budget."""
    passes: tuple[str, ...] = ()
    """What was done to the graph, and what it gave."""
    outline: OutlineRow | None = None


def time_interleaved(
    networks: Mapping[str, Timed], images: Sequence[NDArray[np.uint8]], rounds: int
) -> dict[str, tuple[float, float]]:
    """Return each variant's median and 95th percentile of one invoke, in milliseconds.

    The variants take turns on each picture, so that whatever else the machine does meets all of
    them: their ratios hold better than the milliseconds.
    """
    taken: dict[str, list[float]] = {variant: [] for variant in networks}
    for number in range(rounds):
        for variant, network in networks.items():
            timings = Timings()
            network.predict(images[number % len(images)], timings)
            taken[variant].append(timings.invoke)
    return {
        variant: (float(np.percentile(ms, 50)), float(np.percentile(ms, 95)))
        for variant, ms in taken.items()
    }


def recommend(rows: Sequence[Row]) -> str | None:
    """Return the variant to deploy: the fastest median of those within budget."""
    within = [row for row in rows if not row.over]
    return min(within, key=_cost).variant if within else None


def _cost(row: Row) -> tuple[float, int]:
    return row.ms_p50 + (row.outline.ms_p50 if row.outline else 0.0), row.size


def to_text(rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """Return the table for a terminal, and below it what has to be known of its pictures."""
    lines = [line for table in _tables(rows) for line in (*_aligned(table), "")]
    return "\n".join((*lines[:-1], *notes))


def _tables(rows: Sequence[Row]) -> list[list[tuple[str, ...]]]:
    """Return the table of the models, and that of the outlines, if there are any."""
    tables = [[_HEADER, *_cells(rows)]]
    if any(row.outline for row in rows):
        tables.append([_OUTLINE_HEADER, *_outline_cells(rows)])
    return tables


def _aligned(table: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        padded = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        padded[0] = row[0].ljust(widths[0])
        yield "  ".join(padded).rstrip()


def passes_as_markdown(rows: Sequence[Row]) -> list[str]:
    """Return what was done to the graphs: a paragraph for each group of variants."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for each in dict.fromkeys(each for row in rows for each in row.passes):
        variants = tuple(row.variant for row in rows if each in row.passes)
        groups.setdefault(variants, []).append(each)
    return [
        f"{'All variants' if len(variants) == len(rows) > 1 else ', '.join(variants)}: "
        f"{'; '.join(passes)}."
        for variants, passes in groups.items()
    ]


def to_markdown(rows: Sequence[Row], about: Sequence[str]) -> str:
    """Return the report as Markdown: what it is about, a paragraph each, and the table."""
    lines = ["\n\n".join(("# Conversion report", *about))]
    for header, *cells in _tables(rows):
        table = [header, ("---", *("---:" for _ in header[1:])), *cells]
        # A bar inside a cell would end it.
        lines.append("")
        lines += [
            "".join(f"| {cell.replace('|', chr(92) + '|')} " for cell in row) + "|" for row in table
        ]
    return "\n".join((*lines, ""))


def to_dict(rows: Sequence[Row], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report as JSON types."""
    return {
        **about,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "recommended": recommend(rows),
        "variants": [
            {
                "variant": row.variant,
                "bytes": row.size,
                "parity": row.parity.to_dict(),
                "invoke_ms": {"p50": round(row.ms_p50, 3), "p95": round(row.ms_p95, 3)},
                "over_budget": list(row.over),
                "passes": list(row.passes),
                **({"outline": _outline_to_dict(row.outline)} if row.outline else {}),
            }
            for row in rows
        ],
    }


def _outline_to_dict(row: OutlineRow) -> dict[str, Any]:
    return {
        "bytes": row.size,
        "parity": row.parity.to_dict(),
        "invoke_ms": {"p50": round(row.ms_p50, 3), "p95": round(row.ms_p95, 3)},
    }


def _outline_cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return [
        (
            row.variant,
            f"{each.size / 1e6:.2f}",
            f"{each.parity.max_delta:.1e}",
            f"{each.parity.mean_delta:.1e}",
            f"{each.parity.jaccard:.4f}",
            f"{each.parity.jaccard_least:.3f}",
            f"{each.ms_p50:.2f}",
            f"{each.ms_p95:.2f}",
        )
        for row in rows
        if (each := row.outline)
    ]


def _cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    best = recommend(rows)
    return [
        (
            row.variant,
            f"{row.size / 1e6:.2f}",
            f"{row.parity.max_delta:.1e}",
            f"{row.parity.mean_delta:.1e}",
            f"{row.parity.flips}/{row.parity.pictures}",
            "-" if row.parity.auc is None else f"{row.parity.auc:.3f}",
            f"{row.ms_p50:.2f}",
            f"{row.ms_p95:.2f}",
            "over budget" if row.over else "recommended" if row.variant == best else "",
        )
        for row in rows
    ]
