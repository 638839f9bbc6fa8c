"""Read the sets of pictures that networks are trained and judged on."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from convert.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NOT_MELANOMA_BUT_MALIGNANT = ("bcc", "akiec")
"""Basal cell carcinoma and actinic keratosis: neither label fits them, so none is taught."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """What is known of a set of pictures beforehand."""

    folder: str
    licence: str
    share: float
    """Of the pictures of a batch, before the shares are scaled to a sum of 1."""
    squashed: bool = False
    """Whether the pictures were made square by squeezing, not by cutting off their sides."""
    masks: str | None = None
    """The folder of its lesion masks, ``<image_id>.png``."""
    side: int = 320
    """Larger pictures are made this large when they are read."""
    sha256: str | None = None
    """The fingerprint of what the figures of the model card were made with."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Labelled square pictures of one size, in the order of ``labels.csv``."""

    spec: SourceSpec
    names: tuple[str, ...]
    pictures: NDArray[np.uint8]
    """(count, side, side, 3), BGR, 0..255."""
    malignant: NDArray[np.bool_]
    """(count,): melanoma."""
    diagnosis: NDArray[np.str_]
    """(count,): as the set says it, "" where it doesn't."""
    fold: NDArray[np.int64]
    """(count,): 0..9, the same for all pictures of a lesion; -1 where the set has no folds."""
    masks: NDArray[np.uint8] | None
    """(count, side, side), 255 = lesion."""
    fingerprint: str
    """SHA-256 over names, labels, folds and the pictures' files, in order; not the masks."""

    def chosen(self, held_out: int | None, *, malignant: bool) -> NDArray[np.int64]:
        """Return the indices to train on of one class: not of the fold that is held out."""
        usable = ~np.isin(self.diagnosis, NOT_MELANOMA_BUT_MALIGNANT) & (
            self.malignant == malignant
        )
        if held_out is not None:
            usable &= self.fold != held_out
        return np.flatnonzero(usable)


def load_source(root: Path, spec: SourceSpec, *, any_data: bool = False) -> Source:
    """Read ``labels.csv``, ``folds.csv`` if there is one, the pictures and their masks.

    ``labels.csv`` has the columns ``image_id`` and ``label``, and may have ``dx`` and ``fold``;
    pictures are ``<label>/<image_id>.jpg``.

    Raises:
        UsageError: a file is missing or can't be decoded, or the contents are not those the
            spec's fingerprint was taken of and ``any_data`` is false.

    """
    folder = root / spec.folder
    rows = read_table(folder / "labels.csv")
    folds = {}
    if (folder / "folds.csv").exists():
        folds = {row["image_id"]: row["fold"] for row in read_table(folder / "folds.csv")}
    digest = hashlib.sha256()
    pictures, masks, fold = [], [], []
    for row in rows:
        name = row["image_id"]
        fold.append(int(folds.get(name, row.get("fold", -1))))
        data = _bytes(folder / row["label"] / f"{name}.jpg")
        digest.update(f"{name},{row['label']},{fold[-1]}\n".encode())
        digest.update(hashlib.sha256(data).digest())
        pictures.append(_decode(data, cv2.IMREAD_COLOR_BGR, spec.side, name))
        if spec.masks:
            data = _bytes(root / spec.masks / f"{name}.png")
            masks.append(_decode(data, cv2.IMREAD_GRAYSCALE, spec.side, name))
    if len({picture.shape for picture in pictures}) != 1:
        raise UsageError(f"{folder}: expected pictures of one size")
    if not any_data and spec.sha256 not in {None, digest.hexdigest()}:
        raise UsageError(
            f"{folder}: not the pictures the recipe names (sha256 {digest.hexdigest()}); figures "
            "would not be comparable: see --any-data"
        )
    return Source(
        spec,
        tuple(row["image_id"] for row in rows),
        np.stack(pictures),
        np.array([row["label"] == "malignant" for row in rows]),
        np.array([row.get("dx", "") for row in rows]),
        np.array(fold),
        np.stack(masks) if masks else None,
        digest.hexdigest(),
    )


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as dictionaries; raises UsageError where it can't be read."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: can't be read; expected a table of the pictures") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: can't be read") from error


def _decode(data: bytes, flags: int, side: int, name: str) -> NDArray[np.uint8]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if picture is None:
        raise UsageError(f"{name}: no picture OpenCV can decode")
    if picture.shape[0] > side:
        picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
    return picture  # type: ignore[return-value]
