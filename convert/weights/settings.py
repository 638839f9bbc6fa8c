"""Holds a layer that a file describes to :mod:`.allowed`, and returns of it only what may go on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from convert.errors import WeightsError
from edge.errors import shown

from .allowed import ACTIVATIONS, AUGMENTATIONS, INERT, LAYERS, OPERATIONS
from .rules import input_shape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .rules import Rule

_KERAS = re.compile(
    r"((tensorflow\.(python\.)?|tf_)?keras(?P<inner>\.src|\.engine)?(\.[\w.]+)?|builtins)\Z"
)
_KERAS_1 = ("nb_filter", "border_mode", "dim_ordering", "output_dim", "W_regularizer")
_PASSED_OVER = re.compile(
    # What no answer depends on: how the weights began and were trained.  None of it is read.
    r".*_(initializer|regularizer|constraint)|(renorm_)?momentum|name|trainable|dtype|autocast|"
    # Of a first layer; the model's input is checked where it stands.
    r"batch_input_shape|batch_shape|input_shape|shape|input_dtype|input_dim"
)
_INERT_ALSO = ("seed", "noise_shape", "data_format")
_CODE = ("Lambda", "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "TorchModuleWrapper")
_OPERATION_NAMES = frozenset(kind for _, kind in OPERATIONS)
_ACTIVATION_LAYERS = ("Activation", "ReLU", "LeakyReLU", "ELU", "Softmax")


def own_class(item: Mapping[str, Any], inside: str = "") -> str:
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
    if not known or registered not in expected or known[0] == "builtins":
        config = item.get("config")
        name = item.get("name") or (config.get("name") if isinstance(config, dict) else None)
        raise WeightsError(
            f"layer {shown(name or kind)}{inside} is of class {shown(registered or kind)}, which "
            "is none of Keras itself: what it computes is in the program that made it"
        )
    return kind


def layer_settings(
    kind: str, config: Mapping[str, Any], where: str, keras_version: str
) -> tuple[str, dict[str, Any]]:
    """Return what is built of a layer, and with which settings.

    Args:
        kind: its class.
        config: what the file says of it.
        where: the layer in the words of a message.
        keras_version: of the Keras that wrote the file.

    Raises:
        WeightsError: the class, a setting or a value is not among those that are allowed.

    """
    if any(key in config for key in _KERAS_1):
        raise WeightsError(
            f"{where}: it was saved by Keras 1, which today's Keras can't read; open it with "
            "Keras 2 and save it again"
        )
    _check_precision(config.get("dtype"), where)
    if kind == "InputLayer":
        _check_known(config, (), LAYERS[kind].fixed, where)
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        return kind, {"shape": let_through(input_shape, shape, f"{where}: its shape")}
    _check_class(kind, config, where)
    if kind in INERT:
        written = INERT[kind].split()
        if kind not in AUGMENTATIONS:
            _check_known(config, (*written, *_INERT_ALSO), {}, where)
        _check_written(config, written, where)
        return "Augmentation" if kind in AUGMENTATIONS else "Identity", {}
    known = LAYERS[kind]
    given = {known.names.get(key, key): value for key, value in config.items()}
    _check_known(given, known.rules, known.fixed, where)
    _check_written(given, [key for key in known.rules if key not in known.optional], where)
    settings = {}
    for key, rule in known.rules.items():
        if key == "activation":
            settings[key] = _activation(given[key], where, keras_version)
        elif key in given:
            settings[key] = let_through(rule, given[key], f"{where}: its {key}")
    return kind, settings


def operation_settings(
    module: str, kind: str, config: Mapping[str, Any], where: str
) -> tuple[str, dict[str, Any]]:
    """Return the function below ``keras`` that an operation between layers is, and its settings.

    Raises:
        WeightsError: the operation, a setting or a value is not among those that are allowed.

    """
    known = OPERATIONS.get((module.rpartition(".")[2], kind))
    if known is None:
        raise WeightsError(f"{where}: {_why_not(kind)}")
    function, rules = known
    _check_known(config, rules, {}, where)
    return function, {
        key: let_through(rule, config[key], f"{where}: its {key}")
        for key, rule in rules.items()
        if key in config
    }


def _check_class(kind: str, config: Mapping[str, Any], where: str) -> None:
    if kind in _OPERATION_NAMES and "trainable" not in config:
        raise WeightsError(
            f"{where}: it is an operation between layers, which an .h5 doesn't describe; save the "
            "model with model.save('model.keras')"
        )
    if kind not in LAYERS and kind not in INERT:
        raise WeightsError(f"{where}: {_why_not(kind)}")
    if kind in LAYERS and "trainable" not in config:
        raise _foreign(where, "it says no trainable")


def _why_not(kind: str) -> str:
    if kind in _CODE:
        return (
            "it runs code that the file names or brings, which is never done; build the model "
            "from Keras' own layers and save it again"
        )
    return (
        "it is not among the layers that can be converted (docs/models.md lists them); build the "
        "model without it and save it again"
    )


def _foreign(where: str, what: str) -> WeightsError:
    return WeightsError(
        f"{where}: it is called like a class of Keras but is another ({what}), or of a release "
        "that is not known: what it computes is in the program that made it"
    )


def _check_written(given: Mapping[str, Any], written: list[str], where: str) -> None:
    if missing := next((key for key in written if key not in given), None):
        raise _foreign(where, f"it says no {missing}")


def _check_known(
    given: Mapping[str, Any], rules: Any, fixed: Mapping[str, object], where: str
) -> None:
    """Check that a layer has no settings but those of Keras' own class, of any release.

    An .h5 names a layer's class without its module, so that this alone tells another one.
    """
    for key, value in given.items():
        if key in rules or value is None or _PASSED_OVER.fullmatch(key):
            continue
        if key in fixed:
            wanted = fixed[key]
            if type(value) is type(wanted) and value == wanted:
                continue
            raise WeightsError(f"{where}: its {key} should be {wanted}, is {shown(value)}")
        plain = key if key.isidentifier() else shown(key)
        raise _foreign(where, f"Keras' own has no {plain[:80]} {shown(value)}")


def _check_precision(policy: Any, where: str) -> None:
    if isinstance(policy, dict) and policy.get("class_name") in ("DTypePolicy", "Policy"):
        policy = policy["config"].get("name") if isinstance(policy.get("config"), dict) else policy
    if policy not in (None, "float32"):
        raise WeightsError(
            f"{where}: it should compute in float32, its dtype is {shown(policy)}, which gives "
            "other answers; build the model with float32, load the weights and save it again"
        )


def let_through(rule: Rule, value: Any, what: str) -> Any:
    """Return what a rule makes of a value; ``what`` it is begins the message.

    Raises:
        WeightsError: the rule doesn't let it through.

    """
    try:
        return rule(value)
    except ValueError as error:
        raise WeightsError(f"{what} should be {error}, is {shown(value)}") from error


def _activation(value: Any, where: str, keras_version: str) -> Any:
    """Return an activation's name, or of a layer that is one its class and settings."""
    if isinstance(value, dict) and value.get("class_name") == "function":
        # Written so by Keras 2.13 and later; its config is the name.
        module, registered = value.get("module"), value.get("registered_name")
        own = isinstance(module, str) and _KERAS.match(module)
        if own and registered in (None, "function", value.get("config")):
            value = value.get("config")
    elif isinstance(value, dict) and isinstance(value.get("config"), dict):
        kind = own_class(value)
        if kind in _ACTIVATION_LAYERS:
            return layer_settings(kind, value["config"], f"{where}: its {kind}", keras_version)
        value = kind
    name = "linear" if value is None else value
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise WeightsError(
            f"{where}: its activation should be one of {', '.join(sorted(ACTIVATIONS))}, is "
            f"{shown(value)}"
        )
    if name == "hard_sigmoid" and keras_version.startswith("2."):
        raise WeightsError(
            f"{where}: Keras 3 computes hard_sigmoid otherwise than Keras 2, which wrote the file; "
            "build the model with Keras 3 and train it again"
        )
    return name
