"""Only the notebook's network is converted: what a whole-model file says of itself is compared."""

# mypy: disable-error-code="union-attr,arg-type"

from __future__ import annotations

import copy
import json
import math
import re
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pytest

np = pytest.importorskip("numpy")
cv2 = pytest.importorskip("cv2")
h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from convert.errors import WeightsError  # noqa: E402
from convert.network import LAYERS, build_network  # noqa: E402
from convert.quantise.export import fold_preprocessing  # noqa: E402
from convert.quantise.preprocessing import PRESETS, Preprocessing  # noqa: E402
from convert.verify.parity import keras_answers  # noqa: E402
from convert.weights.architecture import _INERT, check_architecture  # noqa: E402
from convert.weights.description import MAX_CONFIG_BYTES, read_layers  # noqa: E402
from convert.weights.file import read_weights  # noqa: E402
from tests.support.notebook import imread  # noqa: E402
from tests.support.pictures import HELD_OUT, ROOT  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

L = keras.layers
Change = dict[str, Any]


@dataclass
class Parts:
    """The network as someone else builds it; a test changes a part of it."""

    front: list[Any] = field(default_factory=list)
    conv1: Change = field(default_factory=dict)
    behind1: list[Any] = field(default_factory=list)
    pool1: Any = None
    conv2: Change = field(default_factory=dict)
    pool2: Any = None
    behind_pool2: list[Any] = field(default_factory=list)
    dense1: Change = field(default_factory=dict)
    behind_dense1: list[Any] = field(default_factory=list)
    dense2: Change = field(default_factory=dict)
    behind: list[Any] = field(default_factory=list)
    size_hw: tuple[int, int] = (500, 500)

    def layers(self) -> list[Any]:
        relu = {"activation": "relu"}
        return [
            *self.front,
            L.Conv2D(32, **{"kernel_size": 4, **relu, **self.conv1}),
            *self.behind1,
            self.pool1 or L.MaxPooling2D(2),
            L.Conv2D(16, **{"kernel_size": 4, **relu, **self.conv2}),
            self.pool2 or L.MaxPooling2D(2),
            *self.behind_pool2,
            L.Flatten(),
            L.Dense(10, **{**relu, **self.dense1}),
            *self.behind_dense1,
            L.Dense(1, **{"activation": "sigmoid", **self.dense2}),
            *self.behind,
        ]

    def sequential(self) -> Any:
        return keras.Sequential([keras.Input((*self.size_hw, 3)), *self.layers()])

    def functional(self) -> Any:
        x = image = keras.Input((*self.size_hw, 3))
        for layer in self.layers():
            x = layer(x)
        return keras.Model(image, x)


def save(model: Any, path: Path) -> Path:
    """Save with small weights of a seed, so that answers are neither 0 nor 1."""
    generator = np.random.default_rng(3)
    for weights in model.trainable_variables:
        scale = 1 / math.sqrt(math.prod(weights.shape[:-1]) or 1)
        weights.assign(generator.normal(0, scale, weights.shape).astype(np.float32))
    model.save(path)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        read_weights(path)
    return str(caught.value)


# The ten variants that were tried: six of them gave a wrong answer.
TEN: dict[str, tuple[Callable[[], Parts], str]] = {
    "tanh": (
        lambda: Parts(conv2={"activation": "tanh"}),
        r"'conv2d\w*' \(Conv2D\): its activation should be relu, is tanh",
    ),
    "leaky": (
        lambda: Parts(conv1={"activation": None}, behind1=[L.LeakyReLU()]),
        r"\(LeakyReLU\) stands where a MaxPooling2D",
    ),
    "elu": (
        lambda: Parts(dense1={"activation": "elu"}),
        r"'dense\w*' \(Dense\): its activation should be relu, is elu",
    ),
    "linear end": (
        lambda: Parts(dense2={"activation": None}),
        "its activation should be sigmoid, is linear",
    ),
    "softmax end": (
        lambda: Parts(dense2={"activation": "softmax"}),
        "its activation should be sigmoid, is softmax",
    ),
    "average": (
        lambda: Parts(pool1=L.AveragePooling2D(2)),
        r"\(AveragePooling2D\) stands where a MaxPooling2D \(pool1\) should",
    ),
    "batch norm": (
        lambda: Parts(behind1=[L.BatchNormalization()]),
        r"\(BatchNormalization\) stands where a MaxPooling2D",
    ),
    "padding": (
        lambda: Parts(front=[L.ZeroPadding2D(1)], size_hw=(498, 498)),
        "its input should be .500, 500, 3., is .498, 498, 3.",
    ),
    "permute": (
        lambda: Parts(behind_pool2=[L.Permute((2, 1, 3))]),
        r"\(Permute\) stands where a Flatten",
    ),
    "scaled inside": (
        lambda: Parts(behind1=[L.Rescaling(1 / 255)]),
        r"\(Rescaling\) stands where a MaxPooling2D",
    ),
}

# Shapes alone would let every one of these pass.
MORE: dict[str, tuple[Callable[[], Parts], str]] = {
    "stretched": (lambda: Parts(size_hw=(256, 988)), "its input should be"),
    "one smaller": (lambda: Parts(size_hw=(499, 500)), "its input should be"),
    "prelu": (
        lambda: Parts(dense1={"activation": L.LeakyReLU(0.2)}),
        "its activation should be relu, is LeakyReLU",
    ),
    "capped": (
        lambda: Parts(dense1={"activation": None}, behind_dense1=[L.ReLU(max_value=6)]),
        "activation should be relu, is .relu with",
    ),
    "sloped": (
        lambda: Parts(dense1={"activation": L.ReLU(negative_slope=0.1)}),
        "activation should be relu, is .relu with 'negative_slope': 0.1",
    ),
    "relu6": (lambda: Parts(conv1={"activation": "relu6"}), "should be relu, is relu6"),
    "twice": (
        lambda: Parts(behind_dense1=[L.Activation("tanh")]),
        "a second activation, tanh, behind relu",
    ),
    "sigmoid twice": (
        lambda: Parts(behind=[L.Activation("sigmoid")]),
        "a second activation, sigmoid, behind sigmoid",
    ),
    "half": (
        lambda: Parts(dense1={"dtype": "mixed_float16"}),
        "should compute in float32, its dtype is 'mixed_float16'",
    ),
    "brain": (lambda: Parts(conv1={"dtype": "bfloat16"}), "its dtype is 'bfloat16'"),
    "turned over": (lambda: Parts(behind=[L.Rescaling(-1, 1)]), r"\(Rescaling\) stands behind"),
    "resized": (
        lambda: Parts(front=[L.Resizing(500, 500)]),
        r"\(Resizing\) stands where a Conv2D \(conv1\) should",
    ),
    "layer norm": (
        lambda: Parts(behind_dense1=[L.UnitNormalization()]),
        r"\(UnitNormalization\) stands where a Dense",
    ),
    "dilated": (
        lambda: Parts(
            conv1={"dilation_rate": 2}, pool1=L.MaxPooling2D(2, padding="same"), size_hw=(502, 502)
        ),
        "its input should be",
    ),
    "overlapping": (
        lambda: Parts(pool2=L.MaxPooling2D(3, strides=2, padding="same"), size_hw=(499, 499)),
        "its input should be",
    ),
    "wide pooling": (
        lambda: Parts(pool1=L.MaxPooling2D((3, 3), strides=2)),
        r"pool_size should be \(2, 2\), is \[3, 3\]",
    ),
    "same pooling": (
        lambda: Parts(pool1=L.MaxPooling2D(2, padding="same"), conv1={"kernel_size": 4}),
        "padding should be valid, is same",
    ),
    "no mean": (
        lambda: Parts(front=[L.Normalization(axis=(1, 2), mean=0.5, variance=1.0)]),
        "its axis should be -1 or None",
    ),
    "relu first": (
        lambda: Parts(front=[L.Rescaling(1 / 127.5, -1), L.ReLU()]),
        "stands before the first layer",
    ),
    "mask": (lambda: Parts(front=[L.Masking(0.0)]), r"\(Masking\) stands where"),
}


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("name", TEN)
def test_fault_58_a_file_of_another_network_is_refused_by_name(
    name: str, suffix: str, tmp_path: Path
) -> None:
    """58: all have the very shapes of the notebook's weights."""
    make, says = TEN[name]
    message = refusal(save(make().sequential(), tmp_path / f"model.{suffix}"))
    assert re_search(says, message)
    assert message.startswith(f"{tmp_path}")
    assert message.isprintable()


@pytest.mark.parametrize("name", MORE)
def test_fault_58_more_networks_of_the_same_shapes_are_refused(name: str, tmp_path: Path) -> None:
    """58: in one format each, built as a Functional model."""
    make, says = MORE[name]
    suffix = "keras" if len(name) % 2 else "h5"
    assert re_search(says, refusal(save(make().functional(), tmp_path / f"model.{suffix}")))


def re_search(pattern: str, text: str) -> bool:
    assert re.search(pattern, text), text
    return True


# What is passed over.

PASSED_OVER: dict[str, Callable[[], Parts]] = {
    "as it is": Parts,
    "dropout and augmentation": lambda: Parts(
        front=[L.RandomFlip(), L.RandomRotation(0.1), L.GaussianNoise(1.0)],
        behind1=[L.SpatialDropout2D(0.3)],
        behind_pool2=[L.Dropout(0.5), L.ActivityRegularization(0.1)],
        behind_dense1=[L.AlphaDropout(0.1), L.Activation("linear")],
    ),
    "activations apart": lambda: Parts(
        conv1={"activation": None},
        behind1=[L.Activation("relu")],
        conv2={"activation": None},
        behind_pool2=[L.ReLU()],
        dense1={"activation": L.ReLU()},
        behind_dense1=[L.Activation(keras.activations.relu)],
        dense2={"activation": None},
        behind=[L.Activation("sigmoid")],
    ),
    "training only": lambda: Parts(
        conv1={"kernel_regularizer": "l2", "kernel_constraint": keras.constraints.MaxNorm(2)},
        dense1={"bias_initializer": "ones", "activity_regularizer": "l1", "trainable": False},
    ),
    "no change": lambda: Parts(front=[L.Rescaling(1.0)]),
    "double": lambda: Parts(dense1={"dtype": "float64"}),
}


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("name", PASSED_OVER)
def test_what_no_answer_depends_on_is_passed_over(name: str, suffix: str, tmp_path: Path) -> None:
    model = PASSED_OVER[name]()
    built = model.sequential() if suffix == "h5" else model.functional()
    weights = read_weights(save(built, tmp_path / f"model.{suffix}"))
    assert weights.described
    assert weights.notebook.front == ()
    held = [layer for layer in built.layers if layer.get_weights()]
    trained = [layer for layer in held if isinstance(layer, L.Conv2D | L.Dense)]
    for spec, layer in zip(LAYERS, trained, strict=True):
        for got, expected in zip(
            weights.notebook.arrays[spec.name], layer.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(got, expected.astype(np.float32))


@pytest.mark.parametrize(
    "name", sorted(_INERT.keys() - {"InputLayer", "SpatialDropout1D", "SpatialDropout3D"})
)
def test_a_layer_that_is_passed_over_leaves_its_input_as_it_is(name: str) -> None:
    """By the installed Keras, on raw and on scaled values."""
    if not hasattr(L, name):
        pytest.skip("not in this Keras")
    needed = {"RandomTranslation": (0.2, 0.2), "RandomPosterization": (4,)}
    try:
        layer = getattr(L, name)(*needed.get(name, ()))
    except TypeError:
        layer = getattr(L, name)(0.5)
    model = keras.Sequential([keras.Input((16, 16, 3)), layer])
    values = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3)).astype(np.float32)
    for image in (values, (values - 128) / 64):
        np.testing.assert_array_equal(model(image, training=False), image)


# Graphs.


def functional(change: Callable[[int, Any], Any]) -> Any:
    x = image = keras.Input((500, 500, 3))
    for index, layer in enumerate(Parts().layers()):
        x = change(index, layer(x))
    return keras.Model(image, x)


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda i, x: L.Dropout(0.5)(x, training=True) if i == 1 else x, "called with .'training'"),
        (lambda i, x: L.Add()([x, x]) if i == 1 else x, "has 2 inputs"),
        (lambda i, x: x * 2.0 if i == 5 else x, r"called with .2\.0"),
        (lambda i, x: keras.ops.abs(x) if i == 5 else x, r"\(Absolute\) stands where a Dense"),
    ],
)
def test_fault_58_a_graph_that_is_no_straight_line_is_refused(
    change: Callable[[int, Any], Any], says: str, suffix: str, tmp_path: Path
) -> None:
    """58."""
    assert re_search(says, refusal(save(functional(change), tmp_path / f"m.{suffix}")))


def test_fault_58_two_outputs_and_two_inputs_are_refused(tmp_path: Path) -> None:
    """58."""
    line = functional(lambda _, x: x)
    both = keras.Model(line.input, [line.output, line.layers[-2].output])
    assert re_search("2 outputs, not one", refusal(save(both, tmp_path / "m.h5")))
    other = keras.Input((1,))
    two = keras.Model([line.input, other], L.Add()([line.output, other]))
    assert re_search("2 inputs, not one", refusal(save(two, tmp_path / "m.keras")))


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_models_inside_the_model_are_taken_apart(suffix: str, tmp_path: Path) -> None:
    layers = Parts().layers()
    body = keras.Sequential([keras.Input((500, 500, 3)), *layers[:4]])
    image = keras.Input((122, 122, 16))
    head = keras.Model(image, keras.Sequential(layers[5:])(layers[4](image)))
    model = keras.Sequential([keras.Input((500, 500, 3)), L.Rescaling(1 / 255), body, head])
    weights = read_weights(save(model, tmp_path / f"model.{suffix}"))
    assert [layer.kind for layer in weights.notebook.front] == ["Rescaling"]
    for spec, got in zip(LAYERS, (layers[0], layers[2], layers[5], layers[6]), strict=True):
        np.testing.assert_array_equal(weights.notebook.arrays[spec.name][0], got.get_weights()[0])
    layers = Parts(dense1={"activation": "tanh"}).layers()
    body = keras.Sequential([keras.Input((500, 500, 3)), *layers[:4]])
    model = keras.Sequential([body, *layers[4:]])
    assert re_search("relu, is tanh", refusal(save(model, tmp_path / f"other.{suffix}")))


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_a_model_that_is_called_inside_another_is_taken_apart(suffix: str, tmp_path: Path) -> None:
    """Keras counts such a call from 1."""
    layers = Parts().layers()
    inner, outer = keras.Input((500, 500, 3)), keras.Input((500, 500, 3))
    body = keras.Model(inner, layers[1](layers[0](inner)))
    x = body(L.RandomFlip()(outer))
    for each in layers[2:]:
        x = each(x)
    path = tmp_path / f"model.{suffix}"
    keras.Model(outer, x).save(path)
    assert read_weights(path).described
    twice = keras.Model(outer, L.Average()([body(outer), body(outer)]))
    twice.save(path)
    assert re_search("not one", refusal(path))


def test_fault_58_arithmetic_in_front_is_refused_in_the_form_of_keras_2() -> None:
    """58: ``inputs / 255`` and preprocess_input are operations, with the number in their call."""
    config = keras_2(sequential=False)
    layers = config["config"]["layers"]
    divide = {
        "class_name": "TFOpLambda",
        "name": "tf.math.truediv",
        "config": {"name": "tf.math.truediv", "dtype": "float32", "function": "math.truediv"},
        "inbound_nodes": [["input_1", 0, 0, {"y": 255.0, "name": None}]],
    }
    layers.insert(1, divide)
    layers[2]["inbound_nodes"] = [[["tf.math.truediv", 0, 0, {}]]]
    with pytest.raises(WeightsError, match=r"'tf.math.truediv' is called with \{'y': 255.0\}"):
        check(config)
    divide["inbound_nodes"] = [["input_1", 0, 0, {}]]
    with pytest.raises(WeightsError, match=r"\(TFOpLambda\) stands where a Conv2D"):
        check(config)


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_frozen_layers_inside_a_model_get_the_same_verdict(suffix: str, tmp_path: Path) -> None:
    """In .h5 their weights come behind all others of the inner model."""
    layers = Parts().layers()
    body = keras.Sequential([keras.Input((500, 500, 3)), *layers[:4]])
    body.layers[0].trainable = False
    path = tmp_path / f"model.{suffix}"
    keras.Sequential([body, *layers[4:]]).save(path)
    kernel, _ = read_weights(path).notebook.arrays["conv1"]
    np.testing.assert_array_equal(kernel, layers[0].get_weights()[0])


@keras.saving.register_keras_serializable("Mine")
class Conv2D(L.Conv2D):  # type: ignore[misc, name-defined]
    """Somebody's own layer: by its name alone it would be Keras'."""

    def call(self, inputs: Any) -> Any:
        return -super().call(inputs)


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_fault_58_a_class_of_somebodys_own_is_refused(suffix: str, tmp_path: Path) -> None:
    """58."""
    layers = Parts().layers()
    layers[2] = Conv2D(16, 4, activation="relu")
    model = keras.Sequential([keras.Input((500, 500, 3)), *layers])
    assert re_search(r"Mine>Conv2D", refusal(save(model, tmp_path / f"model.{suffix}")))


class Flatten(L.Layer):  # type: ignore[misc, name-defined]
    """Called like Keras' own, with another order of the values."""

    def call(self, inputs: Any) -> Any:
        turned = keras.ops.transpose(inputs, (0, 3, 1, 2))
        return keras.ops.reshape(turned, (-1, 122 * 122 * 16))


class Sigmoid(L.Layer):  # type: ignore[misc, name-defined]
    """Called like an operation of keras.ops."""

    def call(self, inputs: Any) -> Any:
        return 1 - keras.ops.sigmoid(inputs)


class ReLU(L.Layer):  # type: ignore[misc, name-defined]
    """Called like Keras' own, but leaky."""

    def call(self, inputs: Any) -> Any:
        return keras.ops.leaky_relu(inputs, 0.3)


class Rescaling(L.Layer):  # type: ignore[misc, name-defined]
    """Called like Keras' own; its offset is in its code."""

    def call(self, inputs: Any) -> Any:
        return inputs / 127.5 - 1


class Dropout(L.Dropout):  # type: ignore[misc, name-defined]
    """Has all settings of Keras' own; only its module tells it."""

    def call(self, inputs: Any, training: bool = False) -> Any:  # noqa: FBT001, FBT002
        del training
        return super().call(inputs, training=True)


SAME_NAMES: dict[str, Callable[[], Parts]] = {
    "relu": lambda: Parts(conv1={"activation": None}, behind1=[ReLU()]),
    "sigmoid": lambda: Parts(dense2={"activation": None}, behind=[Sigmoid()]),
    "rescaling": lambda: Parts(front=[Rescaling()]),
    "dropout": lambda: Parts(behind_dense1=[Dropout(0.9)]),
}


def from_main(path: Path) -> Path:
    """Rewrite a ``.keras`` as if its classes of this module were of a program run by its name."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    # serialization_lib.record_object_after_serialization
    text = content["config.json"].decode().replace(json.dumps(__name__), "null")
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**content, "config.json": text.encode()}.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("name", SAME_NAMES)
@pytest.mark.parametrize("main", [False, True])
def test_fault_58_a_class_of_somebodys_own_called_like_keras_own_is_refused(
    name: str, *, main: bool, tmp_path: Path
) -> None:
    path = save(SAME_NAMES[name]().sequential(), tmp_path / "model.keras")
    said = refusal(from_main(path) if main else path)
    assert "which is none of Keras itself" in said
    assert name in said.lower()


def test_fault_58_a_flatten_of_somebodys_own_is_refused_in_both_files(tmp_path: Path) -> None:
    layers = [Flatten() if isinstance(each, L.Flatten) else each for each in Parts().layers()]
    model = keras.Sequential([keras.Input((500, 500, 3)), *layers])
    assert "none of Keras itself" in refusal(from_main(save(model, tmp_path / "m.keras")))
    assert "says no data_format" in refusal(save(model, tmp_path / "m.h5"))


@pytest.mark.parametrize("name", [name for name in SAME_NAMES if name != "dropout"])
def test_fault_58_an_h5_with_a_class_that_lacks_keras_own_settings_is_refused(
    name: str, tmp_path: Path
) -> None:
    said = refusal(save(SAME_NAMES[name]().sequential(), tmp_path / "model.h5"))
    assert re_search("called like a class of Keras but is another|no layer of Keras", said)


@pytest.mark.parametrize("name", ["dropout", "flatten"])
def test_fault_58_a_setting_that_keras_own_class_has_not_is_refused(name: str) -> None:
    config = keras_2(sequential=True)
    layer(config, name)["config"]["fraction"] = 0.5
    with pytest.raises(WeightsError, match="fraction"):
        check(config)


@pytest.mark.parametrize("module", ["kerasfoo.layers", "keras_cv.layers", "tensorflow.mine", None])
def test_fault_58_a_module_that_only_looks_like_keras_is_refused(module: str | None) -> None:
    config = json.loads(Parts().sequential().to_json())
    config["config"]["layers"][2]["module"] = module
    with pytest.raises(WeightsError, match="none of Keras itself"):
        check(config)


def test_an_h5_says_that_its_classes_have_no_module(tmp_path: Path) -> None:
    model = Parts().sequential()
    assert read_weights(save(model, tmp_path / "model.h5")).bare
    assert not read_weights(save(model, tmp_path / "model.keras")).bare


def test_an_unpacked_archive_is_compared_as_the_archive_is(tmp_path: Path) -> None:
    for name, parts in {"own": Parts(), "other": Parts(conv1={"activation": "tanh"})}.items():
        path = save(parts.sequential(), tmp_path / f"{name}.keras")
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path / name)
    assert read_weights(tmp_path / "own" / "model.weights.h5").described
    assert "should be relu, is tanh" in refusal(tmp_path / "other" / "model.weights.h5")


# Scaling in front.


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_statistics_inside_a_model_and_behind_it_are_not_mixed_up(
    suffix: str, tmp_path: Path
) -> None:
    data = np.random.default_rng(2).integers(0, 256, (2, 500, 500, 3)).astype(np.float32)
    inner, outer = L.Normalization(), L.Normalization()
    inner.adapt(data[:, :50])
    outer.adapt(data[:, :50] / 9 + 3)
    image = keras.Input((500, 500, 3))
    model = Parts(front=[keras.Model(image, inner(L.RandomFlip()(image))), outer]).sequential()
    weights = read_weights(save(model, tmp_path / f"model.{suffix}"))
    ours = build_network(weights.notebook.front, weights.notebook.arrays)
    expected = model.predict(data, verbose=0)
    np.testing.assert_allclose(ours.predict(data, verbose=0), expected, atol=1e-6)


def fronts() -> dict[str, list[Any]]:
    adapted, of_all = L.Normalization(), L.Normalization(axis=None)
    data = np.random.default_rng(1).integers(0, 256, (4, 9, 9, 3)).astype(np.float32)
    adapted.adapt(data)
    of_all.adapt(data)
    numbers = {"mean": [120.0, 110.0, 90.0], "variance": [900.0, 400.0, 1600.0]}
    return {
        "rescaling": [L.Rescaling(1 / 255)],
        "centred": [L.Rescaling(1 / 127.5, offset=-1)],
        "by channel": [L.Rescaling([0.01, 0.02, 0.005], offset=[-1.0, 0.5, 0.0])],
        "array": [L.Rescaling(np.array([0.01, 0.02, 0.005], np.float32))],
        "adapted": [adapted],
        "of all": [of_all],
        "given": [L.Normalization(**numbers)],
        "one number": [L.Normalization(axis=None, mean=120.0, variance=2500.0)],
        "inverse": [L.Rescaling(1 / 50), L.Normalization(mean=2.0, variance=0.04, invert=True)],
        "both": [L.Rescaling(1 / 255), L.Normalization(mean=[0.5, 0.4, 0.6], variance=[0.04] * 3)],
        "adapted behind": [L.Rescaling(1 / 10), L.RandomFlip(), of_all],
    }


@pytest.mark.parametrize(("order", "suffix"), [("RGB", "keras"), ("BGR", "h5")])
@pytest.mark.parametrize("name", fronts())
def test_scaling_in_front_is_folded_and_answers_as_the_model_itself(
    name: str, order: str, suffix: str, tmp_path: Path
) -> None:
    """The model that was saved is asked, not our reading of it."""
    model = Parts(front=fronts()[name]).sequential()
    weights = read_weights(save(model, tmp_path / f"model.{suffix}"))
    contract = Preprocessing(order, (1.0,) * 3, (0.0,) * 3)
    folded = build_network(
        arrays=fold_preprocessing(weights.notebook, contract.then(weights.notebook.front))
    )
    reference = build_network(weights.notebook.front, weights.notebook.arrays)
    for path in HELD_OUT[:2]:
        picture = cv2.resize(imread(path), (500, 500)).astype(np.uint8, copy=False)
        values = (picture if order == "BGR" else picture[..., ::-1]).astype(np.float32)[None]
        expected = float(model.predict(values, verbose=0)[0, 0])
        assert 0.001 < expected < 0.999, "an answer that says nothing"
        got = float(folded(picture[None].astype(np.float32))[0, 0])
        assert got == pytest.approx(expected, abs=1e-5)
        (judged,) = keras_answers(reference, contract, [picture])
        assert judged == pytest.approx(expected, abs=1e-6)


# The description itself, as other releases of Keras write it.


@cache
def described() -> str:
    """The config of a good model, as Keras 3 writes it into a .keras archive."""
    return json.dumps(keras.saving.serialize_keras_object(build_network()))


def check(config: Any, keras_version: tuple[int, ...] = (3,)) -> tuple[Any, ...]:
    layers = read_layers(config if isinstance(config, str) else json.dumps(config))
    return check_architecture(layers, keras_version=keras_version)


def layer(config: Any, name: str) -> Any:
    return next(each for each in config["config"]["layers"] if each["config"]["name"] == name)


RELEVANT: dict[str, dict[str, Any]] = {
    "conv1": {
        "filters": 31,
        "kernel_size": [3, 4],
        "strides": [2, 1],
        "padding": "same",
        "data_format": "channels_first",
        "dilation_rate": [2, 2],
        "groups": 3,
        "use_bias": False,
        "activation": "gelu",
    },
    "pool1": {
        "pool_size": [2, 3],
        "strides": [1, 1],
        "padding": "same",
        "data_format": "channels_first",
    },
    "conv2": {
        "kernel_size": 5,
        "strides": 3,
        "activation": None,
        "groups": 2,
        "filters": True,
        "dtype": {"class_name": "QuantizedDTypePolicy", "config": {"name": "int8_from_float32"}},
    },
    "pool2": {"pool_size": "two", "strides": [2, 2, 2], "padding": "SAME"},
    "flatten": {"data_format": "channels_first", "dtype": "float16"},
    "dense1": {
        "units": 11,
        "use_bias": False,
        "activation": "relu6",
        "lora_rank": 4,
        "quantization_config": {"class_name": "Int8QuantizationConfig"},
    },
    "dense2": {"units": 2, "activation": "hard_sigmoid", "dtype": "mixed_bfloat16"},
    "image": {
        "batch_shape": [None, 256, 988, 3],
        "dtype": "float16",
    },
}
IRRELEVANT: dict[str, Any] = {
    "trainable": False,
    "name": "other",
    "kernel_initializer": "zeros",
    "bias_initializer": None,
    "kernel_regularizer": {"class_name": "L2"},
    "bias_regularizer": "l1",
    "dtype": "float64",
    "activity_regularizer": "l2",
    "kernel_constraint": {"class_name": "NonNeg"},
    "bias_constraint": "max_norm",
    "quantization_config": None,
    "lora_rank": None,
    "new": False,
}
CASES = [(name, key) for name, changes in RELEVANT.items() for key in changes]


@pytest.mark.parametrize(("name", "key"), CASES)
def test_fault_58_any_setting_that_an_answer_depends_on_is_compared(name: str, key: str) -> None:
    """58: the config of a good file with one change."""
    config = json.loads(described())
    assert check(config) == ()
    layer(config, name)["config"][key] = RELEVANT[name][key]
    with pytest.raises(WeightsError, match=f"'{name}'.*(should|has)"):
        check(config)


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(RELEVANT)), st.sampled_from(sorted(IRRELEVANT))),
        max_size=9,
    ),
    st.none() | st.sampled_from(CASES),
)
@settings(deadline=None)
def test_whatever_else_is_changed_is_accepted(
    changes: list[tuple[str, str]], relevant: tuple[str, str] | None
) -> None:
    """Any number of changes without effect; with one that has an effect, it is refused."""
    config = json.loads(described())
    layers = {each["config"]["name"]: each["config"] for each in config["config"]["layers"]}
    for name, key in changes:
        if key != "name":  # the wiring goes by it
            layers[name][key] = IRRELEVANT[key]
    if relevant is None:
        assert check(config) == ()
        return
    name, key = relevant
    layers[name][key] = RELEVANT[name][key]
    with pytest.raises(WeightsError):
        check(config)


def keras_2(*, sequential: bool) -> Any:
    """The config of TensorFlow 2.4 to 2.12, written out by hand."""
    shape = {"batch_input_shape": [None, 500, 500, 3]}
    conv = {
        "trainable": True,
        "dtype": "float32",
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
        "pool_size": [2, 2],
        "padding": "valid",
        "strides": [2, 2],
        "data_format": "channels_last",
    }
    dense = {"dtype": "float32", "use_bias": True}
    layers: list[tuple[str, dict[str, Any]]] = [
        ("Conv2D", {"name": "conv2d_9", **shape, **conv, "filters": 32}),
        ("MaxPooling2D", {"name": "max_pooling2d", **pool}),
        ("Conv2D", {"name": "conv2d_10", **conv, "filters": 16}),
        ("MaxPooling2D", {"name": "max_pooling2d_1", **pool}),
        ("Dropout", {"name": "dropout", "rate": 0.5, "noise_shape": None, "seed": None}),
        ("Flatten", {"name": "flatten", "data_format": "channels_last"}),
        ("Dense", {"name": "dense", **dense, "units": 10, "activation": "relu"}),
        ("Dense", {"name": "dense_1", **dense, "units": 1, "activation": "sigmoid"}),
    ]
    listed: list[Any] = [{"class_name": kind, "config": config} for kind, config in layers]
    if sequential:
        return {"class_name": "Sequential", "config": {"name": "sequential", "layers": listed}}
    start: Any = {
        "class_name": "InputLayer",
        "config": {"name": "input_1", **shape, "sparse": False},
    }
    line = [start, *listed]
    for each, before in zip(line, [None, *line[:-1]], strict=True):
        each["name"] = each["config"]["name"]
        each["inbound_nodes"] = [[[before["config"]["name"], 0, 0, {}]]] if before else []
    config = {"name": "model", "layers": line, "input_layers": [["input_1", 0, 0]]}
    return {"class_name": "Functional", "config": {**config, "output_layers": [["dense_1", 0, 0]]}}


def keras_1() -> Any:
    conv = {
        "nb_row": 4,
        "nb_col": 4,
        "border_mode": "valid",
        "subsample": [1, 1],
        "bias": True,
        "dim_ordering": "tf",
        "activation": "relu",
        "init": "glorot_uniform",
        "W_regularizer": None,
        "b_constraint": None,
    }
    pool = {"pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": "tf"}
    shape = {"batch_input_shape": [None, 500, 500, 3], "input_dtype": "float32"}
    layers = [
        ("Convolution2D", {"name": "convolution2d_1", **shape, **conv, "nb_filter": 32}),
        ("MaxPooling2D", {"name": "maxpooling2d_1", **pool}),
        ("Convolution2D", {"name": "convolution2d_2", **conv, "nb_filter": 16}),
        ("Activation", {"name": "activation_1", "activation": "relu"}),
        ("MaxPooling2D", {"name": "maxpooling2d_2", **pool}),
        ("Flatten", {"name": "flatten_1"}),
        ("Dense", {"name": "dense_1", "output_dim": 10, "input_dim": 238144, "activation": "relu"}),
        ("Dropout", {"name": "dropout_1", "p": 0.5}),
        ("Dense", {"name": "dense_2", "output_dim": 1, "input_dim": None, "activation": "sigmoid"}),
    ]
    listed = [{"class_name": kind, "config": config} for kind, config in layers]
    return {"class_name": "Sequential", "keras_version": "1.2.2", "config": listed}


@pytest.mark.parametrize(
    ("make", "version"),
    [
        (partial(keras_2, sequential=True), (2, 4)),
        (partial(keras_2, sequential=False), (2, 12)),
        (keras_1, (1, 2)),
    ],
)
def test_what_keras_1_and_2_write_is_read_the_same(
    make: Callable[[], Any], version: tuple[int, ...]
) -> None:
    assert check(make(), version) == ()
    layers = make()["config"]
    for index, key, value in (
        (0, "dim_ordering", "th"),
        (0, "data_format", "channels_first"),
        (0, "border_mode", "same"),
        (1, "subsample", [2, 2]),
        (-1, "activation", "linear"),
        (2, "activation", "tanh"),
    ):
        config = copy.deepcopy(make())
        layers = (
            config["config"] if isinstance(config["config"], list) else config["config"]["layers"]
        )
        conv = [
            each for each in layers if "onv" in each["class_name"] or "Dense" in each["class_name"]
        ]
        conv[index]["config"][key] = value
        with pytest.raises(WeightsError, match="should be"):
            check(config, version)


def test_fault_58_a_call_that_turns_dropout_on_is_seen_in_the_form_of_keras_2() -> None:
    """58."""
    config = keras_2(sequential=False)
    flatten = layer(config, "flatten")
    flatten["inbound_nodes"] = [[["dropout", 0, 0, {"training": True}]]]
    with pytest.raises(WeightsError, match=r"'flatten' is called with \{'training': True\}"):
        check(config)
    flatten["inbound_nodes"] = [[["dropout", 0, 0, {"training": None}]]] * 2
    with pytest.raises(WeightsError, match="'flatten' has 2 uses"):
        check(config)
    flatten["inbound_nodes"] = [[["conv2d_10", 0, 0, {}]]]
    with pytest.raises(WeightsError, match=r"is beside the line"):
        check(config)
    flatten["inbound_nodes"] = [[["dense_1", 0, 0, {}]]]
    with pytest.raises(WeightsError, match=r"begins with 'flatten', not with the input"):
        check(config)


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
        ({"module": "builtins", "class_name": "function", "config": "tanh"}, False),
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
        ({"class_name": "relu", "config": {}}, True),
        ({"class_name": "ReLU", "config": {"max_value": 6.0}}, False),
        ({"class_name": "ReLU", "config": {"max_value": 0}}, False),
        ({"class_name": "ReLU", "config": {"threshold": 0.5}}, False),
        ({"class_name": "ReLU", "config": {"alpha": 0.3}}, False),
        ({"class_name": "ReLU", "config": {"name": "r", "trainable": True, "alpha": 0}}, True),
        (
            {
                "module": "keras.layers",
                "class_name": "Activation",
                "config": {"activation": "relu"},
                "registered_name": None,
            },
            True,
        ),
        (
            {
                "module": "keras.layers",
                "class_name": "Activation",
                "config": {"activation": "elu"},
                "registered_name": None,
            },
            False,
        ),
        ({"module": None, "class_name": "ReLU", "config": {}, "registered_name": "ReLU"}, False),
        ({"class_name": "PReLU", "config": {}}, False),
        ({"class_name": "Lambda", "config": {}}, False),
        ({"value": ["4wEAAAA", None, None]}, False),
        ("Mine>relu", False),
        ("leaky_relu", False),
        (["relu"], False),
        (1, False),
    ],
)
def test_activations_in_every_form(activation: Any, *, fits: bool) -> None:
    config = json.loads(described())
    layer(config, "dense1")["config"]["activation"] = activation
    if fits:
        assert check(config) == ()
        return
    with pytest.raises(WeightsError, match=r"'dense1'.*relu|none of Keras itself"):
        check(config)


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
        ('{"class_name": "Sequential", "config": []}', "size of its input"),
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
        check(text)
    assert str(caught.value).isprintable()


def test_models_inside_models_without_end_are_refused() -> None:
    config: Any = keras_2(sequential=True)
    for _ in range(20):
        config = {"class_name": "Sequential", "config": {"name": "s", "layers": [config]}}
    with pytest.raises(WeightsError, match="too deep"):
        check(config)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["Conv2D", "Sequential", "Functional", "relu", "InputLayer"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["class_name", "config", "layers"]), inner, max_size=4)
    ),
    max_leaves=9,
)


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_any_json_in_any_place_is_an_error_of_ours_or_harmless(data: st.DataObject) -> None:
    config = json.loads(described()) if data.draw(st.booleans()) else keras_2(sequential=False)
    place: Any = config
    while True:
        key = data.draw(
            st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place)))
        )
        if isinstance(place[key], dict | list) and place[key] and data.draw(st.integers(0, 4)):
            place = place[key]
            continue
        place[key] = data.draw(JSON)
        break
    with suppress(WeightsError):
        check_architecture(read_layers(json.dumps(config)))


# The file around it.


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """Return a .keras archive whose members ``change`` has been at."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    target = path.with_name("changed.keras")
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target


def test_a_keras_archive_needs_its_description(tmp_path: Path) -> None:
    path = save(build_network(), tmp_path / "model.keras")
    assert read_weights(path).described
    for change, says in (
        (lambda m: m.pop("config.json"), r"without config\.json"),
        (lambda m: m.update({"config.json": b""}), r"without config\.json"),
        (lambda m: m.update({"config.json": b"{"}), "damaged"),
        (lambda m: m.update({"config.json": b"\xff\xfe"}), "damaged"),
        (
            lambda m: m.update({"config.json": b" " * (MAX_CONFIG_BYTES + 1)}),
            "unpacks to more than",
        ),
        (lambda m: m.update({"config.json": b'{"class_name": "Lambda"}'}), "damaged"),
        (lambda m: m.pop("model.weights.h5"), r"zip without model\.weights\.h5"),
    ):
        assert re_search(says, refusal(rewritten(path, change)))
    with zipfile.ZipFile(path) as archive:
        text = archive.read("config.json")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", text)
    assert re_search(r"two members config\.json", refusal(path))


def test_an_h5_whose_description_is_damaged_or_of_another_network_is_refused(
    tmp_path: Path,
) -> None:
    path = save(Parts().sequential(), tmp_path / "model.h5")
    assert read_weights(path).described
    with h5py.File(path, "r+") as file:
        good = file.attrs["model_config"]
    for value, says in (
        (np.bytes_(b"{"), "damaged"),
        (7, "no text"),
        (good.replace('"relu"', '"selu"'), "should be relu, is selu"),
        (np.array(["a", "b"], dtype="S"), "no text"),
    ):
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = value
        assert re_search(says, refusal(path))
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = np.bytes_(good.encode())
        file.attrs["backend"] = "theano"
    assert re_search("Theano", refusal(path))


def test_statistics_that_a_normalization_lacks_are_named(tmp_path: Path) -> None:
    normalisation = L.Normalization(mean=1.0, variance=2.0)
    path = save(Parts(front=[normalisation]).sequential(), tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        kept = next(each for each in config["config"]["layers"] if "mean" in each["config"])
        kept["config"].update(mean=None, variance=None)
        file.attrs["model_config"] = json.dumps(config)
    assert re_search("mean and variance are not in the file", refusal(path))


def test_the_projects_own_weights_say_nothing_of_a_network() -> None:
    weights = read_weights(ROOT / "models" / "model.h5")
    assert not weights.described
    assert weights.notebook.front == ()


def test_bfloat16_weights_are_read_exactly(tmp_path: Path) -> None:
    """Weights only: a whole model that computes in bfloat16 is refused by its dtype."""
    import ml_dtypes

    model, half = Parts(), {"dtype": "bfloat16"}
    model.conv1, model.conv2, model.dense1, model.dense2 = (dict(half) for _ in range(4))
    built = model.sequential()
    generator = np.random.default_rng(3)
    for each in built.trainable_variables:
        each.assign(generator.normal(0, 0.1, each.shape).astype(ml_dtypes.bfloat16))
    built.save_weights(tmp_path / "model.weights.h5")
    weights = read_weights(tmp_path / "model.weights.h5")
    trained = [each for each in built.layers if each.get_weights()]
    for spec, each in zip(LAYERS, trained, strict=True):
        for got, expected in zip(
            weights.notebook.arrays[spec.name], each.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(got, np.asarray(expected).astype(np.float32))
    built.save(tmp_path / "model.h5")
    assert re_search("its dtype is 'bfloat16'", refusal(tmp_path / "model.h5"))


def test_contracts_are_put_one_behind_the_other() -> None:
    """(p s + o) a + b, written out."""
    from convert.network import FrontLayer

    front = [
        FrontLayer("r", "Rescaling", {"scale": [2.0] * 3, "offset": [1.0, 2.0, 3.0]}),
        FrontLayer(
            "n",
            "Normalization",
            {"axis": -1, "mean": [1.0] * 3, "variance": [4.0, 9.0, 0.0], "invert": False},
        ),
    ]
    whole = PRESETS["notebook"].then(front)
    assert whole.channel_order == "BGR"
    assert whole.scale == pytest.approx((2 / 2, 2 / 3, 2 / 1e-7))
    assert whole.offset == pytest.approx(((1 - 1) / 2, (2 - 1) / 3, (3 - 1) / 1e-7))
