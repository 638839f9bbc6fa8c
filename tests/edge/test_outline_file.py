"""A model file with a second network: written in one way, and refused whatever is amiss with it."""

from __future__ import annotations

import io
import json
import random
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from edge import Analyzer, ModelError
from edge.model.file import pack, unpack, unpack_outline
from tests.support import dark
from tests.support.pictures import MODELS

from .test_modelfile import put

if TYPE_CHECKING:
    from pathlib import Path

OUTLINE = dark.flatbuffer("int8").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return dark.write_model(tmp_path_factory.mktemp("model") / "m.tflite").read_bytes()


def changed(path: Path, whole: bytes, key: str, value: object) -> Path:
    """Write the model with another value in its contract; None takes the key away."""
    flatbuffer, document = unpack(whole, "model")
    path.write_bytes(pack(flatbuffer, json.dumps(put(document, key, value)).encode(), OUTLINE))
    return path


def test_both_networks_come_back_and_any_zip_tool_reads_the_second(whole: bytes) -> None:
    flatbuffer, document = unpack(whole, "model")
    assert flatbuffer == unpack(MODELS["int8"].read_bytes(), "model")[0]
    assert unpack_outline(whole, "model") == OUTLINE
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["model.json", "outline.tflite"]
        assert archive.read("outline.tflite") == OUTLINE
        assert json.loads(archive.read("model.json")) == document


@pytest.mark.parametrize("variant", MODELS)
def test_a_file_without_one_has_the_bytes_that_it_always_had(variant: str) -> None:
    """Golden: the shipped file, which an earlier version wrote."""
    data = MODELS[variant].read_bytes()
    flatbuffer, _ = unpack(data, variant)
    with zipfile.ZipFile(MODELS[variant]) as archive:
        assert pack(flatbuffer, archive.read("model.json")) == data
    assert unpack_outline(data, variant) is None


def test_fault_18_every_bit_flip_is_found_in_the_second_network_too(whole: bytes) -> None:
    """FAULTS 18: 300 of the bits of both, and each of the archive's behind them."""
    draw = random.Random(15)
    places = [draw.randrange(len(whole)) for _ in range(300)]
    end = whole.index(OUTLINE) + len(OUTLINE)
    for position in [*places, *range(end - 20, len(whole))]:
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            with pytest.raises(ModelError):
                unpack(bytes(damaged), "model")


def test_fault_17_a_cut_or_lengthened_file_is_refused(whole: bytes) -> None:
    """FAULTS 17, 19."""
    start = whole.index(OUTLINE)
    for data in (
        whole[:start],
        whole[: start + len(OUTLINE)],
        whole[:-1],
        whole + b"\0",
        whole[:start] + b"\0" + whole[start:],
    ):
        with pytest.raises(ModelError):
            unpack(data, "model")


def test_contract_and_file_agree_whether_there_is_one(whole: bytes) -> None:
    flatbuffer, document = unpack(whole, "model")
    text = json.dumps(document).encode()
    without = json.dumps({k: v for k, v in document.items() if k != "outline"}).encode()
    other = dark.flatbuffer("float32").read_bytes()
    for data, reason in (
        (pack(flatbuffer, text), r"^m: has no outline\.tflite"),
        (pack(flatbuffer, without, OUTLINE), "^m: has no 'outline' in its contract"),
        (pack(flatbuffer, text, other), r"^m: outline\.tflite: damaged.*SHA-256"),
        (pack(flatbuffer, text, b""), r"^m: outline\.tflite: damaged.*SHA-256"),
    ):
        with pytest.raises(ModelError, match=reason):
            unpack(data, "m")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("outline", [1], "outline must be an object"),
        ("outline.flatbuffer", None, "SHA-256"),
        ("outline.threshold", 1.5, "outline.threshold must be a number from 0 to 1, is 1.5"),
        ("outline.threshold", None, "no 'outline.threshold'"),
        ("outline.input", 5, "no 'outline.input"),
        ("outline.input.resize", "letterbox", "outline.input.resize must be 'stretch'"),
        ("outline.input.channel_order", "GRB", "outline.input.channel_order must be one of"),
        ("outline.input.width", 65, r"the graph's input is \(1, 48, 64, 3\) int8, its contract"),
        ("outline.input.dtype", "uint8", "outline.input.zero_point"),
        ("outline.output.activation", "softmax", "outline.output.activation must be one of sigm"),
        ("outline.output.scale", 0.1, r"outline\.tflite: the graph's output has \(scale"),
        ("outline.output.dtype", "uint8", "outline.output.zero_point"),
        ("segmentation", "both", "segmentation must be one of otsu, outline, is 'both'"),
    ],
)
def test_fault_20_a_contract_that_cant_be_honoured_is_refused_by_name(
    whole: bytes, key: str, value: object, reason: str, tmp_path: Path
) -> None:
    """FAULTS 20."""
    with pytest.raises(ModelError, match=reason) as caught:
        Analyzer(changed(tmp_path / "m.tflite", whole, key, value))
    assert str(caught.value).startswith("m.tflite: ")
    assert str(caught.value).isprintable()


def test_what_isnt_said_is_otsu(whole: bytes, tmp_path: Path) -> None:
    assert Analyzer(changed(tmp_path / "m", whole, "segmentation", None)).segmentation == "otsu"


def test_a_contract_cant_ask_for_an_outline_of_a_model_that_has_none(tmp_path: Path) -> None:
    flatbuffer, document = unpack(MODELS["int8"].read_bytes(), "model")
    path = tmp_path / "m.tflite"
    path.write_bytes(pack(flatbuffer, json.dumps(document | {"segmentation": "outline"}).encode()))
    with pytest.raises(ModelError, match="must be 'otsu' where there is no 'outline'"):
        Analyzer(path)


def test_a_classifier_is_no_outline_network(whole: bytes, tmp_path: Path) -> None:
    flatbuffer, document = unpack(whole, "model")
    outline = {**dark.describe(), "flatbuffer": document["flatbuffer"], "input": document["input"]}
    contract = json.dumps(document | {"outline": outline}).encode()
    path = tmp_path / "m.tflite"
    path.write_bytes(pack(flatbuffer, contract, flatbuffer))
    with pytest.raises(ModelError, match=r"the graph's output is .*, not one map, \(1, height"):
        Analyzer(path)


def test_a_contract_beside_a_file_has_no_second_network(whole: bytes, tmp_path: Path) -> None:
    flatbuffer, document = unpack(whole, "model")
    model, contract = tmp_path / "plain.tflite", tmp_path / "c.json"
    model.write_bytes(flatbuffer)
    contract.write_text(json.dumps(document))
    with pytest.raises(ModelError, match=r"c\.json: has an 'outline'.*leave it out"):
        Analyzer(model, contract=contract)


def test_a_contract_of_schema_1_has_none(whole: bytes, tmp_path: Path) -> None:
    flatbuffer, document = unpack(whole, "model")
    first: dict[str, Any] = {**document, "schema": 1}
    first["input"] = {k: v for k, v in first["input"].items() if k not in ("resize", "values")}
    first["output"] = {k: v for k, v in first["output"].items() if k != "activation"}
    del first["positive"]
    path = tmp_path / "m.tflite"
    path.write_bytes(pack(flatbuffer, json.dumps(first).encode(), OUTLINE))
    with pytest.raises(ModelError, match="schema must be 2 where there is a 'outline'"):
        Analyzer(path)
