"""The command that judges a model on folders of pictures and prints its card's tables."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import UsageError
from edge.errors import LesionEdgeError
from edge.files import write_atomically
from edge.results import NOTICE

from .answers import FileModel, KerasModel
from .folder import list_folder
from .judged import judge_items
from .markdown import put_into, tables
from .reliability import reliability_svg
from .tables import parity, sets_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m models.training.evaluate",
        description="Print the tables of a model's card: how good it is on folders of pictures.",
        epilog=NOTICE,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a name (dermoscopy), a .tflite file with a contract, or a .keras or .h5 file",
    )
    parser.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="with labels.csv (image_id, label); without it only --against is measured",
    )
    parser.add_argument(
        "--fold", type=int, metavar="N", help="only this fold of folders that have folds"
    )
    parser.add_argument(
        "--threshold", type=float, metavar="P", help="malignant from P on (default: the contract's)"
    )
    parser.add_argument(
        "--contract",
        default="dermoscopy",
        metavar="NAME",
        help="for a Keras file: the name or .tflite file whose contract tells what its pixels are "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--against",
        type=Path,
        nargs="+",
        metavar="KERAS",
        help="how far the answers are from this Keras file's, and the outlines from a second one's",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, not Markdown")
    parser.add_argument(
        "--card",
        type=Path,
        metavar="FILE",
        help="put the tables between the markers of this card, and a reliability plot beside it",
    )
    options = parser.parse_args(arguments)
    try:
        _evaluate(options)
    except LesionEdgeError as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def _evaluate(options: argparse.Namespace) -> None:
    _check(options)
    is_keras = Path(options.model).suffix in {".keras", ".h5"}
    like = options.contract if is_keras else options.model
    model = (
        KerasModel([Path(options.model)], like, options.threshold)
        if is_keras
        else FileModel(like, options.threshold)
    )
    against = KerasModel(options.against, like) if options.against else None
    contract = model.contract
    rule = model.rule
    if rule.threshold is None:
        raise UsageError(f"{like}: its contract has no threshold; give one: --threshold P")
    points = contract.operating_points if options.threshold is None else ()
    figures: dict[str, Any] = {
        "model": {**contract.identity(), "file": Path(options.model).name},
        "rule": {"threshold": rule.threshold, "uncertain": rule.uncertain},
        "sets": {},
        "parity": {},
    }
    plotted: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
    for folder in options.folders:
        items = list_folder(folder, options.fold)
        labelled = items[0].malignant is not None
        if against is None and not labelled:
            raise UsageError(f"{folder}: has no labels.csv; without it give --against KERAS")
        name = folder.name
        if options.fold is not None and items[0].has_fold:
            name = f"{name}, fold {options.fold}"
        judged = list(judge_items(items, model, against, name))
        if against is not None:
            figures["parity"][name] = parity(judged, rule.threshold)
        if labelled:
            figures["sets"].update(sets_of(name, judged, rule, points))
            malignant = np.array([each.item.malignant for each in judged])
            plotted[name] = malignant, np.array([each.probability for each in judged])
    if options.card is not None:
        _write_card(options.card, figures, plotted)
    print(json.dumps(figures, indent=2) if options.json else tables(figures))


def _check(options: argparse.Namespace) -> None:
    if options.threshold is not None and not 0 <= options.threshold <= 1:
        raise UsageError(f"the threshold must be from 0 to 1, is {options.threshold:g}")
    if len({folder.name for folder in options.folders}) != len(options.folders):
        raise UsageError("two folders have one name; the tables tell them apart by it")
    if options.against is not None and len(options.against) > 2:
        raise UsageError("--against takes a classifier and at most one outline network")


def _write_card(
    card: Path, figures: dict[str, Any], plotted: dict[str, tuple[NDArray[Any], NDArray[Any]]]
) -> None:
    plot = card.with_name(f"{card.stem.lower()}-reliability.svg")
    text = f"{tables(figures)}\n\n![Reliability plot]({plot.name})"
    try:
        changed = put_into(card.read_text(encoding="utf-8"), text)
    except (OSError, ValueError) as error:
        raise UsageError(f"{card}: {error}") from error
    write_atomically(plot, reliability_svg(plotted).encode())
    write_atomically(card, changed.encode())
