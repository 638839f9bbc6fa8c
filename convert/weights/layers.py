"""Where the weights lie in an HDF5 file, in any layout that Keras has used.

Links are never followed, and what an attribute claims to hold is looked at before it is read.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from convert.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_MAX_NAMES = 4096
_MAX_ATTRIBUTE_BYTES = 1 << 20
_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer of the file that has weights: its name there, and its datasets in order."""

    name: str
    datasets: tuple[Any, ...]

    @property
    def shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """Its datasets' shapes; None is a dataset without room for any value."""
        return tuple(dataset.shape for dataset in self.datasets)

    @property
    def is_state(self) -> bool:
        """Whether it is a generator's or a counter's state, which no answer depends on."""
        return all(
            dataset.dtype.kind in "iu" and len(dataset.shape or ()) <= 1
            for dataset in self.datasets
        )


def find_layers(file: h5py.File) -> tuple[bool, list[StoredLayer]]:
    """Return whether the file stores an order, and its layers that have weights, in order."""
    for group in (file, child_of(file, "model_weights")):
        if isinstance(group, h5py.Group) and (names := _names(group, "layer_names")) is not None:
            names.append("top_level_model_weights")
            return True, list(_find_listed(group, names))
    for root in ("layers", "_layer_checkpoint_dependencies"):
        group = child_of(file, root)
        if isinstance(group, h5py.Group) and (found := list(_walk(group, root, _MAX_DEPTH))):
            # The model's own variables, beside those of its layers: we expect none.
            found += _variables(file, "(the model itself)")
            return False, found
    held = ", ".join(list(file)[:8]) or "nothing"
    raise WeightsError(
        f"an HDF5 file without Keras weights: it holds {held}; give the file that "
        "model.save('model.keras') writes"
    )


def layer_names(file: h5py.File) -> Iterator[str]:
    """Yield the names of the file's layers, also of those without weights."""
    for group in (file, child_of(file, "model_weights")):
        if isinstance(group, h5py.Group):
            yield from _names(group, "layer_names") or ()
    for root in ("layers", "_layer_checkpoint_dependencies"):
        yield from _groups(child_of(file, root), _MAX_DEPTH)


def _groups(group: Any, depth: int) -> Iterator[str]:
    for name in group if isinstance(group, h5py.Group) and depth else ():
        yield name
        yield from _groups(child_of(group, name), depth - 1)


def _find_listed(group: h5py.Group, names: list[str]) -> Iterator[StoredLayer]:
    for name in names:
        layer = child_of(group, name)
        if layer is None and name == "top_level_model_weights":
            continue
        if not isinstance(layer, h5py.Group):
            raise WeightsError(f"it lists layer {name} but doesn't hold it; the file is damaged")
        # A model inside the model is listed as one layer that has the weights of all of its own.
        inner = [
            list(weights) for _, weights in groupby(_names(layer, "weight_names") or (), _parent)
        ]
        for weights in inner:
            datasets = (_dataset(layer, weight, name) for weight in weights)
            own = name if len(inner) == 1 else f"{name}/{_parent(weights[0])}"
            yield StoredLayer(own, tuple(datasets))


def _walk(group: h5py.Group, path: str, depth: int) -> Iterator[StoredLayer]:
    # Groups come sorted as text; a person's order of conv2d_2 and conv2d_10 is wanted.
    if depth == 0 or len(group) > _MAX_NAMES:
        raise WeightsError(f"{path} is nested too deep or has too many members to be this network")
    for name in sorted(group, key=_natural):
        child = child_of(group, name)
        # The state of a dropout's random numbers is no weight.
        if isinstance(child, h5py.Group) and name not in ("vars", "seed_generator"):
            yield from _variables(child, f"{path}/{name}")
            yield from _walk(child, f"{path}/{name}", depth - 1)


def _variables(group: h5py.Group, name: str) -> list[StoredLayer]:
    variables = child_of(group, "vars")
    if not isinstance(variables, h5py.Group) or not len(variables):
        return []
    if len(variables) > _MAX_NAMES:
        raise WeightsError(f"{name} has too many weights to be of this network")
    datasets = (_dataset(variables, key, name) for key in sorted(variables, key=_natural))
    return [StoredLayer(name, tuple(datasets))]


def _parent(weight: str) -> str:
    return weight.rpartition("/")[0]


def _natural(name: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def child_of(group: h5py.Group, path: str) -> Any:
    """Return what ``path`` names below ``group``, or None; never by way of a link."""
    item: Any = group
    for part in path.split("/"):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) and part else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise WeightsError(f"{path} is a link to another place, which is never followed")
        item = item[part]
    return item


def _dataset(group: h5py.Group, path: str, layer: str) -> Any:
    dataset = child_of(group, path)
    if not isinstance(dataset, h5py.Dataset):
        raise WeightsError(
            f"layer {layer} lists the weight {path} but doesn't hold it; it is damaged"
        )
    return dataset


def read_attribute(item: h5py.Group | h5py.Dataset, name: str) -> Any:
    """Return an attribute that is there.

    Raises:
        WeightsError: it is larger than any of this network.

    """
    # What it claims to hold is looked at before room is made for it.
    identifier = item.attrs.get_id(name)
    count = math.prod(identifier.shape or ())
    if count > _MAX_NAMES or count * identifier.dtype.itemsize > _MAX_ATTRIBUTE_BYTES:
        raise WeightsError(
            f"its attribute {name} claims {count} values, too many to be this network"
        )
    return item.attrs[name]


def _names(group: h5py.Group, attribute: str) -> list[str] | None:
    # A list that is too long for one attribute is split: layer_names0, layer_names1, ...
    parts = [attribute] if attribute in group.attrs else []
    while not parts or parts[-1] != attribute:
        if f"{attribute}{len(parts)}" not in group.attrs or len(parts) > _MAX_NAMES:
            break
        parts.append(f"{attribute}{len(parts)}")
    if not parts:
        return None
    return [as_text(name) for part in parts for name in np.ravel(read_attribute(group, part))]


def as_text(value: object) -> str:
    """Return a name as text, however the file stores it."""
    return value.decode() if isinstance(value, bytes) else str(value)


def check_storage(layer: str, dataset: h5py.Dataset) -> None:
    """Check that a dataset holds plain floating-point numbers in this file.

    Raises:
        WeightsError: they are of another type, compressed, or in another file.

    """
    if dataset.is_virtual or dataset.external:
        raise WeightsError(f"layer {layer} keeps its data in another file, which is never opened")
    half = _is_bfloat16(dataset)
    if dataset.dtype == np.dtype("V2") and not half:
        raise WeightsError(
            f"layer {layer} holds 2-byte values of no type that the file names, as a legacy .h5 of "
            "bfloat16 does; load it in Keras with float32 and save it again"
        )
    if not half and (dataset.dtype.kind != "f" or dataset.dtype.itemsize not in (2, 4, 8)):
        raise WeightsError(f"layer {layer} holds {dataset.dtype}, not floating-point numbers")
    # A filter may unpack a few bytes to any size; Keras writes none.
    if dataset.id.get_create_plist().get_nfilters():
        raise WeightsError(
            f"layer {layer} is compressed, which Keras never does; save it again with Keras"
        )


def _is_bfloat16(dataset: h5py.Dataset) -> bool:
    # HDF5 has no such type: Keras 3 writes its bytes and names it (saving_lib.H5Entry).
    return bool(dataset.dtype == np.dtype("V2") and "dtype" in dataset.attrs) and (
        as_text(read_attribute(dataset, "dtype")) == "bfloat16"
    )


def read_values(dataset: h5py.Dataset) -> NDArray[Any]:
    """Return a dataset's values, of any float type; of bfloat16 as float32, which is exact."""
    values: NDArray[Any] = dataset[()]
    if _is_bfloat16(dataset):  # it is a float32's upper half
        return (values.view("<u2").astype("<u4") << 16).view("<f4")
    return values
