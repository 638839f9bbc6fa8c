"""Read, split and alter the pictures that the default weights are trained on."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from convert.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS = ("benign", "malignant")
_BLUR_SIGMA = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSet:
    """Pictures with their diagnoses, in the order of ``labels.csv``."""

    pictures: NDArray[np.uint8]
    """(count, height, width, 3), BGR, 0..255."""
    malignant: NDArray[np.bool_]
    """(count,)."""

    def resized(self, index: int, side: int) -> NDArray[np.uint8]:
        """Return a picture as inference sees it: (side, side, 3), bilinear."""
        out: NDArray[np.uint8] = cv2.resize(
            self.pictures[index], (side, side), interpolation=cv2.INTER_LINEAR
        )
        return out


def load_labelled(folder: Path) -> LabelledSet:
    """Read ``labels.csv`` (columns ``image_id``, ``label``) and ``<label>/<image_id>.jpg``.

    Args:
        folder: where; all pictures must have one size.

    Raises:
        UsageError: a file is missing or can't be decoded, a label is unknown, or sizes differ.

    """
    try:
        with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
            rows = [(row["image_id"], row["label"]) for row in csv.DictReader(file)]
    except (OSError, KeyError) as error:
        raise UsageError(f"{folder}: no labels.csv with the columns image_id and label") from error
    if {label for _, label in rows} != set(LABELS):
        raise UsageError(f"{folder}: labels.csv must hold both labels, {' and '.join(LABELS)}")
    pictures = [_read(folder / label / f"{name}.jpg") for name, label in rows]
    if len({picture.shape for picture in pictures}) != 1:
        raise UsageError(f"{folder}: all pictures must have one size")
    return LabelledSet(np.stack(pictures), np.array([label == LABELS[1] for _, label in rows]))


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_COLOR_BGR)
    except (OSError, cv2.error) as error:
        raise UsageError(f"{path}: can't be read") from error
    if picture is None:
        raise UsageError(f"{path}: no picture OpenCV can decode")
    return picture  # type: ignore[return-value]


def stratified_folds(malignant: NDArray[np.bool_], count: int, seed: int) -> NDArray[np.int64]:
    """Return (len,) int64, the fold 0..count-1 of each picture; both classes spread evenly."""
    rng = np.random.default_rng(seed)
    folds = np.empty(len(malignant), np.int64)
    for value in (False, True):
        chosen = rng.permutation(np.flatnonzero(malignant == value))
        folds[chosen] = np.arange(len(chosen)) % count
    return folds


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Standard deviations of the random changes; lengths are fractions of the picture's side."""

    zoom: float = 0.06
    stretch: float = 0.04
    shift: float = 0.02
    gain: float = 0.1
    channel_gain: float = 0.05
    offset: float = 0.05
    sharpness: float = 1.0
    """Of the weight at which a blurred copy is mixed in: above 0 the picture gets softer, below
    sharper.  Pictures reach the network resized from all sizes by all kinds of filters, so fine
    texture must not mean much."""


def augmented(
    picture: NDArray[np.uint8], by: Augmentation, side: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return (side, side, 3) uint8: the picture changed at random, all ways at once.

    It is turned, flipped, zoomed, recoloured and blurred or sharpened.  It stays in
    bytes, so that the contract is applied to it as to any other picture.
    """
    gain = np.exp(rng.normal(0, by.gain) + rng.normal(0, by.channel_gain, 3))
    coloured = picture * gain.astype(np.float32) + np.float32(128 * rng.normal(0, by.offset))
    softness = float(np.clip(rng.normal(0, by.sharpness), -2, 1))
    blurred = cv2.GaussianBlur(coloured, (0, 0), _BLUR_SIGMA)
    source = np.clip(np.rint(coloured + softness * (blurred - coloured)), 0, 255).astype(np.uint8)
    out: NDArray[np.uint8] = cv2.warpAffine(
        source,
        _random_affine(rng, by, picture.shape[:2], side),
        (side, side),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )  # type: ignore[assignment]
    return out


def _random_affine(
    rng: np.random.Generator, by: Augmentation, size_hw: tuple[int, ...], side: int
) -> NDArray[np.float64]:
    """Return (2, 3): flips, quarter turns, zoom, stretch and shift, and the resize to ``side``.

    One interpolation does it all, so that an unchanged picture is as sharp as at inference.
    """
    linear = np.diag([rng.choice([-1.0, 1.0]), 1.0])
    cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[rng.integers(4)]
    linear = np.array([[cosine, -sine], [sine, cosine]]) @ linear
    linear = linear @ np.diag(np.exp(rng.normal(0, by.stretch, 2) + rng.normal(0, by.zoom)))
    height, width = size_hw
    linear = linear @ np.diag([side / width, side / height])
    centre = (np.array([width, height]) - 1) / 2 + rng.normal(0, by.shift, 2) * (width, height)
    return np.column_stack([linear, (side - 1) / 2 - linear @ centre])
