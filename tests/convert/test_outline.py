"""A model file of two networks: each answers as its own Keras model, or nothing is written."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

keras = pytest.importorskip("keras")

from convert.about import read_about  # noqa: E402
from convert.errors import UsageError, WeightsError  # noqa: E402
from convert.meaning import outline_pixels  # noqa: E402
from convert.options import make_parser  # noqa: E402
from convert.quantise.preprocessing import PRESETS  # noqa: E402
from convert.verify.maps import MapBudget, compare_maps, exceeded  # noqa: E402
from convert.weights.file import Weights  # noqa: E402
from convert.weights.judge import judge  # noqa: E402
from edge import Analyzer  # noqa: E402
from edge.model.classifier import Classifier  # noqa: E402
from edge.model.file import unpack, unpack_outline  # noqa: E402
from tests.conftest import run_module  # noqa: E402
from tests.edge.test_old_runtime import PYTHON  # noqa: E402
from tests.support.converting import convert  # noqa: E402
from tests.support.notebook import imread  # noqa: E402
from tests.support.pictures import CALIBRATION, HELD_OUT, SAMPLES  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.conftest import Run

L = keras.layers
SIDE = 32
EVALUATION = [
    {"set": "seeded", "pictures": 20, "positives": 4, "auc": 0.7, "low": 0.6, "high": 0.8}
]
LEAST = {"float32": 0.999, "int8": 0.97}
"""Mean Jaccard index, by variant."""


def u_net(activation: str = "sigmoid", outputs: int = 1, side: int | None = SIDE) -> Any:
    """Return a small U-Net whose map is about how dark a place and what is around it are."""
    keras.utils.set_random_seed(4)
    picture = keras.Input((side, side, 3))
    x = L.DepthwiseConv2D(3, padding="same", depthwise_initializer="ones")(picture)
    fine = L.ReLU(6.0)(L.Conv2D(8, 1, kernel_initializer=keras.initializers.Constant(0.05))(x))
    x = L.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(fine)
    x = L.ReLU(6.0)(L.BatchNormalization()(x))
    x = L.UpSampling2D(2)(x)
    x = L.Add()([L.Conv2D(8, 1, activation="relu")(fine), x])
    return keras.Model(picture, L.Conv2D(outputs, 1, activation=activation)(x))


def centre(model: Any, pictures: NDArray[np.float32]) -> None:
    """Give the map's last layer a bias and a steepness: half of all places are lesion."""
    *_, last = model.layers
    kernel, bias = last.get_weights()
    last.activation = keras.activations.linear
    logits = np.asarray(model(pictures))
    last.activation = keras.activations.sigmoid
    steep = 2 / logits.std()
    last.set_weights([kernel * steep, (bias - np.median(logits)) * steep])


def classifier() -> Any:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((40, 40, 3)),
            L.Conv2D(8, 3, strides=2, activation="relu"),
            L.GlobalAveragePooling2D(),
            L.Dense(1, activation="sigmoid", kernel_initializer="random_normal"),
        ]
    )


def inputs(image_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the outline's input by hand: RGB / 255, 32 x 32."""
    small = cv2.resize(image_bgr, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR_EXACT)
    values: NDArray[np.float32] = small[..., ::-1].astype(np.float32)[None] / np.float32(255)
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    model = u_net()
    centre(model, np.concatenate([inputs(imread(path)) for path in HELD_OUT[:8]]))
    model.save(folder / "outline.keras")
    classifier().save(folder / "skin.keras")
    for name, paths in (("calibration", CALIBRATION[::6]), ("held_out", HELD_OUT[:12])):
        (folder / name).mkdir()
        for path in paths:
            shutil.copy(path, folder / name)
    (folder / "figures.json").write_text(json.dumps(EVALUATION))
    return folder


def options(folder: Path) -> list[str]:
    words = [
        *("--weights", folder / "skin.keras", "--outline", folder / "outline.keras"),
        *("--preprocessing", "keras", "--interpolation", "linear_exact", "--rounds", "2"),
        *("--calibration", folder / "calibration", "--held-out", folder / "held_out"),
        *("--file-name", "dermoscopy", "--out", folder / "out"),
        *("--max-delta", "int8=0.1", "--mean-delta", "int8=0.1", "--flips", "int8=1"),
    ]
    return list(map(str, words))


@pytest.fixture(scope="module")
def converted(folder: Path) -> Run:
    more = ("--licence", "CC0-1.0", "--evaluation", folder / "figures.json")
    done = convert(*options(folder), "--variants", ",".join(LEAST), *more)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_the_files_have_the_name_and_the_contract_what_was_said(
    folder: Path, converted: Run
) -> None:
    names = [f"dermoscopy-{variant}.tflite" for variant in LEAST]
    reports = ["dermoscopy-report.json", "dermoscopy-report.md"]
    assert sorted(path.name for path in (folder / "out").iterdir()) == [*names, *reports]
    report = json.loads((folder / "out" / reports[0]).read_text())
    for row, name in zip(report["variants"], names, strict=True):
        data = (folder / "out" / name).read_bytes()
        _, document = unpack(data, name)
        outline = document["outline"]
        assert document["segmentation"] == "outline"
        assert document["licence"] == "CC0-1.0"
        assert document["evaluation"] == EVALUATION
        assert (outline["input"]["width"], outline["threshold"]) == (SIDE, 0.5)
        assert outline["input"]["interpolation"] == "linear_exact"
        assert outline["parity"]["pictures"] == 12
        assert row["outline"]["parity"]["jaccard"] == outline["parity"]["jaccard"]
        assert row["outline"]["bytes"] == len(unpack_outline(data, name) or b"")
    for text in (converted.stdout, (folder / "out" / reports[1]).read_text()):
        assert "Jaccard" in text


@pytest.mark.slow
@pytest.mark.parametrize("variant", LEAST)
def test_the_outline_is_that_of_keras(folder: Path, converted: Run, variant: str) -> None:
    assert converted.returncode == 0
    model = keras.models.load_model(folder / "outline.keras")
    network = Classifier(folder / f"out/dermoscopy-{variant}.tflite").outline_network()
    assert network is not None
    indices, shares = [], []
    for path in HELD_OUT[-12:]:
        image = imread(path)
        theirs = np.asarray(model(inputs(image)))[0, :, :, 0] >= 0.5
        shares.append(theirs.mean())
        mine = network.predict(image) >= 0.5
        indices.append((mine & theirs).sum() / max((mine | theirs).sum(), 1))
    assert np.mean(indices) >= LEAST[variant]
    assert 0.2 < np.mean(shares) < 0.8, "else the comparison shows nothing"


@pytest.mark.slow
def test_an_outline_over_budget_is_named_and_nothing_is_written(
    folder: Path,
) -> None:
    more = ("--variants", "int8", "--outline-jaccard", "int8=1", "--out", folder / "none")
    done = convert(*options(folder), *more)
    assert done.returncode == 1
    assert "int8: the outline's mean Jaccard index is 0.9" in done.stderr
    assert "or --outline-jaccard" in done.stderr
    assert not (folder / "none").exists()


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="no second environment")
def test_both_runtimes_outline_alike(folder: Path, converted: Run) -> None:
    assert converted.returncode == 0
    for variant in LEAST:
        path = folder / f"out/dermoscopy-{variant}.tflite"
        done = run_module("edge.run", SAMPLES[0], "--model", path, "--json", python=PYTHON)
        assert done.returncode == 0, done.stderr
        theirs = json.loads(done.stdout.splitlines()[0])["lesion"]
        mine = Analyzer(path, threads=1).analyze(SAMPLES[0]).to_dict()["lesion"]
        assert theirs["share"] == pytest.approx(mine["share"], abs=0.01), variant


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"activation": "linear"}, "its map is no probability: it ends with layer .* linear; add"),
        ({"outputs": 2}, r"its output is \(batch, 32, 32, 2\); the outline of a lesion is read"),
    ],
)
def test_what_gives_no_map_of_probabilities_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(WeightsError, match=says):
        judge(u_net(**change), to_map=True)


def test_a_classifier_is_no_outline_and_an_outline_no_classifier() -> None:
    assert judge(u_net(), to_map=True).size_wh == (SIDE, SIDE)
    assert judge(u_net(side=None), to_map=True).size_wh is None
    with pytest.raises(WeightsError, match="the outline of a lesion is read from a map"):
        judge(classifier(), to_map=True)
    with pytest.raises(WeightsError, match=r"\(batch, 32, 32, 1\); probabilities are"):
        judge(u_net())


def test_pixels_are_the_classifiers_unless_that_would_be_a_guess() -> None:
    model = keras.Sequential([keras.Input((32, 32, 3)), L.Rescaling(1 / 255), u_net()])
    scaling = Weights("", "scaling.keras", None, lambda: model)
    plain = Weights("", "plain.keras", None, u_net)
    same = make_parser("convert", None).parse_args([])
    raw = make_parser("convert", None).parse_args(["--outline-preprocessing", "RGB"])
    assert outline_pixels(same, plain, plain, PRESETS["tf"]) == PRESETS["tf"]
    assert not outline_pixels(raw, scaling, plain, PRESETS["tf"]).scales
    with pytest.raises(UsageError, match="would scale it again"):
        outline_pixels(same, scaling, plain, PRESETS["keras"])
    with pytest.raises(UsageError, match="scales them itself: give --outline-preprocessing"):
        outline_pixels(same, plain, scaling, PRESETS["notebook"])


def test_jaccard_indices_by_hand() -> None:
    expected = np.zeros((3, 2, 2), np.float32)
    expected[0, 0] = 0.9  # two of four places
    expected[1, 0, 0] = 0.9
    actual = expected.copy()
    actual[0, 0, 1] = 0.4  # one of two is left
    parity = compare_maps(["a", "b", "c"], expected, actual, 0.5)
    assert parity.jaccard == pytest.approx((0.5 + 1 + 1) / 3), "no lesion in both is all alike"
    assert (parity.jaccard_least, parity.worst) == (0.5, "a")
    assert parity.max_delta == pytest.approx(0.5)
    assert exceeded(parity, MapBudget(jaccard=0.8)) == []
    assert len(exceeded(parity, MapBudget(jaccard=0.9, max_delta=0.1))) == 2
    actual[2] = np.nan
    broken = compare_maps(["a", "b", "c"], expected, actual, 0.5)
    assert exceeded(broken, MapBudget(jaccard=0.0)), "no number is over any budget"
    assert broken.to_dict()["max_delta"] is None


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ([{**EVALUATION[0], "auc": 1.5}], r"evaluation\[0\].auc must be a number from 0 to 1"),
        ([{**EVALUATION[0], "low": 0.9}], r"evaluation\[0\].low must be a number from 0 to 0.7"),
        ([{"set": "x"}], r"has no 'evaluation\[0\].pictures'"),
        ({}, "evaluation must be a list of objects"),
    ],
)
def test_figures_are_checked_as_a_device_reads_them(
    tmp_path: Path, figures: object, says: str
) -> None:
    (tmp_path / "f.json").write_text(json.dumps(figures))
    with pytest.raises(UsageError, match=says):
        read_about(given("--evaluation", tmp_path / "f.json"))


def test_what_is_no_json_and_a_licence_of_two_lines_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f.json").write_bytes(b"\xff[")
    with pytest.raises(UsageError, match=r"f.json: no JSON"):
        read_about(given("--evaluation", tmp_path / "f.json"))
    with pytest.raises(UsageError, match="can't be read"):
        read_about(given("--evaluation", tmp_path / "none.json"))
    with pytest.raises(UsageError, match="licence must be"):
        read_about(given("--licence", "a\nb"))
    assert read_about(given()) == {}


def test_what_our_weights_declare_goes_into_the_contract_and_an_option_comes_first() -> None:
    evaluation = {"set": "x", "pictures": 9, "positives": 2, "auc": 0.8, "low": 0.7, "high": 0.9}
    declared = {"name": "lesion", "licence": "CC0-1.0", "evaluation": [evaluation]}
    assert read_about(given(), declared) == {"licence": "CC0-1.0", "evaluation": [evaluation]}
    assert read_about(given("--licence", "MIT"), declared)["licence"] == "MIT"
    with pytest.raises(UsageError, match=r"what the weights declare.*licence must be"):
        read_about(given(), {"licence": 3})


def given(*words: object) -> Any:
    return make_parser("convert", None).parse_args(list(map(str, words)))
