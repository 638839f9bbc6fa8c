"""Whatever network a file describes answers as its own Keras model, or is refused by name."""

from __future__ import annotations

import json
import math
import re
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

np = pytest.importorskip("numpy")
cv2 = pytest.importorskip("cv2")
h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")

from convert.errors import WeightsError  # noqa: E402
from convert.network import LAYERS, build_network  # noqa: E402
from convert.quantise.export import fold_preprocessing  # noqa: E402
from convert.quantise.preprocessing import PRESETS, Preprocessing  # noqa: E402
from convert.weights.allowed import INERT  # noqa: E402
from convert.weights.file import Weights, read_weights  # noqa: E402
from convert.weights.plan import MAX_CONFIG_BYTES  # noqa: E402
from tests.support.notebook import imread  # noqa: E402
from tests.support.pictures import HELD_OUT, ROOT  # noqa: E402
from tests.support.weights import read_here  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

L = keras.layers
Change = dict[str, Any]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras needs seconds to start; ``test_weights`` reads in a process of its own."""
    monkeypatch.setattr("convert.weights.file.read_apart", read_here)


@dataclass
class Parts:
    """The notebook's network as someone else builds it; a test changes a part of it."""

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
    assert str(caught.value).isprintable()
    return str(caught.value)


def re_search(pattern: str, text: str) -> bool:
    assert re.search(pattern, text), text
    return True


def read_as_itself(model: Any, path: Path) -> Weights:
    """Read what was saved of a model; assert that it answers as that does, to the bit."""
    weights = read_weights(path)
    width, height = weights.size_wh or (48, 32)
    image = np.random.default_rng(0).uniform(-2, 2, (2, height, width, 3)).astype(np.float32)
    expected = np.asarray(model(image, training=False))
    assert expected.shape == (2, weights.outputs)
    assert np.ptp(expected) > 0 or path.stem == "constant", "an answer that says nothing"
    np.testing.assert_array_equal(np.asarray(weights.model(image, training=False)), expected)
    return weights


# The ten variants that were tried when shapes alone were compared: six gave a wrong answer.
TEN: dict[str, tuple[Callable[[], Parts], str]] = {
    "tanh": (lambda: Parts(conv2={"activation": "tanh"}), ""),
    "leaky": (lambda: Parts(conv1={"activation": None}, behind1=[L.LeakyReLU()]), ""),
    "elu": (lambda: Parts(dense1={"activation": "elu"}), ""),
    "linear end": (
        lambda: Parts(dense2={"activation": None}),
        r"no probabilities: it ends with layer 'dense\w*' \(Dense\), .*Activation\('sigmoid'\)",
    ),
    "softmax end": (lambda: Parts(dense2={"activation": "softmax"}), "always 1"),
    "average": (lambda: Parts(pool1=L.AveragePooling2D(2)), ""),
    "batch norm": (lambda: Parts(behind1=[L.BatchNormalization()]), ""),
    "padding": (lambda: Parts(front=[L.ZeroPadding2D(1)], size_hw=(498, 498)), ""),
    "permute": (lambda: Parts(behind_pool2=[L.Permute((2, 1, 3))]), ""),
    "scaled inside": (lambda: Parts(behind1=[L.Rescaling(1 / 255)]), ""),
}

# Shapes alone would let every one of these pass for the notebook's.
MORE: dict[str, tuple[Callable[[], Parts], str]] = {
    "stretched": (lambda: Parts(size_hw=(256, 988)), ""),
    "one smaller": (lambda: Parts(size_hw=(499, 500)), ""),
    "leaky by a layer": (lambda: Parts(dense1={"activation": L.LeakyReLU(0.2)}), ""),
    "capped": (
        lambda: Parts(dense1={"activation": None}, behind_dense1=[L.ReLU(max_value=6)]),
        "",
    ),
    "sloped": (lambda: Parts(dense1={"activation": L.ReLU(negative_slope=0.1)}), ""),
    "relu6": (lambda: Parts(conv1={"activation": "relu6"}), ""),
    "twice": (lambda: Parts(behind_dense1=[L.Activation("tanh")]), ""),
    "sigmoid twice": (lambda: Parts(behind=[L.Activation("sigmoid")]), ""),
    "half": (
        lambda: Parts(dense1={"dtype": "mixed_float16"}),
        "should compute in float32, its dtype is 'mixed_float16'",
    ),
    "brain": (lambda: Parts(conv1={"dtype": "bfloat16"}), "its dtype is 'bfloat16'"),
    "double": (lambda: Parts(dense1={"dtype": "float64"}), "its dtype is 'float64'"),
    "turned over": (lambda: Parts(behind=[L.Rescaling(-1, 1)]), r"ends with .*\(Rescaling\)"),
    "resized": (lambda: Parts(front=[L.Resizing(500, 500)]), ""),
    "unit norm": (
        lambda: Parts(behind_dense1=[L.UnitNormalization()]),
        r"\(UnitNormalization\): it is not among the layers",
    ),
    "dilated": (lambda: Parts(conv1={"dilation_rate": 2}, size_hw=(503, 503)), ""),
    "overlapping": (
        lambda: Parts(pool2=L.MaxPooling2D(3, strides=2, padding="same"), size_hw=(499, 499)),
        "",
    ),
    "wide pooling": (lambda: Parts(pool1=L.MaxPooling2D((3, 3), strides=2)), ""),
    "same pooling": (lambda: Parts(pool1=L.MaxPooling2D(2, padding="same")), ""),
    "rows normalised": (
        lambda: Parts(front=[L.Normalization(axis=(1, 2), mean=0.5, variance=1.0)]),
        "axis should be -1 or None",
    ),
    "relu first": (lambda: Parts(front=[L.Rescaling(1 / 127.5, -1), L.ReLU()]), ""),
    "turned back": (lambda: Parts(front=[L.Rescaling(0.0, 1.0)]), ""),
    "mask": (lambda: Parts(front=[L.Masking(0.0)]), r"\(Masking\): it is not among"),
    "activations apart": (
        lambda: Parts(
            conv1={"activation": None},
            behind1=[L.Activation("relu")],
            behind_dense1=[L.ReLU()],
            dense1={"activation": L.ReLU()},
            dense2={"activation": None},
            behind=[L.Activation("sigmoid")],
        ),
        "",
    ),
}


def judged_by_itself(model: Any, path: Path, says: str) -> None:
    """Assert that a file is refused with these words, or is read as a model of its own."""
    save(model, path)
    if says:
        re_search(says, refusal(path))
    else:
        assert read_as_itself(model, path).notebook is None


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("name", TEN)
def test_fault_58_a_file_of_another_network_is_judged_by_itself_or_refused_by_name(
    name: str, suffix: str, tmp_path: Path
) -> None:
    """58: all have the very shapes of the notebook's weights."""
    make, says = TEN[name]
    judged_by_itself(make().sequential(), tmp_path / f"model.{suffix}", says)


@pytest.mark.parametrize("name", MORE)
def test_fault_58_more_networks_of_the_same_shapes(name: str, tmp_path: Path) -> None:
    """58: in one format each, built as a Functional model."""
    make, says = MORE[name]
    suffix = "keras" if len(name) % 2 else "h5"
    stem = "constant" if name in ("turned back", "relu first") else "model"
    judged_by_itself(make().functional(), tmp_path / f"{stem}.{suffix}", says)


# The notebook's network.

THE_NOTEBOOKS: dict[str, Callable[[], Parts]] = {
    "as it is": Parts,
    "dropout and augmentation": lambda: Parts(
        front=[L.RandomFlip(), L.RandomRotation(0.1), L.GaussianNoise(1.0)],
        behind1=[L.SpatialDropout2D(0.3)],
        behind_pool2=[L.Dropout(0.5), L.ActivityRegularization(0.1)],
        behind_dense1=[L.AlphaDropout(0.1), L.Identity()],
    ),
    "training only": lambda: Parts(
        conv1={"kernel_regularizer": "l2", "kernel_constraint": keras.constraints.MaxNorm(2)},
        dense1={"bias_initializer": "ones", "activity_regularizer": "l1", "trainable": False},
    ),
    "no change": lambda: Parts(front=[L.Rescaling(1.0)]),
}


@pytest.mark.parametrize("suffix", ["h5", "keras"])
@pytest.mark.parametrize("name", THE_NOTEBOOKS)
def test_the_notebooks_network_is_known_whatever_no_answer_depends_on(
    name: str, suffix: str, tmp_path: Path
) -> None:
    model = THE_NOTEBOOKS[name]()
    built = model.sequential() if suffix == "h5" else model.functional()
    weights = read_as_itself(built, save(built, tmp_path / f"model.{suffix}"))
    assert weights.described
    assert weights.bare == (suffix == "h5")
    assert (weights.activation, weights.outputs, weights.size_wh) == ("sigmoid", 1, (500, 500))
    assert weights.notebook
    assert weights.notebook.front == ()
    trained = [layer for layer in built.layers if isinstance(layer, L.Conv2D | L.Dense)]
    for spec, layer in zip(LAYERS, trained, strict=True):
        for got, expected in zip(
            weights.notebook.arrays[spec.name], layer.get_weights(), strict=True
        ):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", sorted(INERT.keys() - {"SpatialDropout1D", "SpatialDropout3D"}))
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
    assert weights.notebook
    contract = Preprocessing(order, (1.0,) * 3, (0.0,) * 3)
    folded = build_network(
        arrays=fold_preprocessing(weights.notebook, contract.then(weights.notebook.front))
    )
    for path in HELD_OUT[:2]:
        picture = cv2.resize(imread(path), (500, 500)).astype(np.uint8, copy=False)
        values = (picture if order == "BGR" else picture[..., ::-1]).astype(np.float32)[None]
        expected = float(model(values, training=False)[0, 0])
        assert 0.001 < expected < 0.999, "an answer that says nothing"
        got = float(folded(picture[None].astype(np.float32))[0, 0])
        assert got == pytest.approx(expected, abs=1e-5)
        assert float(weights.model(values)[0, 0]) == expected


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


def test_the_projects_own_weights_say_nothing_of_a_network() -> None:
    weights = read_weights(ROOT / "models" / "model.h5")
    assert not weights.described
    assert weights.notebook
    assert weights.notebook.front == ()
    assert weights.model.count_params() == 2_391_237


# Graphs and models inside models.


def functional(change: Callable[[int, Any], Any]) -> Any:
    x = image = keras.Input((500, 500, 3))
    for index, layer in enumerate(Parts().layers()):
        x = change(index, layer(x))
    return keras.Model(image, x)


@pytest.mark.parametrize(
    ("change", "keras_says", "h5_says"),
    [
        (lambda i, x: L.Dropout(0.5)(x, training=True) if i == 1 else x, "'training'", "training"),
        (lambda i, x: L.Add()([x, x]) if i == 1 else x, "", ""),
        (lambda i, x: x * 2.0 if i == 5 else x, "", "operation between layers"),
        (lambda i, x: keras.activations.relu(x) if i == 5 else x, "", "ReLU"),
        (lambda i, x: keras.ops.abs(x) if i == 5 else x, r"\(Absolute\): it is not", "Absolute"),
    ],
)
def test_a_graph_is_judged_by_itself(
    change: Callable[[int, Any], Any], keras_says: str, h5_says: str, tmp_path: Path
) -> None:
    judged_by_itself(functional(change), tmp_path / "m.keras", keras_says)
    judged_by_itself(functional(change), tmp_path / "m.h5", h5_says)


def test_fault_58_two_outputs_and_two_inputs_are_refused(tmp_path: Path) -> None:
    """58."""
    line = functional(lambda _, x: x)
    both = keras.Model(line.input, [line.output, line.layers[-2].output])
    assert re_search("2 outputs, not one", refusal(save(both, tmp_path / "m.h5")))
    other = keras.Input((1,))
    two = keras.Model([line.input, other], L.Add()([line.output, other]))
    assert re_search("2 inputs, not one", refusal(save(two, tmp_path / "m.keras")))


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_models_inside_the_model_are_read_with_it(suffix: str, tmp_path: Path) -> None:
    """Also with frozen layers, whose weights an .h5 has behind all others of the inner model."""
    layers = Parts(dense1={"activation": "tanh"}).layers()
    body = keras.Sequential([keras.Input((500, 500, 3)), *layers[:4]])
    body.layers[0].trainable = False
    image = keras.Input((122, 122, 16))
    head = keras.Model(image, keras.Sequential(layers[5:])(layers[4](image)))
    model = keras.Sequential([keras.Input((500, 500, 3)), L.Rescaling(1 / 255), body, head])
    judged_by_itself(model, tmp_path / f"model.{suffix}", "")
    layers = [*Parts().layers()[:4], L.UnitNormalization(name="unit")]
    body = keras.Sequential([keras.Input((500, 500, 3)), *layers], name="backbone")
    model = keras.Sequential([body, L.Flatten(), L.Dense(1, activation="sigmoid")])
    says = r"layer 'unit' \(UnitNormalization\) in 'backbone': it is not among the layers"
    assert re_search(says, refusal(save(model, tmp_path / f"other.{suffix}")))


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_a_model_that_is_called_inside_another(suffix: str, tmp_path: Path) -> None:
    """Keras counts such a call from 1."""
    layers = Parts().layers()
    inner, outer = keras.Input((500, 500, 3)), keras.Input((500, 500, 3))
    body = keras.Model(inner, layers[1](layers[0](inner)))
    x = body(L.RandomFlip()(outer))
    for each in layers[2:]:
        x = each(x)
    judged_by_itself(keras.Model(outer, x), tmp_path / f"model.{suffix}", "")
    twice = keras.Model(outer, L.Average()([body(outer), body(outer)]))
    twice.save(tmp_path / f"twice.{suffix}")
    assert re_search("used 2 times, not once", refusal(tmp_path / f"twice.{suffix}"))


# Classes of somebody's own.


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


class ReLU(L.Layer):  # type: ignore[misc, name-defined]
    """Called like Keras' own, but leaky."""

    def call(self, inputs: Any) -> Any:
        return keras.ops.leaky_relu(inputs, 0.3)


class Sigmoid(L.Layer):  # type: ignore[misc, name-defined]
    """Called like an operation of keras.ops."""

    def call(self, inputs: Any) -> Any:
        return 1 - keras.ops.sigmoid(inputs)


class Rescaling(L.Layer):  # type: ignore[misc, name-defined]
    """Called like Keras' own; its offset is in its code."""

    def call(self, inputs: Any) -> Any:
        return inputs / 127.5 - 1


class Dropout(L.Dropout):  # type: ignore[misc, name-defined]
    """Has all settings of Keras' own; only its module tells it."""

    def call(self, inputs: Any, training: bool = False) -> Any:  # noqa: FBT001, FBT002
        del training
        return super().call(inputs, training=True)


SAME_NAMES: dict[str, tuple[Callable[[], Parts], str]] = {
    "relu": (lambda: Parts(conv1={"activation": None}, behind1=[ReLU()]), "says no max_value"),
    "sigmoid": (lambda: Parts(dense2={"activation": None}, behind=[Sigmoid()]), "not among the l"),
    "rescaling": (lambda: Parts(front=[Rescaling()]), "it says no scale"),
    "dropout": (lambda: Parts(behind_dense1=[Dropout(0.9)]), ""),
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
def test_fault_58_a_class_of_somebodys_own_called_like_keras_own_is_refused(
    name: str, tmp_path: Path
) -> None:
    """58: a .keras says a class' module; of an .h5, what settings it lacks tells it."""
    make, h5_says = SAME_NAMES[name]
    path = save(make().sequential(), tmp_path / "model.keras")
    for said in (refusal(path), refusal(from_main(path))):
        assert "which is none of Keras itself" in said
        assert name in said.lower()
    if h5_says:
        assert re_search(h5_says, refusal(save(make().sequential(), tmp_path / "model.h5")))


def test_fault_58_a_flatten_of_somebodys_own_is_refused_in_both_files(tmp_path: Path) -> None:
    layers = [Flatten() if isinstance(each, L.Flatten) else each for each in Parts().layers()]
    model = keras.Sequential([keras.Input((500, 500, 3)), *layers])
    assert "none of Keras itself" in refusal(from_main(save(model, tmp_path / "m.keras")))
    assert "says no data_format" in refusal(save(model, tmp_path / "m.h5"))


# The file around a description.


def rewritten(path: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
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
        archive.extractall(tmp_path / "unpacked")
    assert read_weights(tmp_path / "unpacked" / "model.weights.h5").described
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", text)
    assert re_search(r"two members config\.json", refusal(path))


def test_an_h5_whose_description_is_damaged_or_of_other_weights_is_refused(
    tmp_path: Path,
) -> None:
    path = save(Parts().sequential(), tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        good = file.attrs["model_config"]
    assert '"filters": 16' in good
    for value, says in (
        (np.bytes_(b"{"), "damaged"),
        (7, "no text"),
        (good.replace('"relu"', '"my_relu"'), "activation should be one of .*, is 'my_relu'"),
        (good.replace('"filters": 16', '"filters": 17'), "weights don't fit the model"),
        (np.array(["a", "b"], dtype="S"), "no text"),
    ):
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = value
        assert re_search(says, refusal(path))
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = np.bytes_(good.encode())
        file.attrs["backend"] = "theano"
    assert re_search("Theano", refusal(path))


def test_weights_that_are_not_there_or_no_numbers_are_refused(tmp_path: Path) -> None:
    path = save(Parts(dense1={"activation": "tanh"}).sequential(), tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        (name,) = [
            name
            for name in file["model_weights"]
            if re.fullmatch(r"conv2d_\d*[02468]|conv2d_\d*[13579]|conv2d", name)
        ][:1]
        group = file["model_weights"][name]
        key = group.attrs["weight_names"][1]
        group[key][0] = np.nan
    assert re_search("1 weights that are NaN or infinite", refusal(path))


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
    notebook = read_weights(tmp_path / "model.weights.h5").notebook
    assert notebook
    trained = [each for each in built.layers if each.get_weights()]
    for spec, each in zip(LAYERS, trained, strict=True):
        for got, expected in zip(notebook.arrays[spec.name], each.get_weights(), strict=True):
            np.testing.assert_array_equal(got, np.asarray(expected).astype(np.float32))
    built.save(tmp_path / "model.h5")
    assert re_search("its dtype is 'bfloat16'", refusal(tmp_path / "model.h5"))
