"""Ways to damage a file of a whole model: mostly what it says of itself, within a sound file."""

from __future__ import annotations

import base64
import copy
import io
import json
import marshal
import zipfile
from typing import TYPE_CHECKING, Any

from .mutate import mutate_bytes

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

_HDF5 = b"\x89HDF\r\n\x1a\n"
_CANARY = "tests.fuzz.canary"
_CODE = base64.b64encode(marshal.dumps(compile(f"import {_CANARY}", "", "exec"))).decode()
_SING = {"module": _CANARY, "class_name": "function", "config": "sing", "registered_name": "sing"}
_GADGETS: tuple[Any, ...] = (
    _SING,
    {"module": _CANARY, "class_name": "Canary", "config": {}, "registered_name": None},
    {"module": "builtins", "class_name": "exec", "config": {"source": f"import {_CANARY}"}},
    {"class_name": "__lambda__", "config": {"code": _CODE, "defaults": None, "closure": None}},
    {"class_name": "__lambda__", "config": {"value": _CODE}},
    {"module": "keras.layers", "class_name": "Lambda", "config": {"function": _SING}},
    {
        "module": "keras.utils",
        "class_name": "function",
        "config": "get_file",
        "registered_name": "function",
    },
    {
        "class_name": "__typespec__",
        "spec_name": "sing",
        "module": _CANARY,
        "config": [],
        "registered_name": None,
    },
)
_CLASSES = (
    *("Lambda", "TFOpLambda", "TFSMLayer", "StringLookup", "TorchModuleWrapper", "Wrapper"),
    *("Conv2D", "Dense", "Flatten", "Identity", "Dropout", "Add", "ReLU", "Softmax", "Sequential"),
    *("Functional", "Model", "InputLayer", "Activation", "Permute", "Reshape", "UpSampling2D"),
    *("Relu", "Multiply", "GlobalAveragePooling2D", "BatchNormalization", "Masking", "function"),
)
_MODULES = (_CANARY, "builtins", "os", "keras", "keras.layers", "keras.utils", "keras.src.ops.nn")
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, 3, -1, 7, 0.5, -0.5, 1e30, 1e-30, 2**31, 10**40, 1 << 20),
    *("", "relu", "softmax", "sigmoid", "tanh", "linear", "same", "valid", "channels_first"),
    *("nearest", "bilinear", "float16", "mixed_float16", "float32", "hard_sigmoid", "a\nb", "\x1b"),
    *([], {}, [1], [1, 1], [2, 2], [[1, 0], [0, 1]], [None, 10, 12, 3], [None, None, None, 3]),
)


def mutate_model(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Change a ``.keras`` or a whole-model ``.h5``: its description, its weights or its bytes."""
    kind = draw.random()
    if kind < 0.1:
        return mutate_bytes(draw, data, others)
    if data.startswith(_HDF5):
        return mutate_bytes(draw, data, others) if kind < 0.25 else _h5(draw, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if kind < 0.3:
        members["model.weights.h5"] = mutate_bytes(draw, members["model.weights.h5"], others)
    else:
        members["config.json"] = _description(draw, members["config.json"])
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return target.getvalue()


def _h5(draw: random.Random, data: bytes) -> bytes:
    import h5py

    target = io.BytesIO(data)
    with h5py.File(target, "r+") as file:
        text = file.attrs["model_config"]
        text = text if isinstance(text, bytes) else text.encode()
        file.attrs["model_config"] = _description(draw, text).decode()
    return target.getvalue()


def _description(draw: random.Random, text: bytes) -> bytes:
    document = json.loads(text)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 5))):
        _change(draw, document)
    return json.dumps(document).encode()


def _change(draw: random.Random, document: Any) -> None:
    places = list(_places(document))
    # The places that an answer depends on are few among those that Keras writes.
    narrow = [place for place in places if place[1] in _OFTEN]
    holder, key = draw.choice(narrow if narrow and draw.random() < 0.6 else places)
    value, kind = holder[key], draw.random()
    if kind < 0.08:
        del holder[key]
    elif kind < 0.16 and isinstance(holder, list):
        holder.insert(draw.randint(0, len(holder)), copy.deepcopy(value))
    elif kind < 0.24:
        other, name = draw.choice(places)
        holder[key] = copy.deepcopy(other[name]) if name in _keys(other) else value
    elif kind < 0.32:
        holder[key] = copy.deepcopy(draw.choice(_GADGETS))
    elif kind < 0.42 and key in ("class_name", "module"):
        holder[key] = draw.choice(_CLASSES if key == "class_name" else _MODULES)
    elif kind < 0.7 and isinstance(value, int | float) and not isinstance(value, bool):
        holder[key] = value * draw.choice((-1, 2, 3, 0.5)) + draw.choice((0, 1, -1))
    else:
        holder[key] = copy.deepcopy(draw.choice(_VALUES))


_OFTEN = frozenset(
    "class_name module config activation filters kernel_size strides padding units axis epsilon "  # noqa: SIM905
    "target_shape pool_size scale offset mean variance invert size dilation_rate groups use_bias "
    "negative_slope alpha shared_axes keepdims data_format training inbound_nodes keras_history "
    "batch_shape layers input_layers output_layers depth_multiplier center args kwargs".split()
)


def _keys(holder: Any) -> Any:
    return holder if isinstance(holder, dict) else range(len(holder))


def _places(value: Any) -> Any:
    """Yield every place of a document: what holds it, and its key or number."""
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
