"""A model of one's own goes from file to device by the commands of docs/models.md."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

keras = pytest.importorskip("keras")

from edge import Analyzer  # noqa: E402
from edge.model.file import unpack  # noqa: E402
from tests.conftest import run_module  # noqa: E402
from tests.support import converting  # noqa: E402
from tests.support.notebook import imread  # noqa: E402
from tests.support.pictures import HELD_OUT, ROOT, SAMPLES  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.conftest import Run

pytestmark = pytest.mark.slow

LABELS = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
MAX_DELTA = {"float32": 1e-5, "int8": 0.02}
"""For the variants that the page makes."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
PAGE = (ROOT / "docs/models.md").read_text()


def seven_classes(height: int | None, width: int | None) -> Any:
    """Return a small model of depthwise and plain convolutions whose answers differ by picture."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    spread = keras.initializers.RandomNormal(stddev=4)
    return keras.Sequential(
        [
            keras.Input((height, width, 3)),
            layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(beta_initializer="random_normal"),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, padding="same"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.2),
            layers.Dense(7, activation="softmax", kernel_initializer=spread),
        ]
    )


def answers(model: Any, image_bgr: NDArray[Any]) -> NDArray[np.float64]:
    """Return Keras' answer for a picture of the model's size, preprocessed by hand: mode tf."""
    values = image_bgr[..., ::-1].astype(np.float32) / 127.5 - 1
    return np.asarray(model.predict(values[None], verbose=0)[0], np.float64)


def commands() -> list[list[str]]:
    """Return the page's commands of this project, as words, without the name."""
    block = PAGE.split("```console\n")[1].split("```")[0].replace("\\\n", " ")
    lines = [line[2:].partition("#")[0] for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("lesion-edge ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page begins with: a model, and pictures of its labels."""
    folder = tmp_path_factory.mktemp("own")
    seven_classes(96, 96).save(folder / "skin.keras")
    for number, path in enumerate(HELD_OUT[:32]):
        place = folder / ("train" if number % 2 else "validation") / LABELS[number // 2 % 7]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    (folder / "photos").mkdir()
    for path in SAMPLES:
        shutil.copy(path, folder / "photos")
    return folder


@pytest.fixture(scope="module")
def converted(folder: Path) -> Run:
    """The page's conversion."""
    (convert, *_) = commands()
    assert convert[0] == "convert"
    return run_module("edge", *convert, cwd=folder, env=ENVIRONMENT, timeout=600)


def test_the_pages_commands_lead_from_file_to_answers(folder: Path, converted: Run) -> None:
    assert converted.returncode == 0, converted.stderr
    _, *others = commands()
    assert [words[0] for words in others] == ["doctor", "run", "camera"]
    for words in others:
        if words[0] == "camera":  # none is there: the photos are played as one
            words[-2:] = ["--source", "photos", "--count", "1"]
        done = run_module("edge", *words, cwd=folder, env=ENVIRONMENT)
        assert done.returncode == 0, done.stderr
    assert "mel" in (folder / "report.html").read_text()


def test_the_contract_says_what_the_options_said(folder: Path, converted: Run) -> None:
    assert converted.returncode == 0, converted.stderr
    for variant in MAX_DELTA:
        _, document = unpack((folder / f"skin/lesion-{variant}.tflite").read_bytes(), variant)
        assert document["schema"] == 2
        size = (document["input"]["width"], document["input"]["height"])
        assert (size, document["input"]["resize"]) == ((96, 96), "stretch")
        assert (document["labels"], document["positive"]) == (LABELS, "mel")
        assert document["threshold"] is None
        assert document["output"]["activation"] == "softmax"
        assert document["weights"]["contract"]["channel_order"] == "RGB"
        assert document["parity"]["pictures"] == 16
        assert document["parity"]["auc"] is not None, "validation has folders of its labels"


def test_the_report_says_what_was_done_and_that_the_pictures_are_few(
    folder: Path, converted: Run
) -> None:
    assert converted.returncode == 0, converted.stderr
    few = "parity was judged on 16 pictures: fewer than 30 show little"
    report = json.loads((folder / "skin/report.json").read_text())
    assert few in report["notes"]
    assert few in converted.stdout
    assert few in (folder / "skin/report.md").read_text()
    for row in report["variants"]:
        assert "1 of 1 batch normalisations folded into the layers before them" in row["passes"]


@pytest.mark.parametrize("variant", MAX_DELTA)
def test_each_variant_answers_as_keras_does(folder: Path, converted: Run, variant: str) -> None:
    assert converted.returncode == 0, converted.stderr
    model = keras.models.load_model(folder / "skin.keras")
    analyzer = Analyzer(folder / f"skin/lesion-{variant}.tflite", threads=1)
    spread = []
    for path in HELD_OUT[-5:]:
        expected = answers(model, cv2.resize(imread(path), (96, 96)))
        actual = analyzer.analyze(path).probabilities
        assert list(actual) == LABELS
        delta = np.abs(np.array(list(actual.values())) - expected).max()
        assert delta <= MAX_DELTA[variant], path
        spread.append(expected)
    assert np.ptp(spread, axis=0).max() > 0.05, "else the comparison shows nothing"


def test_a_size_left_open_a_crop_and_the_projects_pictures(tmp_path: Path) -> None:
    """The answers are those for the middle of the picture, cut as Keras cuts it."""
    model = seven_classes(None, None)
    model.save(tmp_path / "open.keras")
    given = ["--preprocessing", "tf", "--labels", ",".join(LABELS), "--positive", "mel"]
    rules = tmp_path / "thresholds.json"
    rules.write_text('{"threshold": 0.2, "operating_points": {"screening": {"threshold": 0.1}}}')
    size = ["--size", "40x80", "--resize", "crop", "--thresholds", str(rules)]
    done = converting.convert(
        *("--weights", str(tmp_path / "open.keras"), *given, *size),
        *("--variants", "float32,int8", "--rounds", "1", "--out", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    notes = done.stdout.splitlines()[3:]
    assert re.match("parity was judged on pictures that are not the model's kind", notes[0])
    assert re.match("int8 was calibrated on pictures that are not the model's kind", notes[1])
    analyzer = Analyzer(tmp_path / "lesion-float32.tflite", threads=1)
    image = imread(SAMPLES[0])
    height, width = image.shape[:2]
    left = (width - height // 2) // 2
    middle = cv2.resize(image[:, left : left + height // 2], (40, 80))
    analysis = analyzer.analyze(SAMPLES[0])
    actual = np.array(list(analysis.probabilities.values()))
    np.testing.assert_allclose(actual, answers(model, middle), atol=1e-5)
    assert analysis.threshold == 0.2
    assert analyzer.contract.at("screening").threshold == 0.1


def test_one_sigmoid_that_scales_inside_from_an_h5_file(tmp_path: Path) -> None:
    """Only the order of its channels is said; answers are by hand: RGB 0..255 into the model."""
    keras.utils.set_random_seed(5)
    layers = keras.layers
    x = picture = keras.Input((60, 60, 3))
    x = layers.Rescaling(1 / 255)(x)
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.LeakyReLU(0.1)(layers.Add()([x, layers.Conv2D(8, 1)(x)]))
    x = layers.GlobalAveragePooling2D()(x)
    spread = keras.initializers.RandomNormal(stddev=2)
    model = keras.Model(picture, layers.Dense(1, "sigmoid", kernel_initializer=spread)(x))
    model.save(tmp_path / "one.h5")
    done = converting.convert(
        *("--weights", str(tmp_path / "one.h5"), "--channel-order", "RGB"),
        *("--variants", "float32,int8", "--rounds", "1", "--out", str(tmp_path)),
    )
    assert done.returncode == 0, done.stderr
    assert "not the model's kind" not in done.stdout, "benign or malignant, as the pictures are"
    for variant, allowed in MAX_DELTA.items():
        analyzer = Analyzer(tmp_path / f"lesion-{variant}.tflite", threads=1)
        for path in SAMPLES[:3]:
            values = cv2.resize(imread(path), (60, 60))[..., ::-1].astype(np.float32)
            expected = float(model.predict(values[None], verbose=0)[0, 0])
            analysis = analyzer.analyze(path)
            assert abs(analysis.probability - expected) <= allowed
            assert analysis.label == ("malignant" if expected >= 0.5 else "benign")
