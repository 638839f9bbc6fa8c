"""The conversion's result as a table for a terminal, as Markdown and as JSON."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.results import Timings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from edge.model.classifier import Classifier

    from .parity import Parity

_HEADER = ("model", "MB", "max |Δp|", "mean |Δp|", "flips", "AUC", "ms p50", "ms p95", "")


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


def time_interleaved(
    classifiers: Mapping[str, Classifier], images: Sequence[NDArray[np.uint8]], rounds: int
) -> dict[str, tuple[float, float]]:
    """Return each variant's median and 95th percentile of one invoke, in milliseconds.

    The variants take turns on each picture, so that whatever else the machine does meets all of
    them: their ratios hold better than the milliseconds.
    """
    taken: dict[str, list[float]] = {variant: [] for variant in classifiers}
    for number in range(rounds):
        for variant, classifier in classifiers.items():
            timings = Timings()
            classifier.predict(images[number % len(images)], timings)
            taken[variant].append(timings.invoke)
    return {
        variant: (float(np.percentile(ms, 50)), float(np.percentile(ms, 95)))
        for variant, ms in taken.items()
    }


def recommend(rows: Sequence[Row]) -> str | None:
    """Return the variant to deploy: the fastest median of those within budget."""
    within = [row for row in rows if not row.over]
    return min(within, key=lambda row: (row.ms_p50, row.size)).variant if within else None


def to_text(rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """Return the table for a terminal, and below it what has to be known of its pictures."""
    table = [_HEADER, *_cells(rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEADER))]
    lines = []
    for row in table:
        padded = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        padded[0] = row[0].ljust(widths[0])
        lines.append("  ".join(padded).rstrip())
    return "\n".join((*lines, *notes))


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
    table = [_HEADER, ("---", *("---:" for _ in _HEADER[1:])), *_cells(rows)]
    # A bar inside a cell would end it.
    lines = [
        "".join(f"| {cell.replace('|', chr(92) + '|')} " for cell in row) + "|" for row in table
    ]
    head = "\n\n".join(("# Conversion report", *about))
    return "\n".join((head, "", *lines, ""))


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
            }
            for row in rows
        ],
    }


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
