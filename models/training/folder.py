"""List the pictures of a folder, labelled or not, that a model is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convert.errors import UsageError

from .sources import read_table

if TYPE_CHECKING:
    from pathlib import Path

_LABELS = ("benign", "malignant")


@dataclass(frozen=True, slots=True)
class Item:
    """A picture, and what is known of it."""

    path: Path
    malignant: bool | None = None
    """Whether it is a melanoma; None in a folder without labels."""
    diagnosis: str = ""
    """The column ``dx``; "" where there is none."""
    mask: Path | None = None
    """The expert's mask of the lesion, 255 = lesion."""
    has_fold: bool = False
    """Whether it is in a fold."""


def list_folder(folder: Path, fold: int | None = None) -> list[Item]:
    """Return the pictures of a folder.

    ``labels.csv`` has the columns ``image_id`` and ``label`` (benign or malignant), and may have
    ``dx`` and ``fold``, as may ``folds.csv``; a picture is ``<label>/<image_id>.jpg``, its mask, if
    there is one, ``<folder>_masks/<image_id>.png``.  Without ``labels.csv`` it is every ``*.jpg``.

    Args:
        folder: where.
        fold: only the pictures of this fold, where the folder has folds.

    Raises:
        UsageError: it can't be read, a label is unknown, or no picture is left.

    """
    if not (folder / "labels.csv").exists():
        items = [Item(path) for path in sorted(folder.glob("*.jpg"))]
    else:
        rows = read_table(folder / "labels.csv")
        folds: dict[str, str] = {}
        if (folder / "folds.csv").exists():
            folds = {row["image_id"]: row["fold"] for row in read_table(folder / "folds.csv")}
        try:
            items = [
                _item(folder, row, has_fold=its is not None)
                for row in rows
                if (its := folds.get(row["image_id"], row.get("fold"))) is None
                or fold in (None, int(its))
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"{folder / 'labels.csv'}: expected the columns image_id and label (benign or "
                "malignant), and folds, if there are any, as whole numbers"
            ) from error
    if not items:
        raise UsageError(f"{folder}: no picture to judge; expected labels.csv or *.jpg")
    return items


def _item(folder: Path, row: dict[str, str], *, has_fold: bool) -> Item:
    name, label = row["image_id"], row["label"]
    mask = folder.with_name(f"{folder.name}_masks") / f"{name}.png"
    return Item(
        folder / label / f"{name}.jpg",
        bool(_LABELS.index(label)),
        row.get("dx") or "",
        mask if mask.exists() else None,
        has_fold,
    )
