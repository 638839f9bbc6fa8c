"""What a Keras model file says of its model, read as data: a straight line of layers, or refused.

Two forms are known: ``model_config``, the root attribute of an HDF5 file (Keras 1 to 3), and
``config.json`` in a ``.keras`` archive.  Class names are compared with text and nothing else, so
nothing in a file can name code that would run.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.errors import WeightsError
from edge.errors import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_CONFIG_BYTES = 1 << 20
"""No description of this network comes near: its own has 6 kB."""

_MAX_DEPTH = 8
_MAX_LAYERS = 256
_MODELS = ("Sequential", "Functional", "Model")
# Keras 1 called some layers and settings by other names.
_CLASSES = {"Convolution2D": "Conv2D", "MaxPool2D": "MaxPooling2D"}
_SETTINGS = {
    "nb_filter": "filters",
    "subsample": "strides",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "output_dim": "units",
    "bias": "use_bias",
    "init": "kernel_initializer",
}
# Of these a person means it who says training=True: Monte Carlo dropout.
_NOISY = ("Dropout", "Dropout1D", "Dropout2D", "Dropout3D", "Noise")
_OPERATIONS = ("Relu", "Sigmoid")  # of keras.ops: they stand in a Functional model alone
_KERAS = re.compile(
    r"((tensorflow\.(python\.)?|tf_)?keras(?P<inner>\.src|\.engine)?(\.[\w.]+)?|builtins)\Z"
)
_DATA_FORMATS = {"tf": "channels_last", "th": "channels_first"}


@dataclass(frozen=True, slots=True)
class ConfigLayer:
    """One layer as the file describes it."""

    name: str
    kind: str
    """Its class, in the words of Keras 2 and 3."""
    config: Mapping[str, Any]
    path: str = ""
    """Where Keras 3 keeps its weights: ``layers/sequential/layers/normalization``."""
    bare: bool = False
    """Whether its class is said by its last name alone, which a class of anybody's may have."""

    def __str__(self) -> str:
        """Return it as a person would call it."""
        kind = self.kind if self.kind.isidentifier() else shown(self.kind)
        return f"layer {shown(self.name)} ({kind})"


def read_layers(text: str | bytes) -> list[ConfigLayer]:
    """Return the layers of a model in the order in which they are computed.

    Models inside the model are taken apart.

    Raises:
        WeightsError: the text is too long or no JSON, or describes no straight line of Keras' own
            layers from one input to one output, each used once.

    """
    if len(text) > MAX_CONFIG_BYTES:
        raise WeightsError(f"its description of the model has {len(text):,} bytes, too many")
    try:
        if isinstance(text, bytes):
            text = text.decode()
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
        return list(_walk(document, _MAX_DEPTH, ""))
    except WeightsError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise WeightsError(
            f"its description of the model is damaged ({what}); save the model again with Keras"
        ) from error


def own_class(item: Mapping[str, Any]) -> str:
    """Return the class that a serialised object says it is of.

    Raises:
        WeightsError: it is a class of somebody's program, whose name alone says nothing.

    """
    kind, registered = item.get("class_name"), item.get("registered_name")
    if not isinstance(kind, str):
        raise TypeError("a layer without class_name")
    # Of a class of __main__ Keras writes that its module is null; an .h5 of layers has no module.
    # Only what it doesn't export it writes as registered (serialization_lib of Keras 2 and 3).
    module = item.get("module", "keras")
    known = isinstance(module, str) and _KERAS.match(module)
    expected = (None, kind) if (known and known["inner"]) or "module" not in item else (None,)
    if not known or registered not in expected:
        raise WeightsError(
            f"layer {shown(_name(item))} is of class {shown(registered or kind)}, which is none of "
            "Keras itself: what it computes is in the program that made it"
        )
    return _CLASSES.get(kind, kind)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that is there twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _walk(model: Any, depth: int, path: str) -> Iterator[ConfigLayer]:
    """Yield the layers of a model and of those inside it."""
    if depth == 0:
        raise ValueError("models inside models, too deep")
    kind, config = own_class(model), model["config"]
    if kind not in _MODELS:
        raise WeightsError(
            f"the model is of class {shown(kind)}: what it computes is in the program that made "
            "it, not in the file; only Sequential and Functional models can be read"
        )
    # Keras 1 and early 2 wrote a Sequential's layers as a list.
    layers = config if isinstance(config, list) else config["layers"]
    names = [_name(layer) for layer in layers]
    if len(names) > _MAX_LAYERS:
        raise WeightsError(f"the model has {len(names):,} layers; the network has a few")
    if doubled := next((name for name in names if names.count(name) > 1), None):
        raise WeightsError(f"two layers are called {shown(doubled)}; the file is damaged")
    paths = dict(zip(names, _paths(path, layers), strict=True))
    if kind != "Sequential":
        layers = _line(config, dict(zip(names, layers, strict=True)))
    elif isinstance(config, dict) and (shape := config.get("build_input_shape")):
        yield ConfigLayer(str(config.get("name")), "InputLayer", {"batch_shape": shape})
    for layer in layers:
        name, own = _name(layer), own_class(layer)
        if own in _MODELS:
            yield from _walk(layer, depth - 1, f"{paths[name]}/")
            continue
        if own in _OPERATIONS and kind == "Sequential":
            raise WeightsError(f"layer {shown(name)} is of class {own}, which is no layer of Keras")
        settings = _renamed(layer["config"])
        yield ConfigLayer(name, own, settings, paths[name], bare="module" not in layer)


def _paths(parent: str, layers: Sequence[Any]) -> Iterator[str]:
    """Yield where each layer's weights are (Keras 3, saving_lib._save_container_state)."""
    counts: Counter[str] = Counter()
    for layer in layers:
        name = own_class(layer).lower()  # of the kinds that are looked up
        yield f"{parent}layers/{name}" + (f"_{counts[name]}" if counts[name] else "")
        counts[name] += 1


def _name(layer: Mapping[str, Any]) -> str:
    config = layer.get("config")
    name = layer.get("name") or (config.get("name") if isinstance(config, dict) else None)
    return str(name or layer["class_name"])


def _renamed(config: Mapping[str, Any]) -> dict[str, Any]:
    found = {_SETTINGS.get(key, key): value for key, value in config.items()}
    if "nb_row" in found and "nb_col" in found:
        found["kernel_size"] = [found.pop("nb_row"), found.pop("nb_col")]
    data_format = found.get("data_format")
    if isinstance(data_format, str):
        found["data_format"] = _DATA_FORMATS.get(data_format, data_format)
    return found


def _line(config: Mapping[str, Any], layers: Mapping[str, Any]) -> list[Any]:
    """Return a Functional model's layers from its input to its output."""
    first, last = (
        _reference(_only(list(_references(config[key])), "the model", f"{key[:-7]}s"), layers)
        for key in ("input_layers", "output_layers")
    )
    line, name = [], last
    while name not in line:
        line.append(name)
        who, nodes = f"layer {shown(name)}", layers[name].get("inbound_nodes") or []
        if not nodes:
            break
        node = _only(nodes, who, "uses")
        name = _reference(_only(_inputs(node, layers[name]), who, "inputs"), layers)
    if line[-1] != first:
        raise WeightsError(
            f"the line of layers begins with {shown(line[-1])}, not with the input {shown(first)}"
        )
    if aside := [name for name in layers if name not in line]:
        raise WeightsError(f"layer {shown(aside[0])} is beside the line from input to output")
    return [layers[name] for name in reversed(line)]


def _only(found: Sequence[Any], who: str, what: str) -> Any:
    if len(found) != 1:
        raise WeightsError(f"{who} has {len(found)} {what}, not one; it must be a straight line")
    return found[0]


def _inputs(node: Any, layer: Mapping[str, Any]) -> list[Any]:
    """Return the references to what a call of a layer takes as its input."""
    if isinstance(node, dict):  # Keras 3
        args, kwargs = node["args"], dict(node["kwargs"])
        # Its image layers write training=True by themselves, and predict() overrides it.
        kind = own_class(layer)
        if kind not in _MODELS and not kind.endswith(_NOISY):
            kwargs.pop("training", None)
        extra = args[1:]
        found = list(_tensors(args[:1]))
    else:  # Keras 1 and 2: [layer, node, tensor, arguments of the call] each
        found = [node] if isinstance(node[0], str) else node
        kwargs = {key: value for entry in found for key, value in (*entry[3:], {})[0].items()}
        extra = [entry[4:] for entry in found if entry[4:]]
    # Nothing else that a call can be given leaves the layer's answer as it is.
    kwargs = {key: value for key, value in kwargs.items() if value not in (None, False)}
    if kwargs or extra:
        raise WeightsError(
            f"layer {shown(_name(layer))} is called with {shown(kwargs or extra)}, which changes "
            "what it does; build the model without it"
        )
    return found


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        yield value["config"]["keras_history"]
    else:
        raise WeightsError(f"a layer is called on {shown(value)}, not on another layer's output")


def _references(value: Any) -> Iterator[Any]:
    """Yield what ``input_layers`` or ``output_layers`` refers to, however nested."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list) and value and isinstance(value[0], str):
        yield value
    else:
        for each in value:
            yield from _references(each)


def _reference(entry: Sequence[Any], layers: Mapping[str, Any]) -> str:
    """Return the name of the layer that ``[name, call, output]`` refers to."""
    name, call, output = entry[:3]
    # A model inside counts the call by which it was built.
    calls = (0, 1) if own_class(layers[name]) in _MODELS else (0,)
    if call not in calls or output != 0:
        raise WeightsError(f"layer {shown(name)} is used more than once or has several outputs")
    return str(name)
