"""Write ``MODEL_CARD.md`` beside the models, from the figures that were measured.

Called by ``make models``; no number in the card is typed by hand.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.files import write_atomically
from edge.results import NOTICE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TEMPLATE = Path(__file__).with_name("card_template.md")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the card and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m models.training.card", description=__doc__)
    parser.add_argument("folder", type=Path, help="holds the figures and reports")
    folder = parser.parse_args(arguments).folder
    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    dense = json.loads((folder / "figures-dense.json").read_text(encoding="utf-8"))
    table = (folder / "report.md").read_text(encoding="utf-8").split("\n\n")[-1].strip()
    write_atomically(folder / "MODEL_CARD.md", make_card(figures, dense, report, table).encode())
    return 0


def make_card(
    figures: Mapping[str, Any], dense: Mapping[str, Any], report: Mapping[str, Any], table: str
) -> str:
    """Return the card.

    Args:
        figures: what training measured, ``figures.json``.
        dense: the same for a training of all channels, ``figures-dense.json``.
        report: what the conversion measured, ``report.json``.
        table: the conversion's Markdown table.

    """
    cv, validation, recipe = figures["cross_validation"], figures["validation"], figures["recipe"]
    decays = ", ".join(f"{key}: {value}" for key, value in cv["auc_by_weight_decay"].items())
    return _TEMPLATE.read_text(encoding="utf-8").format(
        notice=NOTICE,
        count=figures["data"]["count"],
        malignant=figures["data"]["malignant"],
        data_name=figures["data"]["name"],
        licence=figures["licence"],
        live1=figures["live_channels"]["conv1"],
        live2=figures["live_channels"]["conv2"],
        **_judged(figures, ""),
        **_judged(dense, "dense_"),
        candidates=recipe["candidates"],
        val_name=validation["name"],
        val_count=validation["count"],
        val_malignant=validation["malignant"],
        method=validation["auc_95_method"],
        threshold_rule=figures["threshold_rule"],
        weight=recipe["malignant_weight"],
        seed=figures["seed"],
        seconds=figures["seconds"],
        rings=recipe["rings"],
        views=recipe["views"],
        every=recipe["every"],
        decay=figures["weight_decay"],
        decays=decays,
        live=", ".join(f"{layer} {count}" for layer, count in figures["live_channels"].items()),
        versions=", ".join(f"{tool} {version}" for tool, version in figures["versions"].items()),
        held_out=report["held_out_pictures"],
        table=table,
    )


def _judged(figures: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the fields that say how good weights are, their names with a prefix."""
    cv, validation = figures["cross_validation"], figures["validation"]
    low, high = validation["auc_95"]
    fields = {
        "cv_auc": cv["auc"],
        "cv_sens": _rate(cv, "sensitivity"),
        "cv_spec": _rate(cv, "specificity"),
        "val_auc": validation["auc"],
        "val_sens": _rate(validation, "sensitivity"),
        "val_spec": _rate(validation, "specificity"),
        "low": low,
        "high": high,
        "threshold": figures["threshold"],
    }
    return {f"{prefix}{name}": value for name, value in fields.items()}


def _rate(figures: Mapping[str, Any], which: str) -> str:
    return f"{figures[which]:.2f} ({figures[f'{which}_counts']})"


if __name__ == "__main__":
    sys.exit(main())
