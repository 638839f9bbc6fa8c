"""The weights are trained onto grids that quantisation keeps exactly."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.weights.file import read_weights
from models.training.card import make_card
from models.training.data import stratified_folds
from models.training.filters import ceil_four_bits, choose_channels, on_grid
from models.training.head import diffuse, ring_maps
from tests.support.pictures import ROOT
from tests.support.weights import notebook_weights

pytestmark = pytest.mark.slow

FIGURES = json.loads((ROOT / "models" / "figures.json").read_text())


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
def test_diffusion_keeps_every_partial_sum_to_a_step(seed: int) -> None:
    kernel = np.random.default_rng(seed).uniform(-100, 100, (500, 3))
    whole = diffuse(kernel)
    assert (whole == np.rint(whole)).all()
    assert np.abs(np.cumsum(whole - kernel, axis=0)).max() <= 0.5 + 1e-9


def test_rings_are_means_and_turn_into_themselves() -> None:
    maps = ring_maps(5, every=8).reshape(122, 122, 5)
    assert np.allclose(maps.sum((0, 1)), 1, atol=1e-5)
    used = maps[::8, ::8]
    assert np.allclose(used, np.rot90(used), atol=1e-8)
    assert np.allclose(used, used[::-1], atol=1e-8)
    assert np.count_nonzero(maps) == np.count_nonzero(used)


def test_folds_are_disjoint_stratified_and_seeded() -> None:
    malignant = np.arange(103) % 5 == 0
    folds = stratified_folds(malignant, 5, 1)
    assert (folds == stratified_folds(malignant, 5, 1)).all()
    assert sorted(np.bincount(folds[malignant])) == [4, 4, 4, 4, 5]


def test_the_channels_that_tell_are_chosen_first() -> None:
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    malignant = rng.random(400) < 0.3
    features = rng.normal(0, 1, (400, 2, 6)).astype(np.float32)
    features[malignant, 0, 4] += 2  # tells much
    features[malignant, 1, 1] += 1  # tells less, in its own way
    folds = stratified_folds(malignant, 4, 0)
    assert choose_channels(features, malignant, folds, 2, weight=2.0) == [4, 1]


def test_the_threshold_and_its_rates_are_known_for_a_case_done_by_hand() -> None:
    pytest.importorskip("sklearn")
    from models.training.figures import rates, youden_threshold

    malignant = np.array([False, False, True, False, True])
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    # Above 0.25 lie both malignant ones and one of three benign; above 0.45 one and none.
    assert youden_threshold(malignant, scores) == 0.25
    found = rates(malignant, scores, 0.25)
    assert (found["sensitivity"], found["specificity"]) == (1.0, round(2 / 3, 4))
    assert found["sensitivity_counts"] == "2 of 2 malignant"
    assert found["specificity_counts"] == "2 of 3 benign"


def test_the_shipped_weights_are_those_of_the_figures() -> None:
    weights = read_weights(ROOT / "models" / "model.h5")
    assert weights.declared is not None
    assert weights.declared["threshold"] == FIGURES["threshold"]
    for layer, (kernel, _) in notebook_weights(ROOT / "models" / "model.h5").arrays.items():
        live = int(np.abs(kernel).reshape(-1, kernel.shape[-1]).max(0).astype(bool).sum())
        assert FIGURES["live_channels"][layer] == f"{live} of {kernel.shape[-1]}"


def test_the_shipped_kernels_lie_on_8_bit_grids() -> None:
    arrays = notebook_weights(ROOT / "models" / "model.h5").arrays
    for layer in ("conv1", "conv2", "dense1"):
        kernel = arrays[layer][0].astype(np.float64)
        axes = tuple(range(kernel.ndim - 1)) if layer != "dense1" else None
        largest = np.abs(kernel).max(axis=axes)
        assert largest.any(), layer
        whole = kernel * 127 / np.where(largest > 0, largest, 1)  # a channel at zero stays so
        assert np.abs(whole - np.rint(whole)).max() < 1e-3, layer


def test_the_card_states_the_measured_figures() -> None:
    folder = ROOT / "models"
    report = json.loads((folder / "report.json").read_text())
    table = (folder / "report.md").read_text().split("\n\n")[-1].strip()
    card = (folder / "MODEL_CARD.md").read_text()
    dense = json.loads((folder / "figures-dense.json").read_text())
    assert card == make_card(FIGURES, dense, report, table)
    assert dense["live_channels"]["conv1"] == "32 of 32"
    assert f"**{FIGURES['validation']['auc']:.3f}**" in card
