"""A description of a model is data: a layer of the list is read as Keras reads it, or refused."""

from __future__ import annotations

import copy
import json
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

np = pytest.importorskip("numpy")
h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from convert.errors import WeightsError  # noqa: E402
from convert.network import build_network  # noqa: E402
from convert.weights.allowed import ACTIVATIONS, LAYERS, OPERATIONS  # noqa: E402
from convert.weights.build import build  # noqa: E402
from convert.weights.file import read_weights  # noqa: E402
from convert.weights.judge import judge  # noqa: E402
from convert.weights.plan import MAX_CONFIG_BYTES, Plan, read_plan  # noqa: E402
from convert.weights.recognise import recognise  # noqa: E402
from tests.support.pictures import ROOT  # noqa: E402
from tests.support.weights import read_here  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

L = keras.layers
SIDE = 12


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras needs seconds to start; ``test_weights`` reads in a process of its own."""
    monkeypatch.setattr("convert.weights.file.read_apart", read_here)


def classifier(*layers: Any) -> Any:
    """Return a small model of three labels with these layers, and weights of a seed."""
    x = image = keras.Input((SIDE, SIDE, 3))
    for layer in layers:
        x = layer(x)
    if len(x.shape) > 2:
        x = L.Flatten()(x)
    return with_weights(keras.Model(image, L.Dense(3, activation="softmax")(x)))


def with_weights(model: Any) -> Any:
    generator = np.random.default_rng(5)
    for weights in model.weights:
        if "float" in str(weights.dtype):  # a variance is above 0
            weights.assign(generator.uniform(0.1, 0.6, weights.shape).astype(np.float32))
    for each in model.layers:
        if isinstance(each, L.Normalization) and each.weights:
            each.finalize_state()
    return model


def save(model: Any, path: Path) -> Path:
    model.save(path)
    return path


def agrees(model: Any, path: Path) -> None:
    """Assert that the file of a model is read as Keras' own ``load_model`` reads it."""
    weights = read_weights(save(model, path))
    image = np.random.default_rng(0).uniform(-1, 1, (3, SIDE, SIDE, 3)).astype(np.float32)
    expected = np.asarray(model(image, training=False))
    # Keras 3 writes several axes into an .h5, and reads one.
    if "LayerNormalization" not in path.name:
        again = keras.saving.load_model(path, compile=False)
        np.testing.assert_array_equal(again(image, training=False), expected)
    assert np.ptp(expected, axis=0).max() > 1e-6, "an answer that says nothing"
    np.testing.assert_array_equal(weights.model(image, training=False), expected)
    assert weights.outputs == expected.shape[1]


# Everything on the list.


def merged(kind: str, **settings: Any) -> Callable[[Any], Any]:
    return lambda x: getattr(L, kind)(**settings)([x, L.ReLU()(x)])


EXAMPLES: dict[str, list[Callable[[], Any]]] = {
    "Conv2D": [
        lambda: L.Conv2D(4, 3),
        lambda: L.Conv2D(6, (3, 2), strides=(2, 1), padding="same", groups=3, activation="elu"),
        lambda: L.Conv2D(4, 3, dilation_rate=2, use_bias=False, activation=L.LeakyReLU(0.2)),
    ],
    "DepthwiseConv2D": [lambda: L.DepthwiseConv2D(3, 2, "same", depth_multiplier=2)],
    "SeparableConv2D": [lambda: L.SeparableConv2D(5, 3, depth_multiplier=2, activation="relu6")],
    "Conv2DTranspose": [
        lambda: L.Conv2DTranspose(4, 3, strides=2, padding="same", output_padding=1)
    ],
    "Dense": [lambda: L.Dense(5, activation="tanh")],
    "BatchNormalization": [L.BatchNormalization, lambda: L.BatchNormalization(scale=False)],
    "LayerNormalization": [
        L.LayerNormalization,
        lambda: L.LayerNormalization(axis=[1, 2], epsilon=1e-2, center=False),
    ],
    "Activation": [lambda: L.Activation("swish")],
    "ReLU": [lambda: L.ReLU(max_value=0.5, negative_slope=0.1, threshold=0.05)],
    "LeakyReLU": [lambda: L.LeakyReLU(0.1)],
    "ELU": [lambda: L.ELU(0.7)],
    "PReLU": [L.PReLU, lambda: L.PReLU(shared_axes=[1, 2])],
    "Softmax": [L.Softmax, lambda: L.Softmax(axis=1)],
    "MaxPooling2D": [lambda: L.MaxPooling2D(3, 2, "same")],
    "AveragePooling2D": [lambda: L.AveragePooling2D((2, 3))],
    "GlobalMaxPooling2D": [L.GlobalMaxPooling2D],
    "GlobalAveragePooling2D": [lambda: L.GlobalAveragePooling2D(keepdims=True)],
    "Flatten": [L.Flatten],
    "Reshape": [lambda: L.Reshape((SIDE * SIDE, -1))],
    "Permute": [lambda: L.Permute((3, 1, 2))],
    **{kind: [partial(merged, kind)] for kind in ("Add", "Multiply", "Subtract", "Average")},
    **{kind: [partial(merged, kind)] for kind in ("Maximum", "Minimum", "Concatenate")},
    "ZeroPadding2D": [lambda: L.ZeroPadding2D(((1, 2), (0, 3)))],
    "Cropping2D": [lambda: L.Cropping2D((1, 2))],
    "UpSampling2D": [lambda: L.UpSampling2D((2, 3), interpolation="bilinear")],
    "Rescaling": [
        lambda: L.Rescaling(2.0, -1.0),
        lambda: L.Rescaling([1.0, 2.0, 3.0], offset=np.array([0.5, 0.0, 1.0])),
    ],
    "Normalization": [
        lambda: L.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 1.0, 2.0]),
        lambda: L.Normalization(axis=None, mean=0.5, variance=4.0, invert=True),
        L.Normalization,
    ],
    "Resizing": [
        lambda: L.Resizing(9, 17, interpolation="bicubic", crop_to_aspect_ratio=True),
        lambda: L.Resizing(9, 17, pad_to_aspect_ratio=True, fill_value=0.5, antialias=True),
    ],
}


def test_there_is_an_example_of_every_layer_of_the_list() -> None:
    assert EXAMPLES.keys() == LAYERS.keys() - {"InputLayer"}


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_layer_of_the_list_is_read_as_keras_reads_it(
    kind: str, suffix: str, tmp_path: Path
) -> None:
    for number, make in enumerate(EXAMPLES[kind]):
        agrees(classifier(make()), tmp_path / f"{kind}-{number}.{suffix}")


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_every_activation_and_what_is_inert_is_read_as_keras_reads_it(
    suffix: str, tmp_path: Path
) -> None:
    image = keras.Input((SIDE, SIDE, 3))
    x = L.Concatenate()([L.Conv2D(1, 1, activation=name)(image) for name in sorted(ACTIVATIONS)])
    for layer in (L.Dropout(0.5), L.RandomFlip(), L.GaussianNoise(0.1), L.Identity()):
        x = layer(x)
    x = L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(x))
    agrees(with_weights(keras.Model(image, x)), tmp_path / f"model.{suffix}")


def test_every_operation_of_the_list_is_read_as_keras_reads_it(tmp_path: Path) -> None:
    ops, image = keras.ops, keras.Input((SIDE, SIDE, 3))
    x = ops.divide(1 - (image / 2.0 + 1.5) * 3.0, 2.0) + image
    x = ops.maximum(ops.minimum(x, 5.0), L.Conv2D(3, 1)(x))
    x = ops.subtract(x, np.array([0.1, 0.2, 0.3], np.float32))
    for function in (ops.silu, ops.hard_silu, ops.tanh, ops.elu, ops.gelu, ops.leaky_relu):
        x = function(x) + image
    for function in (ops.relu, ops.relu6, ops.hard_sigmoid, ops.sigmoid, ops.softmax):
        x = function(x) * image
    x = keras.activations.relu(x, negative_slope=0.1, max_value=2.0)
    x = ops.softmax(L.Dense(3)(L.GlobalAveragePooling2D()(x)))
    model = with_weights(keras.Model(image, x))
    used = {
        (each["module"].rpartition(".")[2], each["class_name"])
        for each in model.get_config()["layers"]
    }
    assert used >= OPERATIONS.keys()
    agrees(model, tmp_path / "model.keras")


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_network_with_branches_and_a_shared_layer_is_read_as_keras_reads_it(
    suffix: str, tmp_path: Path
) -> None:
    image = keras.Input((SIDE, SIDE, 3), name="image")
    shared, norm = L.Conv2D(3, 3, padding="same", activation="relu"), L.BatchNormalization()
    x = shared(norm(shared(image)))
    gate = L.Dense(3, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(x))
    x = L.Concatenate()([L.Multiply()([x, gate]), L.Add()([image, x])])
    out = L.Activation("softmax")(L.Reshape((4,))(L.Conv2D(4, SIDE)(x)))
    agrees(with_weights(keras.Model({"image": image}, [out])), tmp_path / f"m.{suffix}")


def test_a_mobilenet_is_read_and_takes_any_size(tmp_path: Path) -> None:
    image = keras.Input((None, None, 3))
    body = keras.applications.MobileNetV2(
        weights=None, include_top=False, alpha=0.35, input_shape=(None, None, 3)
    )
    body.trainable = False
    x = body(L.Rescaling(1 / 127.5, -1)(L.RandomRotation(0.1)(image)), training=False)
    x = L.Dense(7, activation="softmax")(L.Dropout(0.2)(L.GlobalAveragePooling2D()(x)))
    model = with_weights(keras.Model(image, x))
    for suffix in ("keras", "h5"):
        weights = read_weights(save(model, tmp_path / f"model.{suffix}"))
        assert (weights.activation, weights.outputs, weights.size_wh) == ("softmax", 7, None)
        values = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
        np.testing.assert_array_equal(weights.model(values), model(values, training=False))


# What it is, and isn't.


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda x: L.Dense(3)(L.Flatten()(x)), r"'last' \(Dense\)|Dense.*add keras.layers.Softmax"),
        (lambda x: L.Dense(3, activation="sigmoid")(L.Flatten()(x)), "3 outputs are sigmoids"),
        (lambda x: L.Dense(1001, activation="softmax")(L.Flatten()(x)), "at most 1000"),
        (L.Conv2D(3, 1, activation="softmax"), r"its output is \(batch, 12, 12, 3\)"),
        (lambda x: L.Flatten()(L.Conv2D(3, 1, activation="softmax")(x)), "no probabilities"),
        (lambda x: L.Softmax(axis=1)(L.Reshape((3, 144))(L.Permute((3, 1, 2))(x))), "its output"),
        (lambda x: L.GlobalAveragePooling2D()(L.Softmax()(x)), "no probabilities"),
    ],
)
def test_answers_that_are_no_probabilities_are_refused(
    make: Callable[[Any], Any], says: str, tmp_path: Path
) -> None:
    image = keras.Input((SIDE, SIDE, 3))
    path = save(keras.Model(image, make(image)), tmp_path / "model.keras")
    with pytest.raises(WeightsError, match=says):
        read_weights(path)


@pytest.mark.parametrize("shape", [(SIDE, SIDE, 1), (SIDE, SIDE, 4), (SIDE,), (SIDE, SIDE)])
def test_an_input_that_is_no_picture_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(2, activation="softmax")])
    with pytest.raises(WeightsError, match=r"a picture is \(batch, height, width, 3\)"):
        read_weights(save(model, tmp_path / "model.keras"))


def test_a_softmax_at_the_end_is_found_behind_what_passes_it_on(tmp_path: Path) -> None:
    for number, ends in enumerate(
        (
            [L.Conv2D(3, SIDE, activation="softmax"), L.Flatten(), L.Dropout(0.1)],
            [L.Conv2D(3, SIDE), L.Flatten(), L.Softmax(), L.Activation("linear")],
            [L.Flatten(), L.Dense(3, activation=L.Softmax()), L.Reshape((3,))],
            [keras.Sequential([L.Flatten(), L.Dense(3, activation="softmax")])],
        )
    ):
        model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *ends])
        weights = read_weights(save(with_weights(model), tmp_path / f"{number}.keras"))
        assert (weights.activation, weights.outputs) == ("softmax", 3)


# The forms of other releases, written out by hand.


def keras_2(*, sequential: bool) -> Any:
    """The notebook's network in the config of TensorFlow 2.4 to 2.12."""
    shape = {"batch_input_shape": [None, 500, 500, 3]}
    common = {"trainable": True, "dtype": "float32"}
    conv = {
        **common,
        "kernel_size": [4, 4],
        "strides": [1, 1],
        "padding": "valid",
        "data_format": "channels_last",
        "dilation_rate": [1, 1],
        "groups": 1,
        "activation": "relu",
        "use_bias": True,
        "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
        "kernel_regularizer": None,
    }
    pool = {
        **common,
        "pool_size": [2, 2],
        "padding": "valid",
        "strides": [2, 2],
        "data_format": "channels_last",
    }
    dense = {**common, "use_bias": True}
    dropout = {"rate": 0.5, "noise_shape": None, "seed": None}
    layers: list[tuple[str, dict[str, Any]]] = [
        ("Conv2D", {"name": "conv2d_9", **shape, **conv, "filters": 32}),
        ("MaxPooling2D", {"name": "max_pooling2d", **pool}),
        ("Conv2D", {"name": "conv2d_10", **conv, "filters": 16}),
        ("MaxPooling2D", {"name": "max_pooling2d_1", **pool}),
        ("Dropout", {"name": "dropout", **common, **dropout}),
        ("Flatten", {"name": "flatten", **common, "data_format": "channels_last"}),
        ("Dense", {"name": "dense", **dense, "units": 10, "activation": "relu"}),
        ("Dense", {"name": "dense_1", **dense, "units": 1, "activation": "sigmoid"}),
    ]
    listed: list[Any] = [{"class_name": kind, "config": config} for kind, config in layers]
    if sequential:
        return {"class_name": "Sequential", "config": {"name": "sequential", "layers": listed}}
    start: Any = {
        "class_name": "InputLayer",
        "config": {"name": "input_1", **shape, "dtype": "float32", "sparse": False},
    }
    line = [start, *listed]
    for each, before in zip(line, [None, *line[:-1]], strict=True):
        each["name"] = each["config"]["name"]
        each["inbound_nodes"] = [[[before["config"]["name"], 0, 0, {}]]] if before else []
    config = {"name": "model", "layers": line, "input_layers": [["input_1", 0, 0]]}
    return {"class_name": "Functional", "config": {**config, "output_layers": [["dense_1", 0, 0]]}}


def plan_of(config: Any, version: str = "3") -> Plan:
    return read_plan(config if isinstance(config, str) else json.dumps(config), version)


def layer(config: Any, name: str) -> Any:
    return next(each for each in config["config"]["layers"] if each["config"]["name"] == name)


@pytest.mark.parametrize("sequential", [True, False])
def test_what_keras_2_writes_is_read_the_same(*, sequential: bool) -> None:
    plan = plan_of(keras_2(sequential=sequential), "2.12.0")
    assert plan.bare
    model = build(plan, "zeros")
    assert judge(model).size_wh == (500, 500)
    assert recognise(model)
    for name, key, value in (
        ("conv2d_9", "data_format", "channels_first"),
        ("conv2d_9", "padding", "same"),
        ("conv2d_10", "activation", "tanh"),
        ("dense_1", "use_bias", False),
    ):
        config = keras_2(sequential=sequential)
        layer(config, name)["config"][key] = value
        if value == "channels_first":
            with pytest.raises(WeightsError, match="data_format should be 'channels_last'"):
                plan_of(config)
        else:
            assert recognise(build(plan_of(config), "zeros")) is None


@pytest.mark.parametrize("name", ["keras2.h5", "keras2.keras"])
def test_files_that_keras_2_wrote_answer_as_there(name: str) -> None:
    """By tf_keras 2.21: a frozen model inside, statistics, a shared gate; Keras 3 loads neither."""
    path = ROOT / "tests/convert/data" / name
    weights = read_weights(path)
    image = (np.arange(10 * 12 * 3, dtype=np.float32) * 37 % 256).reshape(1, 10, 12, 3)
    said_there = [[0.2398665, 0.175711, 0.5844224]]
    np.testing.assert_allclose(weights.model(image), said_there, atol=1e-6)
    assert (weights.activation, weights.outputs, weights.size_wh) == ("softmax", 3, (12, 10))
    with pytest.raises((TypeError, ValueError)):
        keras.saving.load_model(path, compile=False)


def test_the_page_on_models_names_all_that_a_model_may_be_built_from() -> None:
    page = (ROOT / "docs/models.md").read_text()
    named = {*LAYERS, *ACTIVATIONS, *(kind for _, kind in OPERATIONS)} - {"InputLayer"}
    assert [name for name in sorted(named) if f"`{name}`" not in page] == []


def test_what_keras_1_writes_is_refused_with_what_to_do() -> None:
    conv = {"name": "convolution2d_1", "nb_filter": 32, "nb_row": 4, "border_mode": "valid"}
    config = {"class_name": "Sequential", "config": [{"class_name": "Conv2D", "config": conv}]}
    for version in ("1.2.2", "2"):
        with pytest.raises(WeightsError, match=r"Keras 1.*open it with Keras 2 and save it again"):
            plan_of(config, version)


def test_a_function_that_keras_3_computes_otherwise_is_refused_from_keras_2() -> None:
    config = keras_2(sequential=True)
    layer(config, "dense")["config"]["activation"] = "hard_sigmoid"
    with pytest.raises(WeightsError, match="Keras 3 computes hard_sigmoid otherwise"):
        plan_of(config, "2.12.0")
    plan_of(config, "3.3.3")


def test_fault_58_a_call_that_turns_dropout_on_is_seen_in_the_form_of_keras_2() -> None:
    """58."""
    for inputs, says in (
        ([[["dropout", 0, 0, {"training": None}]]], None),
        (
            [[["max_pooling2d_1", 0, 0, {"training": True}]]],
            r"'dropout' is called with .'training'",
        ),
        ([[["dense_1", 0, 0, {}]]], "waits for what no layer gives"),
        ([[["nobody", 0, 0, {}]]], "damaged"),
        ([[["max_pooling2d_1", 7, 0, {}]]], "waits for what no layer gives"),
        ([[["max_pooling2d_1", 0, 1, {}]]], "damaged"),
        ([[["conv2d_9", 0, 0, {}], ["conv2d_9", 0, 0, {}]]], "has 2 inputs, not one"),
    ):
        config = keras_2(sequential=False)
        layer(config, "dropout" if says else "flatten")["inbound_nodes"] = inputs
        if says is None:
            build(plan_of(config), "zeros")
            continue
        with pytest.raises(WeightsError, match=says):
            build(plan_of(config), "zeros")


def test_arithmetic_in_the_form_of_keras_2_is_refused() -> None:
    """``inputs / 255`` and preprocess_input were functions of TensorFlow, by name."""
    config = keras_2(sequential=False)
    divide = {
        "class_name": "TFOpLambda",
        "name": "tf.math.truediv",
        "config": {"name": "tf.math.truediv", "dtype": "float32", "function": "math.truediv"},
        "inbound_nodes": [["input_1", 0, 0, {"y": 255.0, "name": None}]],
    }
    config["config"]["layers"].insert(1, divide)
    with pytest.raises(WeightsError, match=r"'tf.math.truediv' \(TFOpLambda\): it runs code"):
        plan_of(config)


@pytest.mark.parametrize(
    ("activation", "fits"),
    [
        ({"module": "builtins", "class_name": "function", "config": "relu"}, True),
        (
            {
                "module": "builtins",
                "class_name": "function",
                "config": "relu",
                "registered_name": "function",
            },
            True,
        ),
        ({"module": "mine", "class_name": "function", "config": "relu"}, False),
        (
            {
                "module": "builtins",
                "class_name": "function",
                "config": "relu",
                "registered_name": "Mine>relu",
            },
            False,
        ),
        ({"module": "os", "class_name": "function", "config": "system"}, False),
        ({"module": "builtins", "class_name": "function", "config": "exec"}, False),
        (
            {
                "module": "keras.layers",
                "class_name": "ReLU",
                "config": {"trainable": True, "max_value": 6.0},
                "registered_name": None,
            },
            True,
        ),
        ({"module": None, "class_name": "ReLU", "config": {}, "registered_name": "ReLU"}, False),
        ({"class_name": "PReLU", "config": {}}, False),
        ({"class_name": "Lambda", "config": {}}, False),
        ({"class_name": "__lambda__", "config": {"value": "4wEAAAA"}}, False),
        ({"value": ["4wEAAAA", None, None]}, False),
        ("Mine>relu", False),
        ("deserialize", False),
        ("get", False),
        (["relu"], False),
        (1, False),
    ],
)
def test_activations_in_every_form(activation: Any, *, fits: bool) -> None:
    config = keras_2(sequential=True)
    layer(config, "dense")["config"]["activation"] = activation
    if fits:
        build(plan_of(config), "zeros")
        return
    with pytest.raises(WeightsError, match=r"activation should be|none of Keras itself"):
        plan_of(config)


SETTINGS: list[tuple[str, str, Any]] = [
    ("conv1", "filters", True),
    ("conv1", "filters", 10**9),
    ("conv1", "kernel_size", [3, 4, 5]),
    ("conv1", "kernel_size", 0),
    ("conv1", "strides", [1.0, 1.0]),
    ("conv1", "padding", "SAME"),
    ("conv1", "padding", {"class_name": "function", "module": "os", "config": "system"}),
    ("conv1", "data_format", "channels_first"),
    ("conv1", "dilation_rate", "two"),
    ("conv1", "groups", -1),
    ("conv1", "use_bias", 1),
    ("conv1", "activation", "gelu_approximate"),
    ("conv1", "new_setting", 3),
    ("conv1", "rank", 2),
    ("pool1", "pool_size", [2, None]),
    ("flatten", "data_format", {"__class__": "os.system"}),
    ("flatten", "fraction", 0.5),
    ("dense1", "units", 10**12),
    ("dense1", "lora_rank", 4),
    ("dense1", "quantization_config", {"class_name": "Int8QuantizationConfig"}),
    ("dense2", "dtype", {"class_name": "QuantizedDTypePolicy", "config": {"name": "int8"}}),
    ("dense2", "dtype", "mixed_bfloat16"),
    ("dense2", "dtype", {"class_name": "DTypePolicyMap", "config": {"name": "float32"}}),
    ("image", "batch_shape", [None, 10**6, 500, 3]),
    ("image", "batch_shape", "input"),
    ("image", "dtype", "uint8"),
    ("image", "sparse", True),
]
UNREAD: dict[str, Any] = {
    "trainable": False,
    "kernel_initializer": {"module": "os", "class_name": "function", "config": "system"},
    "bias_initializer": None,
    "kernel_regularizer": {"class_name": "__lambda__", "config": {"value": "4wEAAAA"}},
    "activity_regularizer": "l2",
    "kernel_constraint": {"class_name": "Lambda"},
    "quantization_config": None,
    "lora_rank": None,
    "new": None,
}


@pytest.mark.parametrize(("name", "key", "value"), SETTINGS)
def test_fault_58_a_setting_is_let_through_by_a_rule_or_refused(
    name: str, key: str, value: Any
) -> None:
    """58: the config of a good file with one change."""
    config = keras.saving.serialize_keras_object(build_network())
    layer(config, name)["config"][key] = value
    with pytest.raises(WeightsError, match=rf"'{name}' \(\w+\).*(should|has no)") as caught:
        build(plan_of(config), "zeros")
    assert str(caught.value).isprintable()


def leaves(plan: Plan) -> Iterator[Any]:
    """Yield all that a plan holds of a file, but for names of layers."""
    waiting: list[Any] = [plan]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Plan):
            for step in value.steps:
                waiting += [step.kind, *step.settings.values(), step.inside]
        elif isinstance(value, list | tuple | dict):
            waiting += value.values() if isinstance(value, dict) else value
        else:
            yield value


KNOWN = {
    *LAYERS,
    *ACTIVATIONS,
    "Identity",
    "Augmentation",
    *("valid", "same", "channels_last", "nearest", "bilinear", "bicubic", "area", "constant"),
    *(function for function, _ in OPERATIONS.values()),
    *("Sequential", "Functional", "Model", "lanczos3", "lanczos5"),
}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["Conv2D", "Sequential", "Functional", "relu", "InputLayer", "Lambda"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["class_name", "config", "layers", "module", "value"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=9,
)


@given(st.data())
@settings(max_examples=400)
def test_any_json_in_any_place_is_refused_or_adds_nothing_that_is_not_on_the_list(
    data: st.DataObject,
) -> None:
    config = keras_2(sequential=data.draw(st.booleans()))
    place: Any = config
    while True:
        key = data.draw(
            st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))
        )
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.integers(0, 4)):
            place = place[key]
            continue
        place[key] = data.draw(JSON | st.sampled_from(list(UNREAD.values())))
        break
    with suppress(WeightsError):
        for leaf in leaves(plan_of(config)):
            assert leaf is None or type(leaf) in (bool, int, float) or leaf in KNOWN, leaf


@pytest.mark.parametrize("key", UNREAD)
def test_what_no_answer_depends_on_is_not_read(key: str) -> None:
    config = keras.saving.serialize_keras_object(build_network())
    config["compile_config"] = config["build_config"] = {"optimizer": UNREAD["kernel_initializer"]}
    for name in ("conv1", "dense1"):
        layer(config, name)["config"][key] = UNREAD[key]
        layer(config, name)["build_config"] = UNREAD["kernel_initializer"]
    assert recognise(build(plan_of(config), "zeros"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "damaged"),
        ("this is not even JSON", "damaged"),
        ("[]", "damaged"),
        ("{}", "damaged"),
        ("null", "damaged"),
        ('{"class_name": "Sequential"}', "damaged"),
        ('{"class_name": "Sequential", "config": 7}', "damaged"),
        ('{"class_name": "Sequential", "config": []}', "shape of its input|Keras can't build"),
        ('{"class_name": "Sequential", "config": {"layers": [3]}}', "damaged"),
        (
            '{"class_name": "Sequential", "config": {"layers": []}, "config": {"layers": []}}',
            "twice",
        ),
        ('{"class_name": "MyModel", "config": {}}', "class 'MyModel': what it computes"),
        ('{"class_name": "Functional", "config": {"layers": [], "x": NaN}}', "NaN is no number"),
        ("[" * 100_000, "damaged"),
        ('{"a":' * 100_000, "damaged"),
        (" " * (MAX_CONFIG_BYTES + 1), "too many"),
        ("\ud800", "damaged|size"),
    ],
)
def test_fault_58_a_description_that_is_damaged_is_an_error(text: str, says: str) -> None:
    """58: never a traceback."""
    with pytest.raises(WeightsError, match=says) as caught:
        build(plan_of(text), "zeros")
    assert str(caught.value).isprintable()


# Too much.


def test_models_inside_models_and_layers_without_end_are_refused() -> None:
    config: Any = keras_2(sequential=True)
    for _ in range(20):
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": [config]}}
    with pytest.raises(WeightsError, match="too deep"):
        plan_of(config)
    one = layer(keras_2(sequential=True), "flatten")
    many = []
    for number in range(2001):
        many.append(copy.deepcopy(one))
        many[-1]["config"]["name"] = f"f{number}"
    with pytest.raises(WeightsError, match="more than 2,000 layers"):
        plan_of({"class_name": "Sequential", "config": {"name": "s", "layers": many}})


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (lambda: [L.Flatten(), L.Dense(7)], "more than 67,108,864 weights"),
        (lambda: [L.UpSampling2D(2), L.UpSampling2D(2)], r"gives \(.*\) values, too many"),
        (lambda: [L.ZeroPadding2D(2)], r"gives \(.*\) values, too many"),
    ],
)
def test_a_model_that_would_take_all_memory_is_refused_before_it_does(
    layers: Callable[[], Any], says: str
) -> None:
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), *layers(), L.Activation("relu")])
    config = json.loads(model.to_json())
    for each in config["config"]["layers"]:
        for key, value in (("units", 1 << 20), ("size", [32, 32]), ("padding", [[4096, 4096]] * 2)):
            if key in each["config"]:
                each["config"][key] = value
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 2000, 2000, 300]
    from convert.weights.build import Unloaded

    with pytest.raises(WeightsError, match=says):
        build(plan_of(config), Unloaded())
