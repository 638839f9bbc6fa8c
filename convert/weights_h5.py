"""Keras weights in an HDF5 file: found in any layout, checked, and read in a process of its own.

Layers are taken by order and shape, never by a name that the file gives them; links are never
followed, and nothing is read before its shape is known to be right.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from .architecture import check_architecture, takes_statistics
from .errors import WeightsError
from .model_config import MAX_CONFIG_BYTES, read_layers
from .network import LAYERS, LayerSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from .architecture import Statistics
    from .model_config import ConfigLayer
    from .network import FrontLayer

    Arrays = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""What an HDF5 file begins with (HDF5 File Format Specification, II.A)."""
DECLARED = "lesion_edge"
"""The root attribute in which our own files say what their weights expect, as JSON."""

_MAX_NAMES = 4096
_MAX_ATTRIBUTE_BYTES = 1 << 20
_MAX_DEPTH = 8
_MAX_PROCESS_BYTES = 1 << 30
MAX_PARSE_S = 4
"""How long the HDF5 library may be at a file, in seconds of the processor; ours take 0.01."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A layer of the file that has weights: its name there, and its datasets in order."""

    name: str
    datasets: tuple[Any, ...]

    @property
    def shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(dataset.shape for dataset in self.datasets)

    @property
    def is_state(self) -> bool:
        """Whether it is a generator's or a counter's state, which no answer depends on."""
        return all(
            dataset.dtype.kind in "iu" and len(dataset.shape or ()) <= 1
            for dataset in self.datasets
        )

    @property
    def is_statistics(self) -> bool:
        """Whether it looks like a Normalization's mean, variance and count of a picture."""
        return self.shapes in (((), (), ()), ((1,), (1,), ()), ((3,), (3,), ()))


def parse_stdin() -> None:
    """Read weights from standard input; write a line of JSON and their arrays as float32.

    What comes in is the ``config.json`` of a ``.keras`` archive, if there is one, and behind it
    an HDF5 file.  The line says what the file declares, whether it describes its model and which
    layers scale the input, or which error it is; the arrays come in the order of
    :data:`convert.network.LAYERS`, kernel before bias.  For the process that
    :func:`read_weights` starts.
    """
    # What a damaged size makes the library ask for must not exhaust the machine.
    with suppress(ImportError, OSError, OverflowError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (_MAX_PROCESS_BYTES, _MAX_PROCESS_BYTES))
    data = sys.stdin.buffer.read()
    # Some damage makes the library go round for ever, where no exception handler gets a turn.
    with suppress(ImportError, OSError, ValueError):
        limit_s = math.ceil(time.process_time()) + MAX_PARSE_S
        # SIGXCPU at the first, SIGKILL at the second: it has to be told from other ends.
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 1))
    text, _, rest = data.partition(SIGNATURE)
    answer: dict[str, object] = {}
    arrays: Arrays = {}
    try:
        with h5py.File(io.BytesIO(SIGNATURE + rest), "r") as file:
            declared = _read_declared(file)
            _check_backend(file)
            config = text or _read_config(file)
            layers = None if config is None else read_layers(config)
            front, arrays = _read_arrays(file, layers)
            answer["declared"] = declared and dict(declared)
            answer["described"] = layers is not None
            answer["front"] = [asdict(layer) for layer in front]
    except WeightsError as error:
        answer["error"] = str(error)
    except Exception as error:  # noqa: BLE001 - h5py answers damage with nearly every one
        answer["error"] = f"the file is damaged ({one_line(error)}); fetch it again"
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    for kernel, bias in arrays.values():
        sys.stdout.buffer.write(kernel.tobytes() + bias.tobytes())
    sys.stdout.buffer.flush()


def _read_arrays(
    file: h5py.File, layers: list[ConfigLayer] | None
) -> tuple[tuple[FrontLayer, ...], Arrays]:
    """Return what scales the input, and the weights; ``layers`` is what the file describes."""
    ordered, everything = _find(file)
    wanted = sum(map(takes_statistics, layers or ()))
    statistics, found = _part(everything, wanted)
    front: tuple[FrontLayer, ...] = ()
    if layers is not None:
        front = check_architecture(layers, [_read_statistics(each) for each in statistics])
        names = {layer.name for layer in layers}
        stray = [each.name for each in found if "/" not in each.name and each.name not in names]
        if ordered and stray:
            message = f"its model has no layer {stray[0]}, whose weights it holds"
            raise WeightsError(message)
    slots = _assign(found)
    in_place = [slots[spec.name] for spec in LAYERS]
    if ordered and in_place != found:
        held = ", ".join(layer.name for layer in found)
        message = f"its layers are in another order than the network's: {held}"
        raise WeightsError(message)
    for layer in in_place:
        for dataset in layer.datasets:
            _check_storage(layer.name, dataset)
    arrays = {}
    for spec in LAYERS:
        kernel, bias = slots[spec.name].datasets
        arrays[spec.name] = (
            finite_float32(spec, _values(kernel)),
            finite_float32(spec, _values(bias)),
        )
    return front, MappingProxyType(arrays)


def _part(everything: list[_Found], wanted: int) -> tuple[list[_Found], list[_Found]]:
    """Return as many statistics as are wanted, and the layers whose weights are the network's."""
    statistics: list[_Found] = []
    found: list[_Found] = []
    for each in everything:
        if len(statistics) < wanted and each.is_statistics:
            statistics.append(each)
        elif not each.is_state:
            found.append(each)
    return statistics, found


def _read_statistics(layer: _Found) -> Statistics:
    values = []
    for dataset in layer.datasets[:2]:
        _check_storage(layer.name, dataset)
        values.append(np.ravel(_values(dataset)).tolist())
    mean, variance = values
    return mean, variance


def _assign(found: list[_Found]) -> dict[str, _Found]:
    """Return the file's layer for each of ours; their shapes are right then."""
    slots: dict[str, _Found] = {}
    extra: list[_Found] = []
    # The four kernels differ in shape, so a layer in its right shape is known by it.  One in no
    # known shape is taken for the first that is still missing, so that the error can say both.
    for layer in found:
        spec = next((spec for spec in LAYERS if layer.shapes[:1] == (spec.kernel,)), None)
        if spec is None or spec.name in slots:
            extra.append(layer)
        else:
            slots[spec.name] = layer
    for spec in LAYERS:
        if spec.name not in slots and not extra:
            message = (
                f"it holds no weights for layer {spec.name}, expected {spec.kernel} and "
                f"{spec.bias}; it has {_listing(found) or 'none at all'}"
            )
            raise WeightsError(message)
        layer = slots[spec.name] if spec.name in slots else extra.pop(0)
        check_shapes(spec, layer.name, layer.shapes)
        slots[spec.name] = layer
    if extra:
        message = f"it has weights this network has no layer for: {_listing(extra)}"
        raise WeightsError(message)
    return slots


def _listing(layers: list[_Found]) -> str:
    return ", ".join(f"{layer.name} {layer.shapes}" for layer in layers[:8])


def _find(file: h5py.File) -> tuple[bool, list[_Found]]:
    """Return whether the file stores an order, and its layers that have weights, in order."""
    for group in (file, _child(file, "model_weights")):
        if isinstance(group, h5py.Group) and (names := _names(group, "layer_names")) is not None:
            names.append("top_level_model_weights")
            return True, list(_find_listed(group, names))
    for root in ("layers", "_layer_checkpoint_dependencies"):
        group = _child(file, root)
        if isinstance(group, h5py.Group) and (found := list(_walk(group, root, _MAX_DEPTH))):
            # The model's own variables, beside those of its layers: we expect none.
            found += _variables(file, "(the model itself)")
            return False, found
    held = ", ".join(list(file)[:8]) or "nothing"
    message = f"an HDF5 file without Keras weights: it holds {held}"
    raise WeightsError(message)


def _find_listed(group: h5py.Group, names: list[str]) -> Iterator[_Found]:
    for name in names:
        layer = _child(group, name)
        if layer is None and name == "top_level_model_weights":
            continue
        if not isinstance(layer, h5py.Group):
            message = f"it lists layer {name} but doesn't hold it; the file is damaged"
            raise WeightsError(message)
        # A model inside the model is listed as one layer that has the weights of all of its own.
        inner = [
            list(weights) for _, weights in groupby(_names(layer, "weight_names") or (), _parent)
        ]
        for weights in inner:
            datasets = (_dataset(layer, weight, name) for weight in weights)
            own = name if len(inner) == 1 else f"{name}/{_parent(weights[0])}"
            yield _Found(own, tuple(datasets))


def _walk(group: h5py.Group, path: str, depth: int) -> Iterator[_Found]:
    # Groups come sorted as text; a person's order of conv2d_2 and conv2d_10 is wanted.
    if depth == 0 or len(group) > _MAX_NAMES:
        message = f"{path} is nested too deep or has too many members to be this network"
        raise WeightsError(message)
    for name in sorted(group, key=_natural):
        child = _child(group, name)
        # The state of a dropout's random numbers is no weight.
        if isinstance(child, h5py.Group) and name not in ("vars", "seed_generator"):
            yield from _variables(child, f"{path}/{name}")
            yield from _walk(child, f"{path}/{name}", depth - 1)


def _variables(group: h5py.Group, name: str) -> list[_Found]:
    variables = _child(group, "vars")
    if not isinstance(variables, h5py.Group) or not len(variables):
        return []
    if len(variables) > _MAX_NAMES:
        message = f"{name} has too many weights to be of this network"
        raise WeightsError(message)
    datasets = (_dataset(variables, key, name) for key in sorted(variables, key=_natural))
    return [_Found(name, tuple(datasets))]


def _parent(weight: str) -> str:
    return weight.rpartition("/")[0]


def _natural(name: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)
    ]


def _child(group: h5py.Group, path: str) -> Any:
    """Return what ``path`` names below ``group``, or None; never by way of a link."""
    item: Any = group
    for part in path.split("/"):
        link = item.get(part, getlink=True) if isinstance(item, h5py.Group) and part else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            message = f"{path} is a link to another place, which is never followed"
            raise WeightsError(message)
        item = item[part]
    return item


def _dataset(group: h5py.Group, path: str, layer: str) -> Any:
    dataset = _child(group, path)
    if not isinstance(dataset, h5py.Dataset):
        message = f"layer {layer} lists the weight {path} but doesn't hold it; it is damaged"
        raise WeightsError(message)
    return dataset


def check_shapes(spec: LayerSpec, name: str, shapes: Sequence[tuple[int, ...] | None]) -> None:
    """Check a layer's kernel and bias shapes.

    Raises:
        WeightsError: they are others than the network's.

    """
    if tuple(shapes) != (spec.kernel, spec.bias):
        held = " and ".join(map(str, shapes[:8]))
        message = f"layer {spec.name} expects {spec.kernel} and {spec.bias}; {name} has {held}"
        raise WeightsError(message)


def _check_storage(layer: str, dataset: h5py.Dataset) -> None:
    if dataset.is_virtual or dataset.external:
        message = f"layer {layer} keeps its data in another file, which is never opened"
        raise WeightsError(message)
    half = _is_bfloat16(dataset)
    if dataset.dtype == np.dtype("V2") and not half:
        message = (
            f"layer {layer} holds 2-byte values of no type that the file names, as a legacy .h5 of "
            "bfloat16 does; load it in Keras with float32 and save it again"
        )
        raise WeightsError(message)
    if not half and (dataset.dtype.kind != "f" or dataset.dtype.itemsize not in (2, 4, 8)):
        message = f"layer {layer} holds {dataset.dtype}, not floating-point numbers"
        raise WeightsError(message)
    # A filter may unpack a few bytes to any size; Keras writes none.
    if dataset.id.get_create_plist().get_nfilters():
        message = f"layer {layer} is compressed, which Keras never does; save it again with Keras"
        raise WeightsError(message)


def _is_bfloat16(dataset: h5py.Dataset) -> bool:
    # HDF5 has no such type: Keras 3 writes its bytes and names it (saving_lib.H5Entry).
    return bool(dataset.dtype == np.dtype("V2") and "dtype" in dataset.attrs) and (
        _text(_attribute(dataset, "dtype")) == "bfloat16"
    )


def _values(dataset: h5py.Dataset) -> NDArray[Any]:
    values: NDArray[Any] = dataset[()]
    if _is_bfloat16(dataset):  # it is a float32's upper half
        return (values.view("<u2").astype("<u4") << 16).view("<f4")
    return values


def finite_float32(spec: LayerSpec, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return the values as float32, read-only.

    Raises:
        WeightsError: some are NaN or infinite.

    """
    with np.errstate(over="ignore"):
        array: NDArray[np.float32] = np.ascontiguousarray(values, dtype=np.float32)
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    if bad:
        message = f"layer {spec.name} has {bad} weights that are NaN or infinite"
        raise WeightsError(message)
    array.setflags(write=False)
    return array


def _attribute(item: h5py.Group | h5py.Dataset, name: str) -> Any:
    # What it claims to hold is looked at before room is made for it.
    identifier = item.attrs.get_id(name)
    count = math.prod(identifier.shape or ())
    if count > _MAX_NAMES or count * identifier.dtype.itemsize > _MAX_ATTRIBUTE_BYTES:
        message = f"its attribute {name} claims {count} values, too many to be this network"
        raise WeightsError(message)
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
    return [_text(name) for part in parts for name in np.ravel(_attribute(group, part))]


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _check_backend(file: h5py.File) -> None:
    for group in (file, _child(file, "model_weights")):
        if not isinstance(group, h5py.Group) or "backend" not in group.attrs:
            continue
        # Keras 2, legacy preprocess_weights_for_loading: of all backends this one alone did so.
        if _text(_attribute(group, "backend")).lower() == "theano":
            message = (
                "it was written with the Theano backend, whose convolutions have their kernels "
                "upside down; load it with Keras 2 on TensorFlow and save it again"
            )
            raise WeightsError(message)


def _read_config(file: h5py.File) -> str | bytes | None:
    """Return the model's description, or None from a file of weights only."""
    if "model_config" not in file.attrs:
        return None
    value = _attribute(file, "model_config")
    if not isinstance(value, str | bytes) or len(value) > MAX_CONFIG_BYTES:
        message = "its model_config is no text or too long; save the model again with Keras"
        raise WeightsError(message)
    return value


def _read_declared(file: h5py.File) -> Mapping[str, object] | None:
    if DECLARED not in file.attrs:
        return None
    value = _attribute(file, DECLARED)
    return parse_declared(_text(value if isinstance(value, bytes | str) else ""))


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
        message = f"what it declares ({DECLARED}) is damaged: {one_line(error)}"
        raise WeightsError(message) from error
    if not whole:
        message = f"what it declares ({DECLARED}) is not a contract, two labels and a threshold"
        raise WeightsError(message)
    return MappingProxyType(declared)


def one_line(error: BaseException) -> str:
    """Return an exception as one line of text."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
