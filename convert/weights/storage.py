"""Whether all that an HDF5 file holds is in the file itself, before any other library opens it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import h5py

from convert.errors import WeightsError

from .layers import as_text, read_attribute

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_DEPTH = 32
_MAX_MEMBERS = 100_000
_MAX_ATTRIBUTES = 64
_MAX_ATTRIBUTE_VALUES = 1 << 16
_MAX_ATTRIBUTE_BYTES = 16 << 20


def check_file(file: h5py.File) -> int:
    """Return how many floating-point values a file holds, those of an optimizer left out.

    Raises:
        WeightsError: it has a link or data outside itself, a group that holds itself, data that is
            compressed, of another kind than numbers, or claimed and not there.

    """
    seen: set[int] = set()
    values = 0
    for path, item in _walk(file):
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise WeightsError(f"{path} is in the file by two names; the file is damaged")
        seen.add(address)
        if len(seen) > _MAX_MEMBERS:
            raise WeightsError(f"it has more than {_MAX_MEMBERS:,} groups and weights")
        _check_attributes(path, item)
        if isinstance(item, h5py.Dataset):
            _check_dataset(path, item)
            if item.dtype.kind == "f" and not path.startswith("optimizer"):
                values += math.prod(item.shape)
        elif not isinstance(item, h5py.Group):
            raise WeightsError(f"{path} is neither a group nor weights, as Keras writes")
    return values


def keras_version(file: h5py.File) -> str:
    """Return what a file says of the Keras that wrote it; of none, ``3``."""
    for group in (file, file.get("model_weights")):
        if isinstance(group, h5py.Group) and "keras_version" in group.attrs:
            return as_text(read_attribute(group, "keras_version"))
    return "3"


def _walk(file: h5py.File) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    waiting = [("", file, 0)]
    while waiting:
        path, item, depth = waiting.pop()
        yield path or "the file", item
        if not isinstance(item, h5py.Group):
            continue
        if depth == _MAX_DEPTH or len(item) > _MAX_MEMBERS:
            raise WeightsError(f"{path} is nested too deep or has too many members")
        for name in item:
            below = f"{path}/{name}".removeprefix("/")
            if not isinstance(item.get(name, getlink=True), h5py.HardLink):
                raise WeightsError(f"{below} is a link to another place, which is never followed")
            waiting.append((below, item[name], depth + 1))


def _check_attributes(path: str, item: h5py.Group | h5py.Dataset) -> None:
    if len(item.attrs) > _MAX_ATTRIBUTES:
        raise WeightsError(f"{path} has {len(item.attrs)} attributes, too many")
    for name in item.attrs:
        identifier = item.attrs.get_id(name)
        count = math.prod(identifier.shape or ())
        size = count * identifier.dtype.itemsize
        if count > _MAX_ATTRIBUTE_VALUES or size > _MAX_ATTRIBUTE_BYTES:
            raise WeightsError(f"attribute {name} of {path} claims {count} values, too many")


def _check_dataset(path: str, dataset: h5py.Dataset) -> None:
    if dataset.is_virtual or dataset.external:
        raise WeightsError(f"{path} keeps its data in another file, which is never opened")
    if dataset.shape is None or dataset.dtype.kind not in "fiubV":
        raise WeightsError(f"{path} holds {dataset.dtype}, not numbers")
    # A filter may unpack a few bytes to any size; Keras writes none.
    if dataset.id.get_create_plist().get_nfilters():
        raise WeightsError(f"{path} is compressed, which Keras never does; save it again")
    if math.prod(dataset.shape) * dataset.dtype.itemsize > dataset.id.get_storage_size():
        raise WeightsError(f"{path} claims {dataset.shape} values that the file doesn't hold")
