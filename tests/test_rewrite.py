from __future__ import annotations

import math
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.calibration import observe_ranges
from convert.document import RESIZE
from convert.errors import ExportError, UsageError
from convert.export import export_float32, quantise
from convert.pictures import SHIPPED, load_set, resized
from convert.rewrite import (
    SampledPlan,
    body_only,
    build_compacted,
    build_sampled,
    compact,
    find_lattice,
    plan,
    rewrite,
    verify,
)
from convert.rewrite.apply import apply_plan
from convert.rewrite.body import Body, Stage, drop_dead, read_body
from convert.rewrite.cost import TARGETS
from convert.rewrite.emit import Emitter
from convert.rewrite.graph import Graph
from convert.rewrite.lattice import Axis, Window, window_kernel
from convert.rewrite.layouts import PLAIN, Layout, Shape
from convert.rewrite.plan import Geometry, Plan, candidates
from convert.rewrite.schema import schema
from convert.rewrite.stages import apply_layout, pack_kernel

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Arrays = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

DENSE = {"conv1": 32, "conv2": 16, "dense1": 10}


def full_arrays(seed: int) -> Arrays:
    """Weights of the full network for raw bytes, random, yet with answers that vary."""
    draw = np.random.default_rng(seed)

    def layer(shape: tuple[int, ...], size: float, bias: float) -> Any:
        kernel = draw.normal(0, size, shape).astype(np.float32)
        return kernel, draw.normal(0, bias, shape[-1]).astype(np.float32)

    return {
        "conv1": layer((4, 4, 3, 32), 1e-3, 0.05),
        "conv2": layer((4, 4, 32, 16), 0.05, 0.05),
        "dense1": layer((122 * 122 * 16, 10), 2e-3, 0.1),
        "dense2": layer((10, 1), 0.5, 0.1),
    }


def silence(arrays: Arrays, live1: int, live2: int) -> Arrays:
    """Leave so many channels of the convolutions; the others become constants."""
    silent = dict(arrays)
    for name, live in (("conv1", live1), ("conv2", live2)):
        kernel, bias = silent[name][0].copy(), silent[name][1].copy()
        kernel[..., 1 : bias.size - live + 1] = 0
        silent[name] = (kernel, bias)
    return silent


def to_int8(arrays: Arrays) -> bytes:
    float32 = export_float32(build_compacted(arrays), dtype="float32")
    pictures = load_set(SHIPPED / "calibration", ())[::16]
    images = (resized(picture, RESIZE) for picture in pictures)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about preserved tensors, and channels of zeros
        return quantise(float32, "int8", observe_ranges(float32, images, lambda _: None))


@pytest.fixture(scope="session")
def plain() -> bytes:
    return to_int8(full_arrays(1))


@pytest.fixture(scope="session")
def sparse() -> Arrays:
    return silence(full_arrays(2), 8, 8)


@pytest.fixture(scope="session")
def compacted(sparse: Arrays) -> bytes:
    return to_int8(compact(sparse)[0])


@pytest.fixture(scope="session")
def images() -> list[tuple[str, NDArray[np.uint8]]]:
    return [(picture.name, resized(picture, RESIZE)) for picture in load_set(SHIPPED, ())]


@pytest.mark.parametrize("tune_for", TARGETS)
@pytest.mark.parametrize("model", ["plain", "compacted"])
def test_every_int8_value_of_the_body_stays(
    model: str, tune_for: str, images: Any, request: pytest.FixtureRequest
) -> None:
    """On every picture of the project, on random and on extreme bytes."""
    before = request.getfixturevalue(model)
    after = rewrite(before, tune_for=tune_for)
    proof = verify(before, after, images)
    assert proof.pictures > len(images) > 100
    assert proof.values == 10 * proof.pictures


def test_two_threads_change_nothing(plain: bytes, images: Any) -> None:
    verify(plain, rewrite(plain), images[:4], threads=2)


def test_the_outside_of_the_graph_stays(plain: bytes) -> None:
    before, after = Graph(plain), Graph(rewrite(plain))
    for graph in (before, after):
        assert graph.shape(graph.input) == (1, 500, 500, 3)
        assert graph.dtype(graph.input) == schema().TensorType.INT8
        assert [each.tolist() for each in graph.quantization(graph.input)] == [[1.0], [-128]]
        assert graph.shape(graph.output) == (1, 1)
        assert graph.dtype(graph.output) == schema().TensorType.FLOAT32


def test_the_same_bytes_every_time(plain: bytes) -> None:
    assert rewrite(plain) == rewrite(plain)


def test_rewriting_costs_less_by_the_model(plain: bytes, compacted: bytes) -> None:
    assert plan(plain).cost < 0.9
    assert plan(compacted).cost < 0.5
    assert "conv1" in str(plan(plain))


def test_an_unknown_processor_is_refused(plain: bytes) -> None:
    with pytest.raises(UsageError, match=r"x86 or arm, not for 'sparc'"):
        rewrite(plain, tune_for="sparc")


def test_dead_channels_of_the_plain_conversion_go_too(sparse: Arrays, images: Any) -> None:
    """Without compaction, the channels of zeros that ReLU holds at 0 are left out of int8."""
    before = to_int8(sparse)
    body = read_body(Graph(before))
    left = drop_dead(body)
    assert left.stages[0].channels < body.stages[0].channels == 32
    assert left.stages[1].channels < body.stages[1].channels == 16
    verify(before, rewrite(before), images[:8])


def test_a_wrong_rewrite_is_caught(plain: bytes, images: Any) -> None:
    """One weight of conv1, off by a few steps, is found, and the message says on what."""
    wrong = Graph(rewrite(plain))
    conv = schema().BuiltinOperator.CONV_2D
    operator = next(each for each in wrong.operators if wrong.code(each) == conv)
    kernel = int(operator.inputs[1])
    values = wrong.values(kernel, np.int8).copy()
    values[3, 1, 0, 2] ^= 0x20
    scale, zero_point = wrong.quantization(kernel)
    shape, dtype = values.shape, wrong.dtype(kernel)
    changed = wrong.add_tensor(
        "wrong", shape, dtype, scale=scale, zero_point=zero_point, values=values
    )
    operator.inputs = [operator.inputs[0], changed, operator.inputs[2]]
    with pytest.raises(ExportError, match=r"differs from the plain one on .+: \d+ of 10 int8"):
        verify(plain, wrong.to_bytes(), images)


def test_another_number_of_values_is_caught(plain: bytes, images: Any) -> None:
    arrays = full_arrays(1)
    arrays["dense1"] = tuple(each[..., :7] for each in arrays["dense1"])  # type: ignore[assignment]
    arrays["dense2"] = (arrays["dense2"][0][:7], arrays["dense2"][1])
    with pytest.raises(ExportError, match=r"gives \(1, 7\) values"):
        verify(plain, to_int8(arrays), images)


def test_a_graph_of_another_kind_is_refused(plain: bytes) -> None:
    graph = Graph(plain)
    graph.operators[0].builtinOptions.strideH = 2
    with pytest.raises(ExportError, match="conv1 has the options"):
        rewrite(graph.to_bytes())
    graph = Graph(plain)
    graph.output = int(graph.operators[1].outputs[0])
    del graph.operators[2:]
    with pytest.raises(ExportError, match="not rewritten: its operations are"):
        rewrite(graph.to_bytes())
    with pytest.raises(ExportError, match="no dense layer"):
        body_only(graph.to_bytes())


def test_bytes_that_are_no_flatbuffer_are_refused() -> None:
    with pytest.raises(ExportError):
        rewrite(b"nonsense")


# Layouts, on small pictures


def small_graph(shape: tuple[int, ...], scale: float = 1.0) -> Graph:
    """Return a graph with an int8 input and nothing in it."""
    import flatbuffers  # type: ignore[import-untyped, unused-ignore]

    kinds = schema()
    model, graph = kinds.ModelT(), kinds.SubGraphT()
    tensor, options = kinds.TensorT(), kinds.QuantizationParametersT()
    options.scale = np.array([scale], np.float32)
    options.zeroPoint = np.array([-128], np.int64)
    tensor.name, tensor.shape, tensor.type, tensor.buffer = "image", list(shape), 9, 0
    tensor.quantization = options
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [tensor], [], [0], [0]
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], []
    model.buffers = [kinds.BufferT()]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    return Graph(bytes(builder.Output()))


def small_stage(draw: np.random.Generator, inputs: int, outputs: int, kernel: int = 4) -> Stage:
    scale = np.full(outputs, 0.01, np.float32)
    return Stage(
        name="conv1",
        kernel=draw.integers(-127, 128, (outputs, kernel, kernel, inputs)).astype(np.int8),
        kernel_scale=scale,
        bias=draw.integers(-9000, 9000, outputs).astype(np.int32),
        bias_scale=scale,
        out_scale=np.array([4.0 * kernel * inputs**0.5], np.float32),
    )


def outputs_of(graph: Graph, emit: Emitter, tensor: int, image: NDArray[np.int8]) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    graph.operators[:] = emit.operators
    graph.output = tensor
    interpreter = Interpreter(model_content=graph.to_bytes(), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@settings(max_examples=30, deadline=None, database=None)
@given(
    height=st.integers(8, 21),
    width=st.integers(8, 30),
    inputs=st.integers(1, 9),
    outputs=st.integers(1, 20),
    batch=st.integers(1, 2),
    spare=st.integers(0, 1),
    seed=st.integers(0, 999),
)
def test_every_layout_that_fits_gives_the_same_values(
    *, height: int, width: int, inputs: int, outputs: int, batch: int, spare: int, seed: int
) -> None:
    """Also where the next layer doesn't look at the last pooled row and column."""
    draw = np.random.default_rng(seed)
    stage = small_stage(draw, inputs, outputs)
    image = draw.integers(-128, 128, (batch, height, width, inputs)).astype(np.int8)
    shape = Shape(height, width, inputs, (4, 4), outputs)
    rows, columns = shape.pooled_hw
    needed_hw = (rows - spare, columns - spare)
    expected = None
    for layout in candidates(shape, needed_hw):
        graph = small_graph(image.shape)
        emit = Emitter(graph)
        tensor = apply_layout(emit, stage, graph.input, layout, needed_hw)
        actual = outputs_of(graph, emit, tensor, image)
        assert actual.shape[1:3] == layout.pooled_hw(shape, needed_hw), layout
        if expected is None:
            assert layout is PLAIN
            expected = actual
        np.testing.assert_array_equal(
            actual, expected[:, : actual.shape[1], : actual.shape[2]], str(layout)
        )


def test_many_layouts_fit_the_real_stages() -> None:
    assert len(list(candidates(Shape(500, 500, 3, (4, 4), 32), (247, 247)))) > 15
    assert len(list(candidates(Shape(248, 248, 8, (4, 4), 8), (122, 122)))) > 10


def test_a_packed_kernel_has_the_same_weights() -> None:
    kernel = np.arange(1, 49, dtype=np.int8).reshape(1, 4, 4, 3)
    packed = pack_kernel(kernel, [0, 1], 2)
    assert packed.shape == (2, 4, 3, 6)
    np.testing.assert_array_equal(packed[0].reshape(4, 18)[:, :12], kernel[0].reshape(4, 12))
    np.testing.assert_array_equal(packed[1].reshape(4, 18)[:, 3:15], kernel[0].reshape(4, 12))
    assert np.count_nonzero(packed) == 96


@pytest.mark.parametrize("parts", [1, 5])
@pytest.mark.parametrize("layouts", [(PLAIN, PLAIN), (Layout(2, 1, shifted=True), Layout(1, 1))])
def test_strips_are_one_batch_with_the_same_answers(
    plain: bytes, layouts: tuple[Layout, Layout], parts: int, images: Any
) -> None:
    graph = Graph(plain)
    apply_plan(graph, read_body(graph), Plan(2, parts, layouts, 1.0))
    verify(plain, graph.to_bytes(), images[:2])


def test_strips_that_do_not_divide_the_rows_are_not_cut(plain: bytes) -> None:
    body = read_body(Graph(plain))
    assert Geometry.of(body, 3) is None
    assert Geometry.of(body, 2) == Geometry(2, ((125, 247), (61, 122)))


# Dead channels of int8


def test_dead_int8_channels_are_found_by_their_bound() -> None:
    draw = np.random.default_rng(0)
    first, second = small_stage(draw, 3, 5), small_stage(draw, 5, 4)
    first.kernel[1] = 0
    first.bias[1] = 0  # always the zero point
    first.kernel[2] = -np.abs(first.kernel[2])
    first.bias[2] = -1  # never above it
    second.kernel[..., 3] = 0  # not looked at
    first.kernel[4] = 0
    first.bias[4] = 5  # constant, but not the zero point: stays
    dense = draw.integers(1, 9, (10, 2, 2, 4)).astype(np.int8)
    dense[..., 0] = 0
    left = drop_dead(Body((20, 20), (first, second), dense, 5))
    np.testing.assert_array_equal(left.stages[0].kernel, first.kernel[[0, 4]])
    np.testing.assert_array_equal(left.stages[1].kernel, second.kernel[1:][..., [0, 4]])
    np.testing.assert_array_equal(left.dense, dense[..., 1:])


def test_one_dead_channel_is_kept_for_the_graph_to_stay() -> None:
    draw = np.random.default_rng(0)
    first, second = small_stage(draw, 3, 5), small_stage(draw, 5, 4)
    dense = np.zeros((10, 2, 2, 4), np.int8)
    left = drop_dead(Body((20, 20), (first, second), dense, 5))
    assert (left.stages[0].channels, left.stages[1].channels) == (5, 1)


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


@settings(max_examples=60, deadline=None, database=None)
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
    assert [layer.total for layer in report.layers] == list(sizes)
    for layer in report.layers:
        assert left[layer.layer][1].size == layer.live >= 1
    random = draw.integers(0, 256, (4, 20, 20, 3), np.uint8)
    for image in (*random, np.zeros_like(random[0]), np.full_like(random[0], 255)):
        expected = forward(arrays, image)
        np.testing.assert_allclose(forward(left, image), expected, rtol=1e-4, atol=1e-3)


def test_compaction_reports_what_is_left(sparse: Arrays) -> None:
    left, report = compact(sparse)
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
    assert [layer.live for layer in report.layers] == [1, 1, 1]
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
    ("rows", "columns", "expected"),
    [
        (slice(0, None, 8), slice(0, None, 8), "16 x 16"),
        (slice(1, 100, 3), slice(2, None, 5), "33 x 24"),
        (slice(121, None), slice(3, 120, 29), None),
        (slice(5, 100, 47), slice(7, 121, 113), "3 x 2"),
        (slice(0, None, 2), slice(0, None, 8), None),
    ],
)
def test_only_the_places_that_dense1_looks_at_are_computed(
    sparse: Arrays, images: Any, rows: slice, columns: slice, expected: str | None
) -> None:
    """Where they lie far enough apart; and every int8 value of the body stays."""
    before = to_int8(blind(compact(sparse)[0], rows, columns))
    chosen = plan(before)
    if expected is None:
        assert not isinstance(chosen, SampledPlan)
    else:
        assert isinstance(chosen, SampledPlan)
        assert str(chosen).startswith(f"{expected} places of pool2 computed")
        assert chosen.cost < plan(to_int8(compact(sparse)[0])).cost
    verify(before, rewrite(before), images[:8])


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(0, None, 8), slice(0, None, 8)), (slice(1, 100, 3), slice(2, 100, 5))],
)
def test_the_sampled_float_network_answers_as_the_whole_one(
    sparse: Arrays, images: Any, rows: slice, columns: slice
) -> None:
    arrays = blind(compact(sparse)[0], rows, columns)
    lattice = find_lattice(arrays)
    assert lattice is not None
    assert list(lattice.rows.places) == list(range(122)[rows])
    assert list(lattice.columns.places) == list(range(122)[columns])
    whole, sampled = build_compacted(arrays), build_sampled(arrays, lattice)
    for _, image in images[:4]:
        batch = image[None].astype(np.float32)
        assert abs(float(sampled(batch)[0, 0]) - float(whole(batch)[0, 0])) < 1e-5


def test_a_network_that_looks_everywhere_has_no_lattice(sparse: Arrays) -> None:
    assert find_lattice(sparse) is None


@settings(max_examples=100, deadline=None, database=None)
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


def test_a_windows_kernel_stands_at_its_four_places() -> None:
    kernel = np.arange(1, 33, dtype=np.int8).reshape(2, 4, 4, 1)
    wide = window_kernel(kernel).reshape(2, 2, 2, 5, 5, 1)
    for row in range(2):
        for column in range(2):
            copy = wide[row, column]
            np.testing.assert_array_equal(copy[:, row : row + 4, column : column + 4], kernel)
            assert np.count_nonzero(copy) == 32


def test_a_window_is_what_one_place_is_computed_from() -> None:
    """By the receptive field's formula (Dumoulin and Visin 2016): 1, 2, 5, 10, 13."""
    assert Window.of((4, 4), (4, 4)) == Window((5, 5), (13, 13))
