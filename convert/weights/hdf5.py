"""The weights of the notebook's network from an HDF5 file that says nothing but weights.

Layers are taken by order and shape, never by a name that the file gives them, and nothing is read
before its shape is known to be right.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from convert.errors import WeightsError
from convert.network import LAYERS, LayerSpec

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
from .plan import MAX_CONFIG_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.network import Arrays

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""What an HDF5 file begins with (HDF5 File Format Specification, II.A)."""

_FOREIGN_NAMES = frozenset(
    "average_pooling2d global_average_pooling2d global_max_pooling2d "  # noqa: SIM905
    "adaptive_average_pooling2d adaptive_max_pooling2d zero_padding2d cropping2d up_sampling2d "
    "center_crop resizing random_crop leaky_re_lu p_re_lu elu thresholded_re_lu softmax lambda "
    "rescaling normalization batch_normalization layer_normalization group_normalization "
    "rms_normalization unit_normalization spectral_normalization permute reshape repeat_vector "
    "masking add average concatenate dot maximum minimum multiply subtract time_distributed "
    "depthwise_conv2d separable_conv2d conv2d_transpose equalization solarization auto_contrast "
    "contrast_limited_adaptive_histogram_equalization tf_op_lambda".split()
)
"""What Keras calls a layer by itself (utils.naming) that changes the answer and isn't ours."""


def read_arrays(file: h5py.File) -> Arrays:
    """Return the weights of the notebook's network from a file that says nothing but weights.

    Raises:
        WeightsError: a layer is missing, too many, of the wrong shape, kind or order.

    """
    ordered, everything = find_layers(file)
    found = [each for each in everything if not each.is_state]
    try:
        slots = _assign(found)
    except WeightsError as error:
        raise WeightsError(
            f"{error}; if it is of another network than the notebook's, give the whole model, as "
            "model.save('model.keras') writes it, or --architecture"
        ) from error
    _check_names(file)
    in_place = [slots[spec.name] for spec in LAYERS]
    if ordered and in_place != found:
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
    return MappingProxyType(arrays)


def is_legacy(file: h5py.File) -> bool:
    """Return whether it is in the layout of Keras 1 and 2, which lists its layers in order."""
    groups = (file, child_of(file, "model_weights"))
    return any(isinstance(each, h5py.Group) and "layer_names" in each.attrs for each in groups)


def _check_names(file: h5py.File) -> None:
    """Check that no layer is called as Keras calls one that changes the answer and isn't ours.

    A file of weights says nothing else of a layer without weights.
    """
    for name in layer_names(file):
        if re.sub(r"_\d+$", "", name) in _FOREIGN_NAMES:
            raise WeightsError(
                f"its layer {name} is called as Keras calls one that this network has not; if the "
                "network is the notebook's, give the whole model: model.save('model.keras')"
            )


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


def check_backend(file: h5py.File) -> None:
    """Check that a file was not written with Theano.

    Raises:
        WeightsError: it was.

    """
    for group in (file, child_of(file, "model_weights")):
        if not isinstance(group, h5py.Group) or "backend" not in group.attrs:
            continue
        # Keras 2, legacy preprocess_weights_for_loading: of all backends this one alone did so.
        if as_text(read_attribute(group, "backend")).lower() == "theano":
            raise WeightsError(
                "it was written with the Theano backend, whose convolutions have their kernels "
                "upside down; load it with Keras 2 on TensorFlow and save it again"
            )


def read_config(file: h5py.File) -> str | None:
    """Return the model's description, or None from a file of weights only.

    Raises:
        WeightsError: it is no text, or too long.

    """
    if "model_config" not in file.attrs:
        return None
    value = read_attribute(file, "model_config")
    if not isinstance(value, str | bytes) or len(value) > MAX_CONFIG_BYTES:
        raise WeightsError(
            "its model_config is no text or too long; save the model again with Keras"
        )
    return as_text(value)
