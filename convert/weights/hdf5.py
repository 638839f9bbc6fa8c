"""Keras weights in an HDF5 file, checked and read in a process of its own.

Layers are taken by order and shape, never by a name that the file gives them, and nothing is read
before its shape is known to be right.
"""

from __future__ import annotations

import io
import json
import math
import re
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from convert.errors import WeightsError
from convert.network import LAYERS, LayerSpec

from .architecture import FOREIGN_NAMES, check_architecture, takes_statistics
from .declared import one_line, read_declared
from .description import MAX_CONFIG_BYTES, read_layers
from .layers import (
    StoredLayer,
    as_text,
    check_storage,
    child_of,
    find_layers,
    layer_names,
    read_attribute,
    read_values,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.network import Arrays, FrontLayer

    from .architecture import Statistics
    from .description import ConfigLayer

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""What an HDF5 file begins with (HDF5 File Format Specification, II.A)."""

_MAX_PROCESS_BYTES = 1 << 30
MAX_PARSE_S = 4
"""How long the HDF5 library may be at a file, in seconds of the processor; ours take 0.01."""


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
            declared = read_declared(file)
            _check_backend(file)
            config = text or _read_config(file)
            layers = None if config is None else read_layers(config)
            front, arrays = _read_arrays(file, layers)
            answer["bare"] = any(layer.bare for layer in layers or ())
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
    ordered, everything = find_layers(file)
    wanted = [layer for layer in layers or () if takes_statistics(layer)]
    statistics, found = _part(everything, wanted, ordered=ordered)
    front: tuple[FrontLayer, ...] = ()
    if layers is not None:
        front = check_architecture(
            layers, [_read_statistics(each) for each in statistics], _keras_version(file)
        )
    slots = _assign(found)
    if layers is None:
        _check_names(file)
    in_place = [slots[spec.name] for spec in LAYERS]
    # A description has told the order already; a model inside it lists frozen layers last.
    if ordered and layers is None and in_place != found:
        held = ", ".join(layer.name for layer in found)
        raise WeightsError(f"its layers are in another order than the network's: {held}")
    for layer in in_place:
        for dataset in layer.datasets:
            check_storage(layer.name, dataset)
    arrays = {}
    for spec in LAYERS:
        kernel, bias = slots[spec.name].datasets
        arrays[spec.name] = (
            finite_float32(spec, read_values(kernel)),
            finite_float32(spec, read_values(bias)),
        )
    return front, MappingProxyType(arrays)


def _check_names(file: h5py.File) -> None:
    """Check that no layer is called as Keras calls one that changes the answer and isn't ours.

    A file of weights says nothing else of a layer without weights.
    """
    for name in layer_names(file):
        if re.sub(r"_\d+$", "", name) in FOREIGN_NAMES:
            raise WeightsError(
                f"its layer {name} is called as Keras calls one that this network has not; if the "
                "network is the notebook's, give the whole model: model.save('model.keras')"
            )


def _part(
    everything: list[StoredLayer], wanted: list[ConfigLayer], *, ordered: bool
) -> tuple[list[StoredLayer], list[StoredLayer]]:
    """Return the statistics of the layers that want them, and what the network's weights are in."""
    by_name = {each.name: each for each in everything if each.is_statistics}
    if not ordered and all(layer.path in by_name for layer in wanted):
        statistics = [by_name[layer.path] for layer in wanted]
    elif not ordered and len(wanted) > 1 and any("/layers/" in layer.path for layer in wanted):
        raise WeightsError(
            f"{wanted[0]} and {wanted[1]}: the file doesn't say which of them has which mean and "
            "variance; put both in front of the model, or save it with Keras 3"
        )
    else:
        statistics = [each for each in everything if each.is_statistics][: len(wanted)]
    found = [each for each in everything if each not in statistics and not each.is_state]
    return statistics, found


def _read_statistics(layer: StoredLayer) -> Statistics:
    values = []
    for dataset in layer.datasets[:2]:
        check_storage(layer.name, dataset)
        values.append(np.ravel(read_values(dataset)).tolist())
    mean, variance = values
    return mean, variance


def _assign(found: list[StoredLayer]) -> dict[str, StoredLayer]:
    """Return the file's layer for each of ours; their shapes are right then."""
    slots: dict[str, StoredLayer] = {}
    extra: list[StoredLayer] = []
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
            raise WeightsError(
                f"it holds no weights for layer {spec.name}, expected {spec.kernel} and "
                f"{spec.bias}; it has {_listing(found) or 'none at all'}"
            )
        layer = slots[spec.name] if spec.name in slots else extra.pop(0)
        check_shapes(spec, layer.name, layer.shapes)
        slots[spec.name] = layer
    if extra:
        raise WeightsError(f"it has weights this network has no layer for: {_listing(extra)}")
    return slots


def _listing(layers: list[StoredLayer]) -> str:
    return ", ".join(f"{layer.name} {layer.shapes}" for layer in layers[:8])


def check_shapes(spec: LayerSpec, name: str, shapes: Sequence[tuple[int, ...] | None]) -> None:
    """Check a layer's kernel and bias shapes.

    Raises:
        WeightsError: they are others than the network's.

    """
    if tuple(shapes) != (spec.kernel, spec.bias):
        held = " and ".join(map(str, shapes[:8]))
        raise WeightsError(
            f"layer {spec.name} expects {spec.kernel} and {spec.bias}; {name} has {held}"
        )


def finite_float32(spec: LayerSpec, values: NDArray[Any]) -> NDArray[np.float32]:
    """Return the values as float32, read-only.

    Raises:
        WeightsError: some are NaN or infinite.

    """
    with np.errstate(over="ignore"):
        array: NDArray[np.float32] = np.ascontiguousarray(values, dtype=np.float32)
    bad = int(array.size - np.count_nonzero(np.isfinite(array)))
    if bad:
        raise WeightsError(f"layer {spec.name} has {bad} weights that are NaN or infinite")
    array.setflags(write=False)
    return array


def _keras_version(file: h5py.File) -> tuple[int, ...]:
    """Return what a whole model's file says of the Keras that wrote it, or the newest known."""
    text = as_text(read_attribute(file, "keras_version")) if "keras_version" in file.attrs else "3"
    return tuple(int(part) for part in re.findall(r"\d{1,4}", text)[:2])


def _check_backend(file: h5py.File) -> None:
    for group in (file, child_of(file, "model_weights")):
        if not isinstance(group, h5py.Group) or "backend" not in group.attrs:
            continue
        # Keras 2, legacy preprocess_weights_for_loading: of all backends this one alone did so.
        if as_text(read_attribute(group, "backend")).lower() == "theano":
            raise WeightsError(
                "it was written with the Theano backend, whose convolutions have their kernels "
                "upside down; load it with Keras 2 on TensorFlow and save it again"
            )


def _read_config(file: h5py.File) -> str | bytes | None:
    """Return the model's description, or None from a file of weights only."""
    if "model_config" not in file.attrs:
        return None
    value = read_attribute(file, "model_config")
    if not isinstance(value, str | bytes) or len(value) > MAX_CONFIG_BYTES:
        raise WeightsError(
            "its model_config is no text or too long; save the model again with Keras"
        )
    return value
