"""A contract folded into conv1 gives what the unfolded network gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import UsageError
from convert.quantise.preprocessing import PRESETS, Preprocessing, triple

if TYPE_CHECKING:
    from numpy.typing import NDArray

numbers = st.floats(-4, 4).filter(lambda value: abs(value) > 1e-3)
contracts = st.builds(
    Preprocessing,
    st.sampled_from(["BGR", "RGB"]),
    st.tuples(numbers, numbers, numbers),
    st.tuples(numbers, numbers, numbers),
)


def convolve(image: NDArray[Any], kernel: NDArray[Any], bias: NDArray[Any]) -> NDArray[Any]:
    """Valid convolution as its definition says it, in float64."""
    height, width = kernel.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(
        image.astype(np.float64), (height, width), axis=(0, 1)
    )
    result: NDArray[Any] = np.einsum("yxcij,ijco->yxo", windows, kernel.astype(np.float64)) + bias
    return result


@settings(max_examples=60)
@given(contracts, st.integers(0, 2**32 - 1))
def test_folding_is_exact_up_to_rounding_for_any_contract(
    contract: Preprocessing, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image_bgr = rng.integers(0, 256, (9, 8, 3), np.uint8)
    kernel = rng.normal(0, 0.1, (4, 4, 3, 5)).astype(np.float32)
    bias = rng.normal(0, 0.1, 5).astype(np.float32)
    # The definition, not Preprocessing.apply: reorder, scale, add.
    ordered = image_bgr if contract.channel_order == "BGR" else image_bgr[:, :, [2, 1, 0]]
    expected = convolve(
        ordered * np.array(contract.scale) + np.array(contract.offset), kernel, bias
    )
    actual = convolve(image_bgr, *contract.fold(kernel, bias))
    size = np.abs(expected).max() + 255 * max(map(abs, contract.scale))
    assert np.abs(actual - expected).max() < 1e-5 * size


def test_the_presets_are_the_two_contracts_of_the_upstream_code() -> None:
    pixel = np.array([[[10, 20, 255]]], np.uint8)  # blue, green, red
    assert PRESETS["notebook"].apply(pixel).tolist() == [[[10.0, 20.0, 255.0]]]
    assert PRESETS["keras"].apply(pixel)[0, 0] == pytest.approx([1.0, 20 / 255, 10 / 255])


@given(contracts)
def test_a_contract_survives_json(contract: Preprocessing) -> None:
    assert Preprocessing.from_dict(contract.to_dict()) == contract


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"channel_order": "GRB", "scale": [1, 1, 1], "offset": [0, 0, 0]},
        {"channel_order": "BGR", "scale": [1, 0, 1], "offset": [0, 0, 0]},
        {"channel_order": "BGR", "scale": [1, float("nan"), 1], "offset": [0, 0, 0]},
        {"channel_order": "BGR", "scale": [1, 1], "offset": [0, 0, 0]},
        {"channel_order": "BGR", "scale": ["x", 1, 1], "offset": [0, 0, 0]},
    ],
)
def test_a_contract_that_means_nothing_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Preprocessing.from_dict(values)


def test_one_number_stands_for_three() -> None:
    assert triple("0.5") == (0.5, 0.5, 0.5)
    assert triple(["1", "2", "3"]) == (1.0, 2.0, 3.0)
    with pytest.raises(ValueError, match="unpack"):
        triple([1, 2])
