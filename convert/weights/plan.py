"""From what a file says of its model to a plan of it, of which every part has been let through.

Two forms are known: ``model_config``, the root attribute of an HDF5 file (Keras 2 and 3), and
``config.json`` in a ``.keras`` archive, which is also what ``model.to_json()`` writes.  They are
read as text; nothing is imported, looked up or called for a name that they hold.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.errors import WeightsError
from edge.errors import shown

from .declared import one_line
from .rules import input_shape, operand
from .settings import layer_settings, let_through, operation_settings, own_class

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MAX_CONFIG_BYTES = 8 << 20
"""Keras writes 1.3 kB a layer: 1 MB for an EfficientNetB7."""

_MAX_DEPTH = 8
_MAX_LAYERS = 2000
_MODELS = ("Sequential", "Functional", "Model")


@dataclass(frozen=True, slots=True)
class Reference:
    """What a call of a layer of the same model gives."""

    name: str
    call: int


@dataclass(frozen=True, slots=True)
class Step:
    """A layer, an operation between layers, or a model inside the model."""

    name: str
    kind: str
    """A class of ``keras.layers``; with a dot, a function below ``keras``."""
    settings: Mapping[str, Any]
    """For its constructor or function; of an input, only its ``shape`` without the batch."""
    calls: tuple[tuple[Any, ...], ...] = ()
    """To each call its inputs: :class:`Reference` s and numbers; none in a Sequential model."""
    trainable: bool = True
    """Keras 2 and 3 keep the weights of a frozen layer inside a model behind the others."""
    inside: Plan | None = None
    bare: bool = False
    """Whether its class is said by its last name alone, which a class of anybody's may have."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A model: all that is needed to build it, and nothing else of the file."""

    name: str
    sequential: bool
    steps: tuple[Step, ...]
    output: Reference | None = None
    """Of a Functional model."""
    trainable: bool = True

    @property
    def bare(self) -> bool:
        """Whether a class in it is said without its module."""
        return any(
            step.bare or (step.inside is not None and step.inside.bare) for step in self.steps
        )


def read_plan(text: str | bytes, keras_version: str = "3") -> Plan:
    """Return the plan of a model that a file describes.

    Raises:
        WeightsError: the text is too long or no JSON, or describes something else than a
            Sequential or Functional model of one input and one output from layers and settings of
            :mod:`.allowed`; the message names the layer and the model it is in.

    """
    if len(text) > MAX_CONFIG_BYTES:
        raise WeightsError(f"its description of the model has {len(text):,} bytes, too many")
    try:
        if isinstance(text, bytes):
            text = text.decode()
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
        return _Reader(keras_version).model(document, "", _MAX_DEPTH)
    except WeightsError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"its description of the model is damaged ({one_line(error)[:120]}); save the model "
            "again with Keras"
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that is there twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


class _Reader:
    """Walks a description; counts its layers."""

    def __init__(self, keras_version: str) -> None:
        if keras_version.startswith("1."):
            raise WeightsError(
                f"it was saved by Keras {keras_version[:20]}, which today's Keras can't read; open "
                "it with Keras 2 and save it again"
            )
        self._version = keras_version
        self._count = 0

    def model(self, item: Mapping[str, Any], inside: str, depth: int) -> Plan:
        """Return the plan of a model; ``inside`` says in messages where it is."""
        if depth == 0:
            raise ValueError("models inside models, too deep")
        kind, config = own_class(item, inside), item["config"]
        if kind not in _MODELS:
            raise WeightsError(
                f"the model is of class {shown(kind)}: what it computes is in the program that "
                "made it, not in the file; only Sequential and Functional models can be read"
            )
        # Early releases of Keras 2 wrote a Sequential's layers as a list.
        config = {"layers": config} if isinstance(config, list) else config
        layers = config["layers"]
        self._count += len(layers)
        if self._count > _MAX_LAYERS:
            raise WeightsError(f"the model has more than {_MAX_LAYERS:,} layers")
        names = [_name(layer) for layer in layers]
        if len(set(names)) < len(names):
            doubled = next(name for name in names if names.count(name) > 1)
            raise WeightsError(f"two layers are called {shown(doubled)}; the file is damaged")
        # A model inside another may not say its name but in its config.
        name = str(config.get("name") or "model")
        steps = [self._step(layer, inside, depth) for layer in layers]
        trainable = config.get("trainable") is not False
        if kind == "Sequential":
            start = _sequential_input(config, layers, inside)
            return Plan(name, True, (*start, *steps), trainable=trainable)  # noqa: FBT003
        graph = _Graph(dict(zip(names, steps, strict=True)), inside)
        wired = tuple(graph.wired(step, layer) for step, layer in zip(steps, layers, strict=True))
        first = graph.only(config["input_layers"], "inputs")
        if [step.name for step in steps if step.kind == "InputLayer"] != [first.name]:
            raise WeightsError(f"{_the_model(inside)} has other inputs than {shown(first.name)}")
        output = graph.only(config["output_layers"], "outputs")
        return Plan(name, False, wired, output, trainable)  # noqa: FBT003

    def _step(self, layer: Mapping[str, Any], inside: str, depth: int) -> Step:
        name, kind, config = _name(layer), own_class(layer, inside), layer["config"]
        if kind in _MODELS:
            place = f"{inside}, in {shown(name)}" if inside else f" in {shown(name)}"
            plan = self.model(layer, place, depth - 1)
            return Step(name, kind, {}, trainable=plan.trainable, inside=plan)
        if not isinstance(config, dict):
            raise TypeError(f"layer {shown(name)} has no settings")
        where = f"layer {shown(name)} ({kind if kind.isidentifier() else shown(kind)}){inside}"
        module = layer.get("module")
        if isinstance(module, str) and re.search(r"\.(ops|activations)\b", module):
            function, settings = operation_settings(module, kind, config, where)
            return Step(name, function, settings)
        kind, settings = layer_settings(kind, config, where, self._version)
        trainable = config.get("trainable") is not False
        bare = "module" not in layer
        return Step(name, kind, settings, trainable=trainable, bare=bare)


def _sequential_input(config: Mapping[str, Any], layers: Sequence[Any], inside: str) -> list[Step]:
    """Return the input that a Sequential model doesn't list as a layer, if it says one."""
    first = layers[0] if layers else {}
    if first.get("class_name") == "InputLayer":
        return []
    own = first.get("config")
    own = own if isinstance(own, dict) else {}
    shape = (
        own.get("batch_input_shape") or own.get("batch_shape") or config.get("build_input_shape")
    )
    if not shape:
        return []
    # An inner model's first layer is an inner model: that says its own input.
    return [
        Step(
            "input", "InputLayer", {"shape": let_through(input_shape, shape, f"the input{inside}")}
        )
    ]


def _the_model(inside: str) -> str:
    return f"the model{inside}"


def _name(layer: Mapping[str, Any]) -> str:
    config = layer.get("config")
    name = layer.get("name") or (config.get("name") if isinstance(config, dict) else None)
    name = name or layer["class_name"]
    if not isinstance(name, str) or len(name) > 300:
        raise TypeError("a layer's name that is no text, or too long")
    return name


class _Graph:
    """The wiring of a Functional model's layers."""

    def __init__(self, steps: Mapping[str, Step], inside: str) -> None:
        self._steps, self._inside = steps, inside

    def only(self, value: Any, what: str) -> Reference:
        """Return the one thing that ``input_layers`` or ``output_layers`` refers to."""
        found = list(_references(value))
        if len(found) != 1:
            raise WeightsError(
                f"{_the_model(self._inside)} has {len(found)} {what}, not one; build it with one "
                f"of them: keras.Model(input, output)"
            )
        return self._reference(found[0])

    def wired(self, step: Step, layer: Mapping[str, Any]) -> Step:
        """Return a step with the inputs of its calls."""
        nodes = layer.get("inbound_nodes") or []
        if step.inside is not None and len(nodes) != 1:
            raise WeightsError(
                f"model {shown(step.name)}{self._inside} is used {len(nodes)} times, not once"
            )
        calls = tuple(self._inputs(node, step) for node in nodes)
        return Step(
            step.name, step.kind, step.settings, calls, step.trainable, step.inside, step.bare
        )

    def _inputs(self, node: Any, step: Step) -> tuple[Any, ...]:
        operands: list[Any]
        if isinstance(node, dict):  # Keras 3
            args, kwargs = node["args"], dict(node["kwargs"])
            operands = args[0] if len(args) == 1 and isinstance(args[0], list) else args
        else:  # Keras 2: [layer, call, output, arguments of the call] each
            entries = [node] if isinstance(node[0], str) else node
            operands = [{"keras_history": entry[:3]} for entry in entries]
            kwargs = {key: value for entry in entries for key, value in (*entry[3:], {})[0].items()}
        # Keras' image layers write training=True by themselves, and whoever asks overrides it.  Of
        # a dropout, a normalisation or a model a person means it who says so.
        if step.inside is None and step.kind not in ("Identity", "BatchNormalization"):
            kwargs.pop("training", None)
        if kwargs := {key: value for key, value in kwargs.items() if value not in (None, False)}:
            raise WeightsError(
                f"layer {shown(step.name)}{self._inside} is called with {shown(kwargs)}, which "
                "changes what it does; build the model without it"
            )
        found = tuple(self._operand(value, step) for value in operands)
        if not any(isinstance(each, Reference) for each in found):
            raise WeightsError(f"layer {shown(step.name)}{self._inside} is called on nothing")
        return found

    def _operand(self, value: Any, step: Step) -> Any:
        if isinstance(value, dict):
            config = value["config"] if value.get("class_name") == "__keras_tensor__" else value
            if isinstance(config, dict) and "keras_history" in config:
                return self._reference(config["keras_history"])
        if "." not in step.kind:
            raise WeightsError(
                f"layer {shown(step.name)}{self._inside} is called on {shown(value)}, not on "
                "another layer's output"
            )
        return let_through(operand, value, f"layer {shown(step.name)}{self._inside}: its operand")

    def _reference(self, entry: Sequence[Any]) -> Reference:
        """Return what ``[name, call, output]`` refers to."""
        name, call, output = entry[:3]
        step = self._steps[name]
        if type(call) is not int or not 0 <= call < 1 << 16 or output != 0:
            raise ValueError(f"layer {shown(name)} has no output {shown(entry)}")
        # Some count the call by which a model inside was built, some don't; it is used once.
        return Reference(name, 0 if step.inside is not None and call <= 1 else call)


def _references(value: Any) -> Iterator[Any]:
    """Yield what ``input_layers`` or ``output_layers`` refers to, however nested."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list) and value and isinstance(value[0], str):
        yield value
    else:
        for each in value:
            yield from _references(each)
