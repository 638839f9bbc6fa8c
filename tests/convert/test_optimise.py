"""The optimised network answers as the plain one: in int8 to the bit, before that as exactly."""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.errors import ExportError
from convert.network import LAYERS, build_network, receptive_field
from convert.notebook import RESIZE
from convert.optimise import build_planned, choose, compact, find_lattice, sample, verify
from convert.optimise.lattice import Axis
from convert.optimise.layout import Layout, convolve_and_pool, pack_kernel
from convert.optimise.plan import PACKED
from convert.quantise.calibration import observe_ranges
from convert.quantise.export import export_float32, quantise
from convert.verify.pictures import SHIPPED, load_set, resized
from convert.verify.proof import body_only

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from convert.quantise.calibration import Ranges

    Arrays = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

pytestmark = pytest.mark.slow


def full_arrays(seed: int) -> Arrays:
    """Weights of the full network for raw bytes, random, yet with answers that vary."""
    draw = np.random.default_rng(seed)
    spreads = {"conv1": (1e-3, 0.05), "conv2": (0.05, 0.05), "dense1": (2e-3, 0.1)}
    arrays = {}
    for spec in LAYERS:
        size, bias = spreads.get(spec.name, (0.5, 0.1))
        kernel = draw.normal(0, size, spec.kernel).astype(np.float32)
        arrays[spec.name] = kernel, draw.normal(0, bias, spec.bias).astype(np.float32)
    return arrays


def silence(arrays: Arrays, live1: int, live2: int) -> Arrays:
    """Leave so many channels of the convolutions; the others become constants."""
    silent = dict(arrays)
    for name, live in (("conv1", live1), ("conv2", live2)):
        kernel, bias = silent[name][0].copy(), silent[name][1].copy()
        kernel[..., 1 : bias.size - live + 1] = 0
        silent[name] = (kernel, bias)
    return silent


def to_int8(arrays: Arrays) -> tuple[bytes, Ranges]:
    """Return the plain int8 graph, and the ranges that it was quantised with."""
    float32 = export_float32(build_network(arrays=arrays), dtype="float32")
    pictures = load_set(SHIPPED / "calibration", ())[::16]
    images = (resized(picture, RESIZE) for picture in pictures)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about preserved tensors, and channels of zeros
        ranges = observe_ranges(float32, images)
        return quantise(float32, "int8", ranges), ranges


def optimise(arrays: Arrays, ranges: Ranges, tune_for: str = "x86") -> bytes:
    planned = build_planned(arrays, choose(arrays, tune_for))
    return quantise(export_float32(planned, dtype="float32"), "int8", ranges)


@pytest.fixture(scope="session")
def sparse() -> Arrays:
    return compact(silence(full_arrays(2), 8, 8))[0]


@pytest.fixture(scope="session")
def images() -> list[tuple[str, NDArray[np.uint8]]]:
    return [(picture.name, resized(picture, RESIZE)) for picture in load_set(SHIPPED, ())]


@pytest.fixture(scope="session")
def plain() -> tuple[bytes, Ranges]:
    return to_int8(full_arrays(1))


@pytest.mark.parametrize(
    ("live", "layouts"),
    [
        ((32, 16), "conv1 2 columns packed, 2 shifts, conv2 as it is"),
        ((16, 8), "conv1 2 columns packed, 2 phases, conv2 1 columns packed, 2 phases"),
        ((8, 8), "conv1 4 columns packed, 4 phases, conv2 2 columns packed, 2 phases"),
    ],
)
def test_every_int8_value_of_the_body_stays(
    live: tuple[int, int], layouts: str, images: Any
) -> None:
    """On every picture of the project, on random and on extreme bytes; in each layout there is."""
    arrays = compact(silence(full_arrays(2), *live))[0]
    assert str(choose(arrays, "x86")) == f"all places of pool2, {layouts}"
    before, ranges = to_int8(arrays)
    proof = verify(before, optimise(arrays, ranges), images)
    assert proof.pictures > len(images) > 100
    assert proof.values == 10 * proof.pictures


def test_two_threads_change_nothing(plain: tuple[bytes, Ranges], images: Any) -> None:
    before, ranges = plain
    verify(before, optimise(full_arrays(1), ranges), images[:4], threads=2)


def test_the_outside_of_the_graph_stays_and_its_bytes_are_the_same_every_time(
    plain: tuple[bytes, Ranges],
) -> None:
    from ai_edge_litert.interpreter import Interpreter

    before, ranges = plain
    after = optimise(full_arrays(1), ranges)
    assert optimise(full_arrays(1), ranges) == after != before
    for flatbuffer in (before, after):
        interpreter = Interpreter(model_content=flatbuffer)
        (image,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
        assert (image["shape"].tolist(), image["dtype"]) == ([1, 500, 500, 3], np.int8)
        assert image["quantization"] == (1.0, -128)
        assert (answer["shape"].tolist(), answer["dtype"]) == ([1, 1], np.float32)


def test_a_wrong_weight_is_caught(plain: tuple[bytes, Ranges], images: Any) -> None:
    """One weight of conv1 with the other sign is found, and the message says on what."""
    before, ranges = plain
    wrong = full_arrays(1)
    wrong["conv1"][0][1, 0, 2, 3] *= -1
    with pytest.raises(ExportError, match=r"differs from the plain one on .+: \d+ of 10 int8"):
        verify(before, optimise(wrong, ranges), images)


def test_another_number_of_values_is_caught(plain: tuple[bytes, Ranges], images: Any) -> None:
    before, ranges = plain
    arrays = full_arrays(1)
    arrays["dense1"] = tuple(each[..., :7] for each in arrays["dense1"])  # type: ignore[assignment]
    arrays["dense2"] = (arrays["dense2"][0][:7], arrays["dense2"][1])
    with pytest.raises(ExportError, match=r"gives \(1, 7\) values"):
        verify(before, optimise(arrays, ranges), images)


def test_a_graph_without_a_dense_layer_is_refused() -> None:
    import tensorflow as tf

    flatbuffer = export_float32(lambda x: tf.nn.max_pool2d(x, 2, 2, "VALID"), dtype="float32")
    with pytest.raises(ExportError, match="no dense layer"):
        body_only(flatbuffer)


# Layouts, on small pictures


@settings(max_examples=40)
@given(
    height=st.integers(8, 21),
    width=st.integers(2, 7).map(lambda count: 4 * count),
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 20),
    batch=st.integers(1, 2),
    layout=st.sampled_from([Layout(1), Layout(2), Layout(1, 1), Layout(2, 1), Layout(4, 2)]),
    seed=st.integers(0, 999),
)
def test_every_layout_gives_the_same_values(
    *, height: int, width: int, inputs: int, outputs: int, batch: int, layout: Layout, seed: int
) -> None:
    """Of whole numbers, whose sums are exact in float32 in any order."""
    draw = np.random.default_rng(seed)
    kernel = draw.integers(-127, 128, (4, 4, inputs, outputs)).astype(np.float32)
    bias = draw.integers(-9000, 9000, outputs).astype(np.float32)
    image = draw.integers(0, 256, (batch, height, width, inputs)).astype(np.float32)
    expected = convolve_and_pool(image, (kernel, bias), None).numpy()
    actual = convolve_and_pool(image, (kernel, bias), layout).numpy()
    assert 0 <= expected.shape[2] - actual.shape[2] < max(layout.pooled, 1)
    np.testing.assert_array_equal(actual, expected[:, :, : actual.shape[2]])


def test_a_packed_kernel_has_the_same_weights() -> None:
    kernel = np.arange(1, 49, dtype=np.float32).reshape(4, 4, 3, 1)
    packed = pack_kernel(kernel, [0, 1], 2)
    assert packed.shape == (4, 3, 6, 2)
    rows = kernel.reshape(4, 12)
    np.testing.assert_array_equal(packed[..., 0].reshape(4, 18)[:, :12], rows)
    np.testing.assert_array_equal(packed[..., 1].reshape(4, 18)[:, 3:15], rows)
    assert np.count_nonzero(packed) == 96


# Dead channels before quantisation


def forward(arrays: Arrays, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Compute the network on a picture (height, width, 3), in double precision, before sigmoid."""
    x = image.astype(np.float64)
    for name in ("conv1", "conv2"):
        kernel, bias = (each.astype(np.float64) for each in arrays[name])
        windows = np.lib.stride_tricks.sliding_window_view(x, (4, 4), (0, 1))
        x = np.maximum(np.einsum("yxcij,ijco->yxo", windows, kernel) + bias, 0)
        rows, columns = x.shape[0] // 2, x.shape[1] // 2
        x = x[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, -1).max(axis=(1, 3))
    x = x.reshape(-1)
    for name, relu in (("dense1", True), ("dense2", False)):
        kernel, bias = (each.astype(np.float64) for each in arrays[name])
        x = x @ kernel + bias
        x = np.maximum(x, 0) if relu else x
    return x


def kill(draw: np.random.Generator, kernel: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    """Make some of a layer's channels constant, in each of the ways there are."""
    for channel in range(bias.size):
        way = draw.integers(0, 6)
        if way == 0:
            kernel[..., channel] = 0
        elif way == 1:
            kernel[..., channel] = -np.abs(kernel[..., channel])
            bias[channel] = -abs(bias[channel])
        elif way == 2:
            bias[channel] = -255 * np.abs(kernel[..., channel]).sum() * 1e4


@settings(max_examples=60)
@given(
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 4)),
    seed=st.integers(0, 9999),
)
def test_the_compacted_network_answers_alike(sizes: tuple[int, int, int], seed: int) -> None:
    """Whatever was taken out: on random, black and white pictures, to float32's last digits."""
    draw = np.random.default_rng(seed)
    one, two, units = sizes
    shapes = {
        "conv1": (4, 4, 3, one),
        "conv2": (4, 4, one, two),
        "dense1": (4 * two, units),
        "dense2": (units, 1),
    }
    arrays: Arrays = {}
    for name, shape in shapes.items():
        kernel = draw.normal(0, 0.1, shape).astype(np.float32)
        bias = draw.normal(0, 1, shape[-1]).astype(np.float32)
        if name != "dense2":
            kill(draw, kernel, bias)
        arrays[name] = (kernel, bias)
    left, report = compact(arrays)
    assert [total for _, total in report.counts.values()] == list(sizes)
    for name, (live, _) in report.counts.items():
        assert left[name][1].size == live >= 1
    random = draw.integers(0, 256, (4, 20, 20, 3), np.uint8)
    for image in (*random, np.zeros_like(random[0]), np.full_like(random[0], 255)):
        expected = forward(arrays, image)
        np.testing.assert_allclose(forward(left, image), expected, rtol=1e-4, atol=1e-3)


def test_compaction_reports_what_is_left() -> None:
    left, report = compact(silence(full_arrays(2), 8, 8))
    assert str(report) == "conv1 8 of 32 live, conv2 8 of 16 live, dense1 10 of 10 live"
    assert report.changed
    assert left["conv2"][0].shape == (4, 4, 8, 8)
    assert left["dense1"][0].shape == (122 * 122 * 8, 10)


def test_a_network_without_dead_channels_is_left_alone() -> None:
    arrays = full_arrays(3)
    left, report = compact(arrays)
    assert not report.changed
    for name, layer in arrays.items():
        for before, after in zip(layer, left[name], strict=True):
            np.testing.assert_array_equal(before, after)


def test_a_channel_that_only_just_lives_is_kept() -> None:
    """White pixels make it positive, by one part in a million."""
    arrays = full_arrays(3)
    kernel, bias = (each.copy() for each in arrays["conv1"])
    kernel[..., 0] = 1.0
    bias[0] = -255 * 48 + 0.01
    arrays["conv1"] = (kernel, bias)
    assert not compact(arrays)[1].changed
    bias[0] = -255 * 48 - 0.01
    assert str(compact(arrays)[1]).startswith("conv1 31 of 32 live")


@pytest.mark.parametrize("value", [0.0, 0.7, -0.7])
def test_a_network_that_is_constant_keeps_its_answer(value: float) -> None:
    arrays = full_arrays(4)
    arrays["conv1"] = (np.zeros((4, 4, 3, 32), np.float32), np.full(32, value, np.float32))
    left, report = compact(arrays)
    assert [live for live, _ in report.counts.values()] == [1, 1, 1]
    answer: Callable[[Arrays], Any] = partial(forward, image=np.zeros((500, 500, 3), np.uint8))
    np.testing.assert_allclose(answer(left), answer(arrays), rtol=1e-4, atol=1e-4)


# Places that dense1 doesn't look at


def blind(arrays: Arrays, rows: slice, columns: slice) -> Arrays:
    """Let dense1 look at nothing but some places of pool2."""
    kernel, bias = arrays["dense1"]
    by_place = kernel.reshape(122, 122, -1, bias.size)
    left = np.zeros_like(by_place)
    left[rows, columns] = by_place[rows, columns]
    return {**arrays, "dense1": (left.reshape(kernel.shape), bias)}


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ((slice(0, None, 8), slice(0, None, 8)), "16 x 16"),
        ((slice(1, 100, 3), slice(2, None, 5)), "33 x 24"),
        ((slice(121, None), slice(3, 120, 29)), None),
        ((slice(5, 100, 47), slice(7, 121, 113)), "3 x 2"),
        ((slice(0, None, 2), slice(0, None, 8)), None),
    ],
)
def test_only_the_places_that_dense1_looks_at_are_computed(
    sparse: Arrays, images: Any, places: tuple[slice, slice], expected: str | None
) -> None:
    """Where they lie far enough apart; and every int8 value of the body stays."""
    arrays = blind(sparse, *places)
    before, ranges = to_int8(arrays)
    for tune_for in PACKED:
        plan = choose(arrays, tune_for)
        assert str(plan).startswith(f"{expected or 'all'} places of pool2")
        verify(before, optimise(arrays, ranges, tune_for), images[:8])


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(0, None, 8), slice(0, None, 8)), (slice(1, 100, 3), slice(2, 100, 5))],
)
def test_the_sampled_float_network_answers_as_the_whole_one(
    sparse: Arrays, images: Any, rows: slice, columns: slice
) -> None:
    arrays = blind(sparse, rows, columns)
    lattice = find_lattice(arrays)
    assert lattice is not None
    assert list(lattice.rows.places) == list(range(122)[rows])
    assert list(lattice.columns.places) == list(range(122)[columns])
    whole, sampled = build_network(arrays=arrays), build_planned(arrays, sample(lattice))
    for _, image in images[:4]:
        batch = image[None].astype(np.float32)
        assert abs(float(sampled(batch)[0, 0]) - float(whole(batch)[0, 0])) < 1e-5


def test_a_network_that_looks_everywhere_has_no_lattice(sparse: Arrays) -> None:
    assert find_lattice(sparse) is None


@settings(max_examples=100)
@given(live=st.lists(st.booleans(), min_size=1, max_size=40).filter(any))
def test_an_axis_holds_every_live_place_and_starts_and_ends_with_one(live: list[bool]) -> None:
    axis = Axis.through(np.array(live))
    found = {index for index, each in enumerate(live) if each}
    places = list(axis.places)
    assert found <= set(places)
    assert places[0] in found
    assert places[-1] in found
    # No coarser one would do: the steps between neighbours have no other common divisor.
    assert axis.step == math.gcd(*np.diff(sorted(found)).tolist()) or len(found) == 1


def test_a_window_is_what_one_place_is_computed_from() -> None:
    """By the receptive field's formula (Dumoulin and Visin 2016): 1, 2, 5, 10, 13."""
    assert receptive_field("pool2") == (13, 4)
    assert receptive_field("pool2", "pool1") == (10, 4)
    assert receptive_field("pool2", "conv2") == (5, 2)
    assert receptive_field("pool2", "pool2") == (2, 2)
