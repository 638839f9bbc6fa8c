"""Whether a Keras model is the notebook's network, which has a route of its own."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.network import INPUT_SIZE_WH, LAYERS, NETWORK, FrontLayer, LayerSpec, NotebookWeights

from .allowed import INERT

if TYPE_CHECKING:
    from collections.abc import Iterator

    import keras


def recognise(model: keras.Model) -> NotebookWeights | None:
    """Return what a model is made of if it is the notebook's network, layer for layer.

    In front may stand layers that scale the input; layers that do nothing when a model answers are
    passed over.  Whatever is not said in exactly this way is another model, which loses nothing:
    that is judged against itself.
    """
    line = _straight_line(model)
    if line is None or tuple(model.inputs[0].shape[1:]) != (*reversed(INPUT_SIZE_WH), 3):
        return None
    line = [layer for layer in line if not _is_inert(layer)]
    found, before = line[-len(NETWORK) :], line[: -len(NETWORK)]
    if len(found) != len(NETWORK) or not all(map(_is_same, NETWORK, found)):
        return None
    front = [each for layer in before for each in _front(layer)]
    if None in front:
        return None
    held = [layer.get_weights() for layer in found if layer.weights]
    arrays = {}
    for spec, (kernel, bias) in zip(LAYERS, held, strict=True):
        if (kernel.shape, bias.shape) != (spec.kernel, spec.bias):
            return None
        for array in (kernel, bias):
            array.setflags(write=False)
        arrays[spec.name] = (kernel, bias)
    return NotebookWeights(tuple(each for each in front if each), MappingProxyType(arrays))


def _straight_line(model: keras.Model) -> list[Any] | None:
    """Return the layers from input to output, each used once on the one before; None of others."""
    import keras

    tensor, line = model.inputs[0], []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        # Of a layer that is used twice Keras says neither.
        if isinstance(layer, keras.Model) or getattr(layer, "input", None) is not tensor:
            return None
        tensor = getattr(layer, "output", None)
        line.append(layer)
    return line if tensor is model.outputs[0] else None


def _is_inert(layer: Any) -> bool:
    import keras

    name = type(layer).__name__
    return name in INERT and type(layer) is getattr(keras.layers, name, None)


def _is_same(spec: LayerSpec, layer: Any) -> bool:
    import keras

    config = layer.get_config()
    return (
        type(layer) is getattr(keras.layers, spec.kind)
        and layer.dtype_policy.name == "float32"
        and not config.get("quantization_config")
        and not config.get("lora_rank")
        and all(config[key] == wanted for key, wanted in spec.settings.items())
    )


def _front(layer: Any) -> Iterator[FrontLayer | None]:
    """Yield what a layer that scales the input does; nothing if it does nothing, None if more."""
    import keras

    settings: dict[str, Any] = {}
    if layer.dtype_policy.name != "float32":
        yield None
    elif type(layer) is keras.layers.Rescaling:
        settings = {"scale": _three(layer.scale), "offset": _three(layer.offset)}
        if settings == {"scale": [1.0] * 3, "offset": [0.0] * 3}:
            return
        known = None not in settings.values() and 0.0 not in settings["scale"]
        yield FrontLayer(layer.name, "Rescaling", settings) if known else None
    elif type(layer) is keras.layers.Normalization:
        settings = {"mean": _three(layer.mean), "variance": _three(layer.variance)}
        known = None not in settings.values() and min(settings["variance"]) >= 0
        settings |= {"axis": -1, "invert": layer.invert}
        yield FrontLayer(layer.name, "Normalization", settings) if known else None
    else:
        yield None


def _three(value: Any) -> list[float] | None:
    """Return a number for each channel, or None."""
    array = np.asarray(value, np.float64)
    if array.size not in (1, 3) or array.shape[-1:] not in ((), (1,), (3,)):
        return None
    return [float(number) for number in np.broadcast_to(array.ravel(), (3,))]
