"""What the networks are trained on: batches, the order of things, and the figures."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import cv2
import keras
import numpy as np
import pytest

from convert.errors import UsageError
from edge.model.reader import Reader
from edge.model.rule import parse_operating_points, parse_rule
from models.training.augment import Augmentation, Batches, Mixture
from models.training.evaluate import (
    calibration_error,
    fit_calibration,
    inputs_of,
    jaccard,
    threshold_at,
)
from models.training.loop import Example, Schedule, map_loss, train
from models.training.sources import Source, SourceSpec, load_source
from models.training.strong import find_thresholds

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SPEC = SourceSpec("set", "CC0", 1.0, masks="masks", side=32)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Return 20 pictures: bright squares on black, masked; the last is a carcinoma."""
    folder = tmp_path / "set"
    (tmp_path / "masks").mkdir()
    rows = []
    for i in range(20):
        label = "malignant" if i % 4 == 0 else "benign"
        (folder / label).mkdir(parents=True, exist_ok=True)
        mask = np.zeros((64, 64), np.uint8)
        mask[16:48, 16:48] = 255
        cv2.imwrite(str(folder / label / f"p{i}.jpg"), np.dstack([mask] * 3))
        cv2.imwrite(str(tmp_path / "masks" / f"p{i}.png"), mask)
        rows.append([f"p{i}", label, "bcc" if i == 19 else "nv", i % 5])
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["image_id", "label", "dx", "fold"], *rows])
    return load_source(tmp_path, SPEC)


def test_neither_the_held_out_fold_nor_carcinomas_are_trained_on(source: Source) -> None:
    assert source.pictures.shape == (20, 32, 32, 3)
    assert source.chosen(None, malignant=True).tolist() == [0, 4, 8, 12, 16]
    benign = source.chosen(3, malignant=False)
    assert set(source.fold[benign].tolist()) == {0, 1, 2, 4}
    assert 19 not in benign


def test_other_pictures_than_the_recipes_are_refused_unless_asked_for(
    source: Source, tmp_path: Path
) -> None:
    spec = SourceSpec("set", "CC0", 1.0, sha256=source.fingerprint)
    load_source(tmp_path, spec)
    (tmp_path / "set" / "benign" / "p1.jpg").write_bytes(
        (tmp_path / "set" / "benign" / "p2.jpg").read_bytes()
    )
    load_source(tmp_path, spec)  # the same bytes: the two are drawn alike
    cv2.imwrite(str(tmp_path / "set" / "benign" / "p1.jpg"), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(UsageError, match="--any-data"):
        load_source(tmp_path, spec)
    load_source(tmp_path, spec, any_data=True)


def test_a_mask_is_moved_as_its_picture_is(source: Source) -> None:
    still = Augmentation(
        gain=0, channel_gain=0, saturation=0, contrast=0, brightness=0, gamma=0, hair=0
    )
    batches = Batches([source], Mixture(mixup=0, count=16, augmentation=still), None)
    batch = batches.draw(64, np.random.default_rng(1))
    assert batch.inputs.shape == (16, 64, 64, 3)
    assert batch.maps.shape == (16, 16, 16, 1)
    bright = batch.inputs.mean(-1).reshape(16, 16, 4, 16, 4).mean((2, 4)) > 0
    assert (bright == (batch.maps[..., 0] > 0.5)).mean() > 0.97
    assert 0 < (batch.malignant > 0.5).sum() < 16


def test_a_generator_draws_the_same_batch_twice(source: Source) -> None:
    batches = Batches([source], Mixture(count=4), 0)
    one, two = (batches.draw(32, np.random.default_rng([3, 5])) for _ in range(2))
    for first, second in zip(one, two, strict=True):
        np.testing.assert_array_equal(first, second)


def test_stages_follow_one_another() -> None:
    schedule = Schedule(10, ((0.5, 32), (0.3, 48), (0.2, 64)))
    assert [schedule.side(step) for step in range(10)] == [32] * 5 + [48] * 3 + [64] * 2


class Stopped(Exception):  # noqa: N818
    """Stands for whatever ends a run."""


def a_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int | None
) -> list[NDArray[np.float32]]:
    """Train a tiny network for 12 steps, or until it is stopped; return its weights."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(4, name="block0_x"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    calls = []

    def draw(side: int, rng: np.random.Generator) -> Example:
        calls.append(side)
        if len(calls) == stop_at:
            raise Stopped
        inputs = rng.normal(size=(4, 8)).astype(np.float32)
        truth = (inputs.sum(1, keepdims=True) > 0).astype(np.float32)
        return Example(inputs, [truth], [np.ones(4, np.float32)])

    monkeypatch.setattr("models.training.loop._SAVE_EVERY_S", 0.0)
    schedule = Schedule(12, ((1.0, 8),), frozen_blocks=0)
    train(network, draw, ["binary_crossentropy"], [1.0], schedule, seed=1, folder=folder)
    return [np.array(weight) for weight in network.weights]


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_as_if_it_hadnt_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    whole = a_run(tmp_path / "whole", monkeypatch, None)
    with pytest.raises(Stopped):
        a_run(tmp_path, monkeypatch, 7)
    for weight, same in zip(a_run(tmp_path, monkeypatch, None), whole, strict=True):
        np.testing.assert_allclose(weight, same, rtol=1e-5, atol=1e-6)


def test_map_loss_is_zero_for_the_truth_and_large_for_its_opposite() -> None:
    truth = np.zeros((2, 4, 4, 1), np.float32)
    truth[0, :2] = 1
    assert np.all(np.asarray(map_loss(truth, truth)) < 1e-3)
    assert np.all(np.asarray(map_loss(truth, 1 - truth)) > 5)


def test_inputs_are_rgb_around_zero() -> None:
    picture = np.zeros((10, 20, 3), np.uint8)
    picture[..., 0] = 255  # blue
    inputs = inputs_of([picture], 4)
    assert inputs.shape == (1, 4, 4, 3)
    np.testing.assert_array_equal(inputs[0, 0, 0], [-127 / 128, -127 / 128, 1])


def test_jaccard_is_that_of_the_mask_s_size() -> None:
    masks = np.zeros((1, 64, 64), np.uint8)
    masks[0, :, :32] = 255
    maps = np.zeros((1, 16, 16, 1), np.float32)
    maps[0, :, :4] = 1
    assert jaccard(maps, masks)[0] == pytest.approx(0.5, abs=0.02)


def test_calibration_gives_back_the_probabilities_it_was_spoilt_from() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, 20_000)
    malignant = rng.random(20_000) < 1 / (1 + np.exp(-logits))
    slope, offset = fit_calibration(malignant, 3 * logits + 1, np.ones(20_000))
    assert slope == pytest.approx(1 / 3, abs=0.02)
    assert offset == pytest.approx(-1 / 3, abs=0.06)
    good = 1 / (1 + np.exp(-logits))
    assert calibration_error(malignant, good) < 0.02
    assert calibration_error(malignant, good**3) > 0.05


def test_the_threshold_finds_the_share_that_was_asked_for() -> None:
    probabilities = np.linspace(0, 1, 101)
    malignant = np.arange(101) % 2 == 0
    threshold = threshold_at(malignant, probabilities, 0.85, np.ones(101))
    assert (probabilities[malignant] >= threshold).mean() == pytest.approx(0.85, abs=0.02)


def test_thresholds_miss_what_their_rule_says() -> None:
    """Golden: of 300 melanomas, which count alike, so many lie below each threshold."""
    rng = np.random.default_rng(5)
    malignant = np.arange(1200) < 300
    probabilities = np.where(malignant, rng.beta(4, 3, 1200), rng.beta(2, 5, 1200))
    found = find_thresholds(malignant, probabilities, np.ones(1200))
    rule = parse_rule(Reader(found, "x"), ("benign", "malignant"))
    points = parse_operating_points(Reader(found, "x"), ("benign", "malignant"))
    missed = {
        point.operating_point: [
            int((probabilities[malignant] < edge).sum())
            for edge in (point.uncertain[0], point.threshold, point.uncertain[1])
        ]
        for point in points
        if point.uncertain is not None and point.threshold is not None
    }
    expected = {
        "screening": [10, 15, 20],
        "balanced": [30, 45, 60],
        "specific": [60, 90, 120],
    }
    assert missed.keys() == expected.keys()
    for name, counts in expected.items():  # rounded to four digits, and so a neighbour off
        assert missed[name] == pytest.approx(counts, abs=1)
    (balanced,) = (point for point in points if point.operating_point == "balanced")
    assert (rule.threshold, rule.uncertain) == (balanced.threshold, balanced.uncertain)
