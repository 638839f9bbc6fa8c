"""Models by name: those that the package ships, installed or in a checkout; and their variants."""

from __future__ import annotations

import importlib.util
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import ModelError
from edge.files import printable
from edge.processor import DOT_PRODUCT, features

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


@dataclass(frozen=True, slots=True)
class Shipped:
    """A model that the package ships."""

    stem: str
    """What its files' names begin with, before ``-VARIANT.tflite``."""
    purpose: str
    """What it is for, in a line."""


DEFAULT = "notebook"
SHIPPED = {
    "notebook": Shipped(
        "lesion",
        "the notebook's network and its rule for regions: small, fast, to compare and to build on",
    ),
    "dermoscopy": Shipped(
        "dermoscopy",
        "pictures through a dermatoscope: better answers, and the lesion's outline",
    ),
}
"""By name; a package need not have all of them: see :func:`available`."""
VARIANTS = ("int8", "float16", "float32", "dynamic")
_FILE = re.compile(rf"(.+)-({'|'.join(VARIANTS)})\.tflite")


def preferred(told: Collection[str]) -> tuple[str, ...]:
    """Return all variants, the one that is to run on a processor with these features first.

    int8 is the fastest where the processor multiplies and adds int8 in one step.  AVX2 alone
    doesn't: XNNPACK widens int8 to int16 there, and float16 (float32 once loaded) takes 0.78 of the
    default model's time.  Both are measured, see docs/performance.md.  Elsewhere it is int8, until
    someone measures.

    Args:
        told: as :func:`edge.processor.features` returns them.

    """
    if "avx2" in told and not DOT_PRODUCT.intersection(told):
        return ("float16", "float32", "int8", "dynamic")
    return VARIANTS


def available() -> dict[str, dict[str, str]]:
    """Return the path of each variant that is there, by the model's name, by variant."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folders = [os.path.join(folder, "models") for folder in (os.path.dirname(package), package)]
    # The installed one comes last, and wins.
    files = {stem: paths for folder in folders for stem, paths in _variants_in(folder).items()}
    return {name: files[shipped.stem] for name, shipped in SHIPPED.items() if shipped.stem in files}


def variants(model: str | os.PathLike[str] | None) -> dict[str, str]:
    """Return the path of each variant of a model, by variant; of one file, its path by "".

    Args:
        model: the name of one that is shipped, a file, or a folder of files NAME-VARIANT.tflite,
            as ``convert --out`` writes it; None is the default model.  A name wins over what is
            called so: ``./notebook`` is the file or folder.

    Raises:
        ModelError: neither a name that is there nor a path, or not one model's folder; the message
            has those that are.

    """
    text = DEFAULT if model is None else os.fspath(model)
    there = available()
    if text in there:
        return there[text]
    is_path = os.path.basename(text) != text or "." in text or os.path.exists(text)
    if text in SHIPPED or not is_path:
        raise ModelError(
            f"{printable(text) or repr(text)}: there is no model of this name here; there is "
            f"{' and '.join(there) or 'none'}, or give a file: --model FILE.tflite"
        )
    found = _variants_in(text)
    if len(found) > 1:
        stems = " and ".join(map(printable, sorted(found)))
        raise ModelError(
            f"{printable(text)}: a folder with several models, {stems}; give one file of it"
        )
    return next(iter(found.values()), {"": text})


def find_model(model: str | os.PathLike[str] | None, variant: str | None = None) -> str:
    """Return the path of the file of a model that is to run on this processor.

    Args:
        model: what :func:`variants` takes.
        variant: the one to take in place of the processor's.

    Raises:
        ModelError: what :func:`variants` raises, or there is no such variant.

    """
    there = variants(model)
    if variant is None:
        return next(there[each] for each in _ordered(there))
    if variant not in there:
        name = printable(DEFAULT if model is None else model)
        only = f"there is {' and '.join(_ordered(there))}" if "" not in there else "it is one file"
        raise ModelError(f"{name}: there is no variant {variant} of it here; {only}")
    return there[variant]


def _ordered(there: Iterable[str]) -> list[str]:
    """Return variants, the one to run first; one alone needs no processor."""
    names = list(there)
    if len(names) == 1:
        return names
    # On tflite-runtime int8 is the fastest on any processor.
    is_old = importlib.util.find_spec("ai_edge_litert") is None
    return sorted(names, key=(VARIANTS if is_old else preferred(features())).index)


def _variants_in(folder: str) -> dict[str, dict[str, str]]:
    """Return the model files of a folder, by stem, by variant; none where it is no folder."""
    found: dict[str, dict[str, str]] = {}
    try:
        names = sorted(os.listdir(folder))
    except OSError:  # not a folder, or one that can't be read, which opening it will say
        return found
    for name in names:
        if match := _FILE.fullmatch(name):
            found.setdefault(match[1], {})[match[2]] = os.path.join(folder, name)
    return found
