"""Ask a model for a folder's pictures, one after the other, and keep what the tables need."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from convert.errors import UsageError
from edge.analyzer import read_picture

from .skin import band_of, typology_angle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from .answers import Model
    from .folder import Item

_SAY_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Judged:
    """A picture with a model's answer."""

    item: Item
    probability: float
    """P(positive), 0..1."""
    share: float | None
    """Of the picture that is lesion, by the mask or else the model's outline, 0..1."""
    uncertain: bool
    """Whether the label is ``uncertain``."""
    skin: str
    """The band of the skin's colour."""
    reference: float | None = None
    """P(positive) of the model it is compared with."""
    jaccard: float | None = None
    """Of the two models' outlines, 0..1; None where neither finds a lesion or one doesn't look."""


def judge_items(
    items: list[Item], model: Model, against: Model | None, name: str
) -> Iterator[Judged]:
    """Yield each picture with its answer; tells on stderr how far it is.

    Raises:
        PictureError: a picture can't be read.
        UsageError: a mask can't be read.

    """
    said = time.monotonic()
    for number, item in enumerate(items):
        if time.monotonic() - said > _SAY_EVERY_S:
            print(f"evaluate: {name}: {number} of {len(items)}", file=sys.stderr)
            said = time.monotonic()
        picture = read_picture(item.path)
        probability, outlined, uncertain = model.answer(picture)
        lesion = outlined if item.mask is None else _read_mask(item, picture.size_wh)
        reference = jaccard = None
        if against is not None:
            reference, other, _ = against.answer(picture)
            if model.outlines and against.outlines:
                jaccard = jaccard_of(outlined, other)
        yield Judged(
            item,
            probability,
            None if lesion is None else float(lesion.mean()),
            uncertain,
            band_of(typology_angle(picture.image_bgr, lesion)),
            reference,
            jaccard,
        )


def jaccard_of(one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None) -> float | None:
    """Return the Jaccard index of two outlines; 0 where only one is there, None for neither."""
    if one is None and other is None:
        return None
    if one is None or other is None:
        return 0.0
    return float((one & other).sum() / (one | other).sum())


def _read_mask(item: Item, size_wh: tuple[int, int]) -> NDArray[np.bool_]:
    mask = cv2.imdecode(np.fromfile(str(item.mask), np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None or mask.shape != size_wh[::-1]:
        raise UsageError(f"{item.mask}: no mask of its picture's size")
    lesion: NDArray[np.bool_] = np.asarray(mask) > 127
    return lesion
