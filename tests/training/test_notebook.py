"""The notebook's network is trained on windows of pictures, and answers as the whole network."""

from __future__ import annotations

import cv2
import keras
import numpy as np
import pytest

from convert.network import build_network
from models.training import notebook
from models.training.augment import random_affine, warped
from models.training.windows import (
    build_windows,
    full_arrays,
    ring_maps,
    warped_windows,
    windows,
)
from tests.support.notebook import imread
from tests.support.pictures import SAMPLES


def test_the_windows_of_a_moved_picture_are_those_that_opencv_moves() -> None:
    picture = imread(SAMPLES[0])[:256, :256]
    for seed in range(8):
        rng = np.random.default_rng(seed)
        by = notebook.MIXTURE.augmentation
        matrix = random_affine(rng, by, 256, 500, squashed=True)
        expected = windows(warped(picture, matrix, 500))
        difference = cv2.absdiff(warped_windows(picture, matrix), expected)
        # Both interpolate in 32nds of a pixel, and find them from other roundings.
        assert difference.mean() < 0.05


def test_rings_are_means_and_turn_into_themselves() -> None:
    rings = ring_maps()
    assert np.allclose(rings.sum((0, 1)), 1)
    assert np.allclose(rings, np.rot90(rings))
    assert np.allclose(rings, rings[::-1])
    centre, corner = rings[7:9, 7:9].sum((0, 1)), rings[0, 0]
    assert centre.argmax() == 0
    assert corner.argmax() == rings.shape[-1] - 1


@pytest.mark.slow
def test_the_whole_network_answers_as_that_of_its_windows() -> None:
    keras.utils.set_random_seed(3)
    network = build_windows()
    rng = np.random.default_rng(3)
    for layer in network.layers:  # as training leaves them: nothing at its first value
        layer.set_weights(
            [w + rng.uniform(0, 0.02, w.shape).astype(np.float32) for w in layer.get_weights()]
        )
    pictures = [imread(path) for path in SAMPLES[:3]]
    sizes = {"conv1": 16, "conv2": 16, "dense1": 10}
    largest = {name: rng.uniform(0.5, 2, size) for name, size in sizes.items()}

    whole = build_network()
    for name, weights in full_arrays(network, largest).items():
        whole.get_layer(name).set_weights(list(weights))

    resized = [cv2.resize(picture, (500, 500)) for picture in pictures]
    expected = whole.predict_on_batch(np.stack(resized) / np.float32(128) - 1)
    assert np.ptp(expected) > 1e-4
    assert notebook.answer(network, pictures) == pytest.approx(expected, abs=1e-5)
