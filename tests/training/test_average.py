"""An average of runs."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from models.training.average import measure_batch_norm


def test_batch_norm_has_the_mean_and_variance_of_all_that_it_was_shown() -> None:
    """Of equally large batches; the variance is the mean of the batches' own."""
    norm = keras.layers.BatchNormalization(momentum=0.99)
    network = keras.Sequential([keras.Input((4, 4, 3)), norm])
    batches = np.random.default_rng(0).normal(3, 2, (5, 8, 4, 4, 3)).astype(np.float32)

    measure_batch_norm(network, list(batches))

    assert norm.moving_mean.numpy() == pytest.approx(batches.mean(axis=(0, 1, 2, 3)), rel=1e-5)
    variance = batches.var(axis=(1, 2, 3)).mean(axis=0)
    assert norm.moving_variance.numpy() == pytest.approx(variance, rel=1e-4)
    assert norm.momentum == 0.99
