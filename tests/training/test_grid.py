"""The notebook's network is put on grids that quantisation keeps exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.network import LAYERS
from models.training.grid import ceil_four_bits, diffused, on_grid, on_grids
from tests.support.pictures import ROOT
from tests.support.weights import notebook_weights


@given(st.floats(1e-6, 1e6))
def test_a_step_has_four_bits_and_is_not_below_its_value(value: float) -> None:
    step = float(ceil_four_bits(np.array([value]))[0])
    assert value <= step <= value * 1.125
    mantissa = np.frexp(step)[0] * 16
    assert mantissa == round(mantissa)


@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_a_kernel_on_its_grid_survives_int8_and_float16(seed: int, size: float) -> None:
    """As the quantisers do it: a step of largest / 127, rounding to the nearest."""
    kernel = np.random.default_rng(seed).normal(0, size, (4, 4, 3, 5))
    gridded, factor = on_grid(kernel)
    largest = np.abs(gridded).reshape(-1, 5).max(0)
    step = (largest / np.float32(127)).astype(np.float32)
    whole = np.rint(gridded / step)
    assert np.abs(whole).max() == 127
    assert (whole * step == gridded).all()
    assert (gridded.astype(np.float16).astype(np.float32) == gridded).all()
    assert np.abs(gridded / factor - kernel).max() <= np.abs(kernel).max() / 250
    assert ((factor >= 1) & (factor <= 1.125)).all()


@given(st.integers(0, 2**32 - 1))
def test_diffusion_keeps_every_partial_sum_to_a_step_and_zeros_at_zero(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel = rng.uniform(-100, 100, (500, 3))
    kernel[::2] = 0
    kernel[rng.integers(250) * 2 + 1, 0] = 127  # so that the step is 1
    whole, factor = diffused(kernel)
    assert factor == 1
    assert (whole == np.rint(whole)).all()
    assert not whole[::2].any()
    assert np.abs(np.cumsum(whole - kernel, axis=0)).max() <= 1


def test_channels_scaled_to_their_grids_leave_the_answer_where_it_was() -> None:
    """What conv1 and conv2 are scaled by, the next layer makes up for; to rounding, they agree."""
    rng = np.random.default_rng(5)
    layers = {
        spec.name: (
            rng.normal(0, 1, spec.kernel).astype(np.float32),
            rng.normal(0, 1, spec.bias).astype(np.float32),
        )
        for spec in LAYERS
    }
    put = on_grids(layers)
    ratio1 = put["conv1"][1] / layers["conv1"][1]
    ratio2 = put["conv2"][1] / layers["conv2"][1]
    expected = {
        "conv1": layers["conv1"][0] * ratio1,
        "conv2": layers["conv2"][0] / ratio1[:, None] * ratio2,
    }
    for name, kernel in expected.items():
        largest = np.abs(kernel).reshape(-1, kernel.shape[-1]).max(0)
        assert (np.abs(put[name][0] - kernel) <= largest / 250).all()
    ratio3 = put["dense1"][1] / layers["dense1"][1]
    by_place = layers["dense1"][0].reshape(-1, 16, 10).astype(np.float64)
    wanted = (by_place / ratio2[:, None] * ratio3).sum(0)
    step = float(np.abs(put["dense1"][0]).max()) / 127
    found = put["dense1"][0].reshape(-1, 16, 10).sum(0, dtype=np.float64)
    assert found == pytest.approx(wanted, abs=2 * step)
    assert put["dense2"][0][:, 0] * ratio3 == pytest.approx(layers["dense2"][0][:, 0], rel=1e-3)


def test_the_shipped_kernels_lie_on_8_bit_grids() -> None:
    arrays = notebook_weights(ROOT / "models" / "model.h5").arrays
    for layer in ("conv1", "conv2", "dense1"):
        kernel = arrays[layer][0].astype(np.float64)
        axes = tuple(range(kernel.ndim - 1)) if layer != "dense1" else None
        largest = np.abs(kernel).max(axis=axes)
        assert largest.any(), layer
        whole = kernel * 127 / np.where(largest > 0, largest, 1)  # a channel at zero stays so
        assert np.abs(whole - np.rint(whole)).max() < 1e-3, layer
