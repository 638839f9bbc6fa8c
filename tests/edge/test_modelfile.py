"""A model file is exactly what was written, or it is refused: FAULTS 16 to 21 and 23."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import random
import zipfile
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import Analyzer, ModelError, PredictionError
from edge.files import open_regular
from edge.model import interpreter as edge_runtime
from edge.model.classifier import Classifier
from edge.model.contract import parse_contract
from edge.model.file import pack, unpack
from tests.support.pictures import MODELS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path


def repack(flatbuffer: bytes, document: dict[str, Any]) -> bytes:
    return pack(flatbuffer, json.dumps(document).encode())


@pytest.fixture(scope="module")
def whole() -> bytes:
    return MODELS["int8"].read_bytes()


@pytest.fixture(scope="module")
def parts(whole: bytes) -> tuple[bytes, dict[str, Any]]:
    return unpack(whole, "model")


@given(st.binary(max_size=200), st.dictionaries(st.text(), st.integers()))
def test_what_is_packed_is_unpacked(body: bytes, more: dict[str, int]) -> None:
    flatbuffer = b"\x1c\x00\x00\x00TFL3" + body
    document = {**more, "flatbuffer": {"sha256": hashlib.sha256(flatbuffer).hexdigest()}}
    assert unpack(repack(flatbuffer, document), "model") == (flatbuffer, document)


@pytest.mark.parametrize("variant", MODELS)
def test_any_zip_tool_reads_the_contract(variant: str) -> None:
    with zipfile.ZipFile(MODELS[variant]) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["model.json"]
        document = json.loads(archive.read("model.json"))
        assert archive.getinfo("model.json").external_attr >> 16 == 0o100644
    assert document == unpack(MODELS[variant].read_bytes(), "model")[1]
    assert document["variant"] == variant


@pytest.mark.parametrize("variant", MODELS)
def test_any_tflite_tool_opens_the_file(variant: str) -> None:
    interpreter = edge_runtime.load_interpreter_class()(model_path=str(MODELS[variant]))
    interpreter.allocate_tensors()
    assert [int(size) for size in interpreter.get_input_details()[0]["shape"]] == [1, 500, 500, 3]


def test_the_contract_says_all_that_a_device_needs(parts: tuple[bytes, dict[str, Any]]) -> None:
    flatbuffer, document = parts
    assert document["schema"] == 2
    assert document["flatbuffer"]["sha256"] == hashlib.sha256(flatbuffer).hexdigest()
    assert document["input"] == {
        "width": 500,
        "height": 500,
        "resize": "stretch",
        "interpolation": "linear",
        "channel_order": "BGR",
        "dtype": "int8",
        "scale": 1.0,
        "zero_point": -128,
        "values": {"scale": [1.0] * 3, "offset": [0.0] * 3},
    }
    assert document["output"]["activation"] == "sigmoid"
    assert (document["labels"], document["positive"]) == (["benign", "malignant"], "malignant")
    assert 0 < document["threshold"] < 1
    assert len(document["weights"]["sha256"]) == 64
    assert document["calibration"]["count"] == len(document["calibration"]["pictures"])
    assert document["parity"]["max_delta"] <= 0.02
    assert set(document) >= {"quantisation", "versions", "output", "name", "variant"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty"), (b"<html>", "not a TFLite model"), (bytes(5000), "not a TFLite model")],
)
def test_fault_16_what_is_no_model_is_refused_with_the_command_that_makes_one(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    """FAULTS 16."""
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"{reason}.*python -m convert"):
        Analyzer(path)


def test_fault_16_a_missing_model_is_named(tmp_path: Path) -> None:
    """FAULTS 16."""
    with pytest.raises(ModelError, match=r"none\.tflite.*python -m convert"):
        Analyzer(tmp_path / "none.tflite")


def test_fault_21_a_plain_tflite_file_is_refused(parts: tuple[bytes, dict[str, Any]]) -> None:
    """FAULTS 21: there is no contract behind it."""
    with pytest.raises(ModelError, match="without a contract"):
        unpack(parts[0], "plain.tflite")


@pytest.mark.parametrize(
    "contract",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"flatbuffer": 1}',
        b"[" * 100_000,
        b"1" * 5000,
    ],
)
def test_fault_21_a_corrupt_contract_is_refused(
    parts: tuple[bytes, dict[str, Any]], contract: bytes
) -> None:
    """FAULTS 21: its archive is as pack() writes it, its text is not a contract."""
    with pytest.raises(ModelError, match=r"^model: .*(JSON|SHA-256)") as caught:
        unpack(pack(parts[0], contract), "model")
    assert str(caught.value).isprintable()


@pytest.fixture
def no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if an interpreter is built."""
    monkeypatch.setattr(
        edge_runtime, "load_interpreter_class", lambda: pytest.fail("an interpreter saw it")
    )


@pytest.mark.usefixtures("no_interpreter")
def test_fault_17_a_cut_file_is_refused_before_an_interpreter_sees_it(
    whole: bytes, tmp_path: Path
) -> None:
    """FAULTS 17."""
    path = tmp_path / "cut.tflite"
    for length in (len(whole) // 2, len(whole) * 9 // 10, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            Classifier(path)


def test_fault_18_every_bit_flip_is_found(whole: bytes) -> None:
    """FAULTS 18: 200 seeded files of four flipped bits each, and each bit behind the flatbuffer."""
    draw = random.Random(18)
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(4):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        with pytest.raises(ModelError):
            unpack(bytes(damaged), "model")
    # A small model, so that each bit of it can be tried.
    flatbuffer = b"\x1c\x00\x00\x00TFL3 and the rest"
    document = {"flatbuffer": {"sha256": hashlib.sha256(flatbuffer).hexdigest()}}
    small = repack(flatbuffer, document)
    for position in range(len(small)):
        for bit in range(8):
            damaged = bytearray(small)
            damaged[position] ^= 1 << bit
            with pytest.raises(ModelError):
                unpack(bytes(damaged), "model")


@settings(max_examples=100)
@given(st.binary(min_size=1, max_size=40), st.booleans())
def test_fault_19_added_bytes_are_found(junk: bytes, at_the_end: bool) -> None:  # noqa: FBT001
    """FAULTS 19: the runtimes accept them."""
    data = MODELS["int8"].read_bytes()
    with pytest.raises(ModelError):
        unpack(data + junk if at_the_end else junk + data, "model")


def test_another_flatbuffer_under_the_same_contract_is_refused(
    parts: tuple[bytes, dict[str, Any]],
) -> None:
    other, _ = unpack(MODELS["float32"].read_bytes(), "other")
    with pytest.raises(ModelError, match="SHA-256"):
        unpack(repack(other, parts[1]), "model")


def put(document: dict[str, Any], key: str, value: object) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    *path, last = key.split(".")
    target = changed
    for part in path:
        target = target[part]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return changed


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("input.channel_order", "GRB", "channel_order must be one of BGR, RGB, is 'GRB'"),
        ("input.interpolation", "lanczos", "interpolation"),
        ("input.width", 0, "width"),
        ("input.height", 10**9, "height"),
        ("input.height", 500.5, "height"),
        ("input.dtype", "float16", "dtype"),
        ("input.scale", 0, "input.scale must be a number from"),
        ("input.scale", 10**400, "input.scale must be a number from"),
        ("input.scale", float("inf"), "input.scale must be a number from"),
        ("input.zero_point", 128, "input.zero_point must be a whole number from -128 to 127"),
        ("output.dtype", "int16", "output.dtype"),
        ("labels", ["benign"], "labels"),
        ("labels", ["a", "a"], "labels"),
        ("labels", ["a", 1], "labels"),
        ("labels", ["a", "b", "c"], "labels must be two for a sigmoid"),
        ("threshold", 1.5, "threshold"),
        ("threshold", float("nan"), "threshold"),
        ("threshold", "0.5", "threshold"),
        ("name", "", "name"),
    ],
)
def test_fault_20_a_contract_that_cant_be_honoured_is_refused_by_name(
    parts: tuple[bytes, dict[str, Any]], key: str, value: object, reason: str
) -> None:
    """FAULTS 20."""
    with pytest.raises(ModelError, match=reason):
        parse_contract(put(parts[1], key, value), "model")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("schema", 3, "schema 3.*newer lesion-edge"),
        ("schema", None, "no 'schema'"),
        ("schema", "1", "schema must be a whole number from 1 to 2"),
        ("schema", True, "schema must be a whole number from 1 to 2"),
        ("schema", 1, "schema must be 2 where there is a 'input.resize', is 1"),
        ("variant", None, "variant"),
        ("flatbuffer", "x", "flatbuffer"),
    ],
)
def test_fault_21_a_contract_of_a_newer_schema_or_without_a_key_is_refused(
    parts: tuple[bytes, dict[str, Any]], key: str, value: object, reason: str
) -> None:
    """FAULTS 21."""
    with pytest.raises(ModelError, match=reason):
        parse_contract(put(parts[1], key, value), "model")


@settings(max_examples=300)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda children: (
            st.lists(children, max_size=3)
            | st.dictionaries(st.sampled_from(["schema", "input", "labels", "name"]), children)
        ),
        max_leaves=6,
    )
)
def test_any_json_gives_a_contract_or_a_model_error(value: Any) -> None:
    flatbuffer = b"\x1c\x00\x00\x00TFL3"
    with pytest.raises(ModelError):
        parse_contract(unpack(pack(flatbuffer, json.dumps(value).encode()), "model")[1], "model")


@pytest.mark.parametrize(
    ("key", "value"),
    [("input.width", 400), ("input.height", 501)],
)
def test_fault_20_a_graph_of_another_shape_than_its_contract_is_refused(
    parts: tuple[bytes, dict[str, Any]], key: str, value: int, tmp_path: Path
) -> None:
    """FAULTS 20: the message says both."""
    path = tmp_path / "model.tflite"
    path.write_bytes(repack(parts[0], put(parts[1], key, value)))
    with pytest.raises(ModelError, match=rf"500.*its contract says.*{value}"):
        Classifier(path)


def test_fault_20_a_graph_of_another_type_than_its_contract_is_refused(tmp_path: Path) -> None:
    """FAULTS 20."""
    flatbuffer, _ = unpack(MODELS["float32"].read_bytes(), "float32")
    document = unpack(MODELS["int8"].read_bytes(), "int8")[1]
    document["flatbuffer"]["sha256"] = hashlib.sha256(flatbuffer).hexdigest()
    path = tmp_path / "model.tflite"
    path.write_bytes(repack(flatbuffer, document))
    with pytest.raises(ModelError, match=r"input is .*uint8.*int8"):
        Classifier(path)


def change_graph(flatbuffer: bytes, change: Callable[[Any], None]) -> bytes:
    """Return a graph after ``change`` was at TFLite's own objects of it."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = schema.ModelT.InitFromPackedBuf(bytearray(flatbuffer), 0)
    change(model)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def save_changed(path: Path, variant: str, change: Callable[[Any], None]) -> None:
    """Write a model file with a changed graph, and a contract whose hash fits it."""
    flatbuffer, document = unpack(MODELS[variant].read_bytes(), variant)
    flatbuffer = change_graph(flatbuffer, change)
    document["flatbuffer"]["sha256"] = hashlib.sha256(flatbuffer).hexdigest()
    path.write_bytes(repack(flatbuffer, document))


def head(model: Any) -> tuple[Any, Any, Any, Any]:
    """Return the tensors of the last dense layer and the sigmoid: kernel, bias, sum, answer."""
    graph = model.subgraphs[0]
    dense, sigmoid = graph.operators[-2:]
    numbers = (*dense.inputs[1:], dense.outputs[0], sigmoid.outputs[0])
    return tuple(graph.tensors[number] for number in numbers)


def test_fault_20_a_graph_of_another_class_count_is_refused(tmp_path: Path) -> None:
    """FAULTS 20: a real graph with two outputs, its contract and hash right but for that."""

    def two_classes(model: Any) -> None:
        kernel, bias, total, answer = head(model)
        for tensor in (kernel, bias):
            buffer = model.buffers[tensor.buffer]
            buffer.data = np.tile(np.array(buffer.data, np.uint8), 2)
        kernel.shape, bias.shape = [2, 10], [2]
        total.shape = answer.shape = [1, 2]

    path = tmp_path / "model.tflite"
    save_changed(path, "float32", two_classes)
    with pytest.raises(ModelError, match=r"output is \(1, 2\) .*its contract says \(1, 1\)"):
        Classifier(path)


@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_fault_20_a_graph_of_another_input_scale_is_refused(scale: float, tmp_path: Path) -> None:
    """FAULTS 20: scale 0 too."""

    def rescale(model: Any) -> None:
        graph = model.subgraphs[0]
        graph.tensors[graph.inputs[0]].quantization.scale = [scale]

    path = tmp_path / "model.tflite"
    save_changed(path, "int8", rescale)
    with pytest.raises(
        ModelError, match=r"input has .*its contract says \(1.0, -128\)|can't run this"
    ):
        Classifier(path)


@pytest.mark.parametrize(("scale", "zero_point"), [(1 / 255, 0), (1.0, 128)])
def test_fault_20_bytes_that_the_graph_would_scale_again_are_refused(
    scale: float, zero_point: int, tmp_path: Path
) -> None:
    """FAULTS 20: a uint8 input counts as its bytes only where its scale is 1 or none."""

    def rescale(model: Any) -> None:
        schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
        graph = model.subgraphs[0]
        quantization = schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = [scale], [zero_point]
        graph.tensors[graph.inputs[0]].quantization = quantization

    path = tmp_path / "model.tflite"
    save_changed(path, "float32", rescale)
    with pytest.raises(ModelError, match=r"its contract says \(1.0, 0\).*python -m convert"):
        Classifier(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_fault_24_a_model_whose_answer_is_no_number_gives_no_label(
    value: float, tmp_path: Path
) -> None:
    """FAULTS 24: on the real interpreter, from a real graph with such a weight."""

    def spoil(model: Any) -> None:
        _, bias, _, _ = head(model)
        # An infinite sum would be an answer of 1: infinity less infinity is none.
        values = np.array([value - value], np.float32)
        model.buffers[bias.buffer].data = values.view(np.uint8)

    path = tmp_path / "model.tflite"
    save_changed(path, "float32", spoil)
    with pytest.raises(PredictionError, match="nan, no probability"):
        Analyzer(path).analyze(np.zeros((9, 9, 3), np.uint8))


def test_fault_23_what_is_hashed_is_what_is_loaded(
    whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 23: the file is read once; swapping it afterwards changes nothing."""
    path = tmp_path / "model.tflite"
    path.write_bytes(whole)
    reads = []

    def counted(name: str | os.PathLike[str]) -> BinaryIO:
        reads.append(name)
        return open_regular(name)

    monkeypatch.setattr("edge.model.load.open_regular", counted)
    classifier = Classifier(path)
    path.write_bytes(b"swapped")
    assert 0 <= classifier.predict(np.zeros((9, 9, 3), np.uint8))[1] <= 1
    assert len(reads) == 1


def test_the_reader_needs_no_zip_module_but_agrees_with_it(whole: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert json.loads(archive.read("model.json")) == unpack(whole, "model")[1]
