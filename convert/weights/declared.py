"""What a weights file of ours declares beside its weights: contract, labels, threshold, name."""

from __future__ import annotations

import json
import math
from types import MappingProxyType
from typing import TYPE_CHECKING

from convert.errors import WeightsError

from .layers import as_text, read_attribute

if TYPE_CHECKING:
    from collections.abc import Mapping

    import h5py

DECLARED = "lesion_edge"
"""The root attribute in which our own files say what their weights expect, as JSON."""


def read_declared(file: h5py.File) -> Mapping[str, object] | None:
    """Return what an open file declares, or None.

    Raises:
        WeightsError: as :func:`parse_declared`.

    """
    if DECLARED not in file.attrs:
        return None
    value = read_attribute(file, DECLARED)
    return parse_declared(as_text(value if isinstance(value, bytes | str) else ""))


def parse_declared(text: str) -> Mapping[str, object]:
    """Return what a file of ours declares.

    Raises:
        WeightsError: it is no JSON, or lacks a contract, two labels, a threshold or a name.

    """
    try:
        declared = json.loads(text)
        contract = declared["contract"]
        numbers = [declared["threshold"], *contract["scale"], *contract["offset"]]
        strings = [declared["name"], contract["channel_order"], *declared["labels"]]
        whole = (
            (len(contract["scale"]), len(contract["offset"]), len(declared["labels"])) == (3, 3, 2)
            and all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
            and all(isinstance(string, str) for string in strings)
            and isinstance(declared["labels"], list)
        )
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise WeightsError(
            f"what it declares ({DECLARED}) is damaged: {one_line(error)}"
        ) from error
    if not whole:
        raise WeightsError(
            f"what it declares ({DECLARED}) is not a contract, two labels and a threshold"
        )
    return MappingProxyType(declared)


def declared_text(declared: Mapping[str, object]) -> str:
    """Return a declaration as it is written into a file.

    Raises:
        WeightsError: it can't be JSON, or as :func:`parse_declared`.

    """
    try:
        text = json.dumps(dict(declared), sort_keys=True, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"what is to be declared can't be written as JSON: {one_line(error)}"
        ) from error
    parse_declared(text)
    return text


def one_line(error: BaseException) -> str:
    """Return an exception as one line of text."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
