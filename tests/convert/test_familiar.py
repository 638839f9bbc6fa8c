"""A model whose last output says whether a picture is familiar goes through the converter."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from convert.errors import WeightsError  # noqa: E402
from convert.verify.parity import compare  # noqa: E402
from convert.weights.judge import Answer, judge  # noqa: E402
from edge import Analyzer  # noqa: E402
from edge.model.contract import parse_contract  # noqa: E402
from edge.model.file import unpack  # noqa: E402
from models.training.familiar import TAPS, attach, distance, fit_whitening, tap  # noqa: E402
from tests.convert.test_parity import pictures  # noqa: E402
from tests.support import skin  # noqa: E402
from tests.support.converting import convert  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

VARIANTS = ("float32", "float16", "dynamic", "int8")


def small(outputs: int = 1) -> Any:
    """Return a classifier with layers of the names that the distance is taken of."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    picture = keras.Input((32, 32, 3))
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name=TAPS[0])(picture)
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name=TAPS[1])(x)
    x = layers.Conv2D(12, 1, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    activation = "sigmoid" if outputs == 1 else "softmax"
    return keras.Model(picture, layers.Dense(outputs, activation=activation)(x))


def values(seed: int, count: int) -> Any:
    """Return pictures that differ in colour mostly, as (RGB - 127) / 128."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.3, 0.2, (count, 1, 1, 3)) + rng.normal(0, 0.05, (count, 32, 32, 3))


def familiar(classifier: Any) -> Any:
    tapped = tap(classifier)
    features = tapped.predict(values(0, 400), verbose=0)
    whitening = fit_whitening([features])
    return attach(classifier, tapped, whitening, float(distance(features, whitening).max()))


def test_the_distance_is_1_in_the_mean_and_the_second_output_0_5_at_the_limit() -> None:
    classifier = small()
    network, tapped = familiar(classifier), tap(classifier)
    seen = tapped.predict(values(0, 400), verbose=0)
    whitening = fit_whitening([seen])
    mean, covariance = seen.mean(0), np.cov(seen.T.astype(np.float64), bias=True)
    shrunk = covariance + 1e-2 * np.trace(covariance) / len(mean) * np.eye(len(mean))
    inputs = np.concatenate([values(1, 20), values(2, 20) - 2])
    off = tapped.predict(inputs, verbose=0) - mean
    expected = np.einsum("ij,jk,ik->i", off, np.linalg.inv(shrunk), off) / len(mean)
    np.testing.assert_allclose(distance(off + mean, whitening), expected, rtol=1e-3)
    limit = distance(seen, whitening).max()
    answers = network.predict(inputs, verbose=0)
    np.testing.assert_allclose(answers[:, :1], classifier.predict(inputs, verbose=0), atol=1e-6)
    np.testing.assert_allclose(
        answers[:, 1], 1 / (1 + np.exp((4 * (expected / limit - 1)).clip(max=80))), atol=1e-3
    )
    assert (answers[20:, 1] < 0.5).all()


def test_a_model_of_two_answers_is_taken_only_where_someone_says_what_the_second_is() -> None:
    two, seven = familiar(small()), familiar(small(7))
    assert judge(two, familiar=True) == Answer("sigmoid", 1, (32, 32))
    assert judge(seven, familiar=True) == Answer("softmax", 7, (32, 32))
    for model in (two, seven):
        with pytest.raises(WeightsError, match="says how familiar a picture is, give --familiar"):
            judge(model)
    with pytest.raises(WeightsError, match="--familiar is for a model that ends with a Concat"):
        judge(small(), familiar=True)


def test_another_decision_of_what_is_familiar_is_a_flip() -> None:
    contract = parse_contract(skin.contract(), "x")
    expected = np.array([[0.9, 0.1, 0.51]] * 4)
    actual = np.array([[0.9, 0.1, 0.49], [0.9, 0.1, 0.52], [0.4, 0.6, 0.51], [0.9, 0.1, 0.99]])
    parity = compare(pictures("bbbb"), expected, actual, contract)
    assert parity.flips == 2
    assert parity.max_delta == pytest.approx(0.5)
    without = replace(contract, familiar=None)
    assert compare(pictures("bbbb"), expected[:, :2], actual[:, :2], without).flips == 1


@pytest.mark.slow
def test_every_variant_says_what_keras_says(tmp_path: Path) -> None:
    """Of a picture of training's kind, and of black, white and noise, far outside of it."""
    model = familiar(small())
    model.save(tmp_path / "model.keras")
    options = ["--preprocessing", "tf", "--rounds", "2", "--out", str(tmp_path / "out")]
    spec = ["--weights", str(tmp_path / "model.keras")]
    budget = ["--familiar", "0.5", "--max-delta", "int8=0.1", "--mean-delta", "int8=0.1"]
    done = convert(*spec, *options, *budget)
    assert done.returncode == 0, done.stderr
    rng = np.random.default_rng(0)
    far = [np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)]
    far.append(rng.integers(0, 256, (32, 32, 3), np.uint8))
    near = [
        (each * 127.5 + 127.5).clip(0, 255).astype(np.uint8) for each in values(0, 8)[..., ::-1]
    ]
    for variant in VARIANTS:
        path = tmp_path / f"out/lesion-{variant}.tflite"
        analyzer = Analyzer(path, threads=1)
        for image in (*far, *near):
            inputs = image[None, ..., ::-1] / np.float32(127.5) - 1
            probability, value = model.predict(inputs, verbose=0)[0]
            analysis = analyzer.analyze(image)
            assert analysis.familiar == (value >= 0.5), (variant, value)
            assert analysis.probability == pytest.approx(probability, abs=0.05)
        assert unpack(path.read_bytes(), variant)[1]["familiar"] == {"limit": 0.5}


def test_someones_own_file_is_packed_with_what_its_last_output_means(tmp_path: Path) -> None:
    options = ["--channel-order", "BGR", "--familiar", "0.5", "--out", str(tmp_path)]
    options += ["--labels", "benign,malignant"]
    done = convert("--tflite", str(skin.FLATBUFFER), *options)
    assert done.returncode == 0, done.stderr
    analysis = Analyzer(tmp_path / "skin.tflite").analyze(np.zeros((16, 16, 3), np.uint8))
    assert (analysis.familiar, analysis.label) == (False, "uncertain")
