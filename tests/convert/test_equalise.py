"""Channels get ranges more alike, and no answer changes by a bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from convert.quantise.calibration import open_undelegated, run_on  # noqa: E402
from convert.quantise.equalise import equalise  # noqa: E402
from convert.quantise.export import export_float32  # noqa: E402
from convert.quantise.graph import Graph  # noqa: E402

L = keras.layers


def network() -> Any:
    """Return inverted residuals, as MobileNetV2 has them, whose channels have ranges far apart."""
    keras.utils.set_random_seed(2)
    picture = keras.Input((16, 16, 3))
    x = L.Conv2D(8, 3, padding="same", activation="relu6")(picture)
    x = L.Conv2D(8, 1)(x)
    y = L.DepthwiseConv2D(3, padding="same", activation="relu6")(L.Conv2D(16, 1)(x))
    x = L.Add()([x, L.Conv2D(8, 1)(y)])
    x = L.Conv2D(8, 3, padding="same", strides=2, activation="relu")(x)
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 1, activation="tanh")(x))
    model = keras.Model(picture, L.Dense(1, activation="sigmoid")(x))
    spread = np.geomspace(0.05, 20, 8).astype(np.float32)
    for layer in model.layers:
        if isinstance(layer, L.Conv2D) and layer.filters == 8:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * spread, bias + spread / 8])
    return model


def test_no_answer_changes_by_a_bit_and_ranges_are_more_alike() -> None:
    graph = Graph(export_float32(network(), dtype="float32", size_wh=(16, 16)))
    pictures = np.random.default_rng(0).uniform(-1, 1, (4, 16, 16, 3)).astype(np.float32)
    before = list(run_on(graph.pack(), pictures))
    largest = {
        name: np.max([np.abs(each[name]).max(axis=(0, 1, 2)) for each in before], axis=0)
        for name, values in before[0].items()
        if values.ndim == 4
    }
    factors = equalise(graph, largest)
    after = list(run_on(graph.pack(), pictures))
    (answer,) = open_undelegated(graph.pack()).get_output_details()
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old[answer["name"]], new[answer["name"]])
    scaled = {graph.name(tensor): factor for tensor, factor in factors.items()}
    # The stream of the residual (two convolutions and their sum), the plain convolution into the
    # depthwise one, and ReLU; none of ReLU6 or tanh.
    assert len(scaled) == 5, list(scaled)
    for name, factor in scaled.items():
        if factor.max() > 1:
            channels = largest[name] * factor
            assert np.ptp(np.log2(channels)) < np.ptp(np.log2(largest[name])), name
    assert max(factor.max() for factor in scaled.values()) >= 4
