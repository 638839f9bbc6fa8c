"""A network whose weights are put on int8's grid."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from models.training.rounded import round_weights


@pytest.fixture
def network() -> keras.Model:
    """A convolution, a depthwise one, and batch normalisations that do something."""
    keras.utils.set_random_seed(0)
    picture = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="a")(picture)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="a_norm")(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="b")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="b_norm")(x))
    x = layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    network = keras.Model(picture, x)
    rng = np.random.default_rng(0)
    for name in ("a_norm", "b_norm"):
        network.get_layer(name).set_weights(rng.uniform(0.5, 1.5, (4, 8)).astype(np.float32))
    return network


@pytest.fixture
def pictures() -> list[np.ndarray]:
    """Pictures of noise."""
    return list(np.random.default_rng(1).integers(0, 256, (20, 16, 16, 3), np.uint8))


def test_each_channel_has_whole_multiples_of_a_127th_of_its_largest_weight(
    network: keras.Model, pictures: list[np.ndarray]
) -> None:
    """That is the grid of int8, symmetric, a scale for each channel."""
    round_weights(network, pictures)

    for kernel in (
        network.get_layer("a").get_weights()[0].reshape(-1, 8),
        network.get_layer("b").get_weights()[0].reshape(-1, 8),
    ):
        steps = kernel / (np.abs(kernel).max(axis=0) / 127)
        assert np.abs(steps - np.rint(steps)).max() < 1e-3


def test_answers_stay_near_what_they_were(network: keras.Model, pictures: list[np.ndarray]) -> None:
    """Batch normalisation, which becomes part of the weights, among them."""
    before = network.predict_on_batch(np.stack(pictures) / np.float32(128))

    round_weights(network, pictures)

    after = network.predict_on_batch(np.stack(pictures) / np.float32(128))
    assert before.std() > 0.001
    assert after == pytest.approx(before, abs=0.01)
