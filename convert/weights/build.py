"""Builds the Keras model of a plan, layer by layer; none of Keras' own deserialisers is called."""

from __future__ import annotations

import inspect
import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from convert.errors import WeightsError
from edge.errors import shown

from .allowed import LAYERS
from .declared import one_line
from .plan import Reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import keras
    import numpy as np
    from numpy.typing import NDArray

    from .plan import Plan, Step

MAX_PARAMETERS = 64 << 20
"""No file that is read holds more: 4 bytes each."""
_MAX_VALUES = 1 << 28
"""Of what a layer gives for one picture: 1 GiB in float32."""
_USUAL_SIDE = 224
"""Counted for a side that the model leaves open."""


class Unloaded:
    """Begins all weights as NaN, so that one that isn't loaded is seen; not more than fit."""

    def __init__(self) -> None:
        self._left = MAX_PARAMETERS

    def __call__(self, shape: Sequence[int], dtype: Any = None, **_: Any) -> Any:
        """Return NaN of a shape, as Keras asks an initialiser for."""
        import keras

        self._left -= math.prod(shape)
        if self._left < 0:
            raise WeightsError(f"it has more than {MAX_PARAMETERS:,} weights; no file holds those")
        return keras.ops.full(shape, math.nan, dtype)

    def get_config(self) -> dict[str, Any]:
        """Return nothing: Keras asks for it when a layer is asked for its settings."""
        return {}


def build(plan: Plan, initializer: Unloaded | str) -> keras.Model:
    """Build a model, float32 (batch, height, width, channels) in.

    Args:
        plan: what it is made of.
        initializer: begins its weights.

    Raises:
        WeightsError: Keras can't build it, or it is too large.

    """
    try:
        model = _build(plan, initializer)
        for layer in layers_of(model):
            _check_size(layer.name, getattr(layer, "output", None))
    except WeightsError:
        raise
    except Exception as error:  # Keras answers a model that is none with nearly every one
        raise WeightsError(f"Keras can't build its model: {one_line(error)}") from error
    if not model.built:
        raise WeightsError(
            "its model doesn't say the shape of its input; build it with keras.Input((height, "
            "width, 3)) and save it again"
        )
    return model


def set_weights(model: keras.Model, arrays: list[NDArray[np.float32]]) -> None:
    """Give a model its weights, in the order of ``model.weights``."""
    import keras

    model.set_weights(arrays)
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.finalize_state()


def layers_of(model: keras.Model) -> Iterator[Any]:
    """Yield all layers, also those of models inside the model."""
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from layers_of(layer)


def _build(plan: Plan, initializer: Unloaded | str) -> Any:
    import keras

    about = {"name": _plain(plan.name, "model"), "trainable": plan.trainable}
    made = {
        step.name: _make(step, _plain(step.name, f"layer-{number}"), initializer)
        for number, step in enumerate(plan.steps)
    }
    if plan.sequential:
        return keras.Sequential(list(made.values()), **about)
    start = next(made[step.name].output for step in plan.steps if step.kind == "InputLayer")
    values = {Reference(step.name, 0): start for step in plan.steps if step.kind == "InputLayer"}
    waiting = [
        (Reference(step.name, number), step, inputs)
        for step in plan.steps
        for number, inputs in enumerate(step.calls)
    ]
    while waiting:
        later = []
        for reference, step, inputs in waiting:
            if all(each in values for each in inputs if isinstance(each, Reference)):
                given = [values[each] if isinstance(each, Reference) else each for each in inputs]
                values[reference] = _call(made[step.name], given, step)
            else:
                later.append((reference, step, inputs))
        if len(later) == len(waiting):
            name = shown(later[0][1].name)
            raise WeightsError(f"layer {name} waits for what no layer gives; the file is damaged")
        waiting = later
    if plan.output not in values:
        raise WeightsError("its output is of no layer; the file is damaged")
    return keras.Model(start, values[plan.output], **about)


def _plain(name: str, instead: str) -> str:
    """Return a name that TensorFlow takes for a scope."""
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.]*", name) else instead


def _make(step: Step, name: str, initializer: Unloaded | str) -> Any:
    import keras

    if step.inside is not None:
        return _build(step.inside, initializer)
    settings = dict(step.settings)
    if "." in step.kind:
        module, function = step.kind.split(".")
        return partial(getattr(getattr(keras, module), function), **settings)
    if step.kind == "InputLayer":
        return keras.layers.InputLayer(batch_shape=(None, *settings["shape"]), name=name)
    if isinstance(settings.get("activation"), tuple):
        kind, inner = settings["activation"]
        settings["activation"] = getattr(keras.layers, kind)(**inner, dtype="float32")
    made = getattr(keras.layers, "Identity" if step.kind == "Augmentation" else step.kind)
    begin = {
        key: initializer
        for key in inspect.signature(made).parameters
        if key.endswith("_initializer")
    }
    about = {"name": name, "trainable": step.trainable, "dtype": "float32"}
    return made(**settings, **begin, **about)


def _call(layer: Callable[..., Any], given: list[Any], step: Step) -> Any:
    if "." in step.kind:
        value = layer(*given)
    elif step.inside is None and LAYERS.get(step.kind, LAYERS["Dense"]).many:
        value = layer(given)
    elif len(given) == 1:
        value = layer(given[0])
    else:
        raise WeightsError(f"layer {shown(step.name)} has {len(given)} inputs, not one")
    _check_size(step.name, value)
    return value


def _check_size(name: str, value: Any) -> None:
    shape = getattr(value, "shape", (1,))[1:]
    if math.prod(_USUAL_SIDE if side is None else side for side in shape) > _MAX_VALUES:
        raise WeightsError(f"layer {shown(name)} gives {shape} values, too many")
