"""Sets of real pictures, on which models are calibrated and judged."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import UsageError
from edge.cli.sources import expand
from edge.files import printable
from edge.model.preprocess import resize_into
from edge.picture.decode import decode, read_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from edge.model.contract import InputSpec

_INSTALLED = Path(__file__).resolve().parent.parent / "sample_pictures"
SHIPPED = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1] / "pictures"
"""The project's pictures, ``calibration`` and ``held_out``: as installed, or as in a checkout."""
SHIPPED_LABELS = ("benign", "malignant")
"""What those pictures are of: dermoscopic ones, each melanoma or not."""

MINIMUM = 2
"""With fewer pictures than this nothing can be said; a set of them is refused."""
ENOUGH = 30
"""With fewer than this, what is said of a set says little, and the report says so."""
_NEEDED = f"at least {MINIMUM}, better {ENOUGH} or more"
_SORT = "pictures of the kind that the model is for"
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class SamplePicture:
    """One picture of a set."""

    name: str
    """Its path below the set's folder, with forward slashes."""
    data: bytes
    sha256: str
    label: str | None
    """From ``labels.csv`` or the name of its folder; None where neither says."""
    path: str | None = None
    """Where it was read, for messages; None stands for its name."""


def load_set(
    folder: Path, labels: Sequence[str], tell: Callable[[str], object] | None = None
) -> list[SamplePicture]:
    """Read every JPEG and PNG below a folder, sorted by path; ``tell`` is told what is left out.

    A picture's label is what ``labels.csv`` in the folder (columns ``image_id``, ``label``) says
    of its stem, or else the name of the folder it is in, where that is one of ``labels``, in
    lower or upper case.  A folder of pictures without labels does as well.

    Raises:
        UsageError: the folder is missing or holds too few pictures, or ``labels.csv`` can't be
            read.
        PictureError: a picture can't be read.

    """
    if not folder.is_dir():
        raise UsageError(
            f"{printable(folder)}: no such folder of pictures; name one of {_SORT}, {_NEEDED}"
        )
    listed = _read_labels(folder / "labels.csv")
    known = {label.casefold(): label for label in labels}
    pictures, fitting = [], set()
    unknown: Counter[str] = Counter()
    for source in expand([str(folder)], tell=tell):
        if not isinstance(source, str):
            raise UsageError(f"{source}; needed are {_SORT}, {_NEEDED}")
        path, data = Path(source), read_bytes(source)
        said = listed.get(path.stem, path.parent.name)
        label = known.get(said.casefold())
        if label is None and (path.stem in listed or path.parent != folder):
            unknown[said] += 1
        fitting.add(path.stem)
        pictures.append(
            SamplePicture(
                printable(path.relative_to(folder).as_posix()),
                data,
                hashlib.sha256(data).hexdigest(),
                label,
                source,
            )
        )
    if len(pictures) < MINIMUM:
        raise UsageError(f"{printable(folder)}: it holds {len(pictures)}; give {_NEEDED}")
    if tell and (left := listed.keys() - fitting):
        rows = f"{len(left)} of the {len(listed)} pictures in {printable(folder / 'labels.csv')}"
        tell(f"{rows} are not in the folder, such as {printable(min(left))}")
    # One folder more, below pictures that have no labels, is none for a label.
    if tell and labels and (len(unknown) > 1 or (unknown and any(p.label for p in pictures))):
        tell(f"{printable(folder)}: {_unlabelled(unknown, labels)}")
    return pictures


def notes_on(
    what: str, pictures: Sequence[SamplePicture], labels: Sequence[str], instead: str | None
) -> list[str]:
    """Return what has to be said of a set of pictures to whoever relies on it.

    Args:
        what: what was done with them: "parity was judged".
        pictures: the set.
        labels: the model's.
        instead: the option to give pictures of one's own, where the set is the project's.

    """
    notes = []
    if instead and {label.casefold() for label in labels} != set(SHIPPED_LABELS):
        notes.append(
            f"{what} on pictures that are not the model's kind: the project's are dermoscopic, "
            f"{' or '.join(SHIPPED_LABELS)}; give {instead} DIR with your own"
        )
    if len(pictures) < ENOUGH:
        notes.append(f"{what} on {len(pictures)} pictures: fewer than {ENOUGH} show little")
    return notes


def _unlabelled(unknown: Counter[str], labels: Sequence[str]) -> str:
    """Return which pictures have no label, and whose fault that may be."""
    counts = [f"{printable(name)} ({count})" for name, count in sorted(unknown.items())]
    return (
        f"pictures taken as unlabelled, since the model has no label of that name: "
        f"{_some(counts)}; its labels are {_some(list(labels))}"
    )


def _some(texts: Sequence[str]) -> str:
    """Return texts as a list for a person, who doesn't read hundreds."""
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def choose(pictures: Sequence[SamplePicture], count: int, seed: int) -> list[SamplePicture]:
    """Return ``count`` of the pictures (all, if there are no more), drawn with a seed, in order."""
    if len(pictures) <= count:
        return list(pictures)
    drawn = random.Random(seed).sample(range(len(pictures)), count)  # noqa: S311 - not a secret
    return [pictures[index] for index in sorted(drawn)]


def require_disjoint(
    calibration: Iterable[SamplePicture], held_out: Iterable[SamplePicture]
) -> None:
    """Check that no picture that parity is judged on was calibrated on.

    Raises:
        UsageError: the two sets share a file, by content.

    """
    known = {picture.sha256: picture.name for picture in calibration}
    for picture in held_out:
        if picture.sha256 in known:
            raise UsageError(
                f"{picture.name} of the held-out pictures is {known[picture.sha256]} of the "
                "calibration pictures; parity must be judged on others"
            )


def resized(picture: SamplePicture, spec: InputSpec) -> NDArray[np.uint8]:
    """Return a picture as the edge resizes it: (height, width, 3) uint8, BGR, before encoding."""
    width, height = spec.size_wh
    out = np.empty((height, width, 3), np.uint8)
    resize_into(decode(picture.data, picture.path or picture.name).image_bgr, out, spec)
    return out


def _read_labels(path: Path) -> dict[str, str]:
    """Return labels by their picture's stem; a spreadsheet may part columns by ; or tab."""
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
        head = text.partition("\n")[0]
        mark = max(",;\t", key=head.count)
        names, *rows = [
            [cell.strip() for cell in row]
            for row in csv.reader(io.StringIO(text, ""), delimiter=mark)
        ] or [[]]
        columns = [name.casefold() for name in names]
        at, label = columns.index("image_id"), columns.index("label")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{printable(path)}: byte {error.start} is no UTF-8; save it as CSV in UTF-8"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{printable(path)}: can't be read ({error.strerror or error}); put a readable file "
            "there, or take it away"
        ) from error
    except (csv.Error, ValueError) as error:
        raise UsageError(
            f"{printable(path)}: no table with the columns image_id and label ({error}); its first "
            "line should be image_id,label"
        ) from error
    return {_stem(row[at]): row[label] for row in rows if len(row) > max(at, label)}


def _stem(image_id: str) -> str:
    stem, suffix = os.path.splitext(image_id)
    return stem if suffix.lower() in (".jpg", ".jpeg", ".png") else image_id
