"""``python -m convert`` makes verified model files, or none; models/ is what it makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import cv2
import h5py
import numpy as np
import pytest

from convert.network import LAYERS, PARAMETER_COUNT, build_network, output_shapes
from convert.quantise.calibration import open_undelegated, operations, tensors_by_layer
from convert.verify.pictures import load_set
from convert.weights.file import write_weights
from edge import Analyzer
from edge.model.file import unpack
from tests.conftest import run_module
from tests.support.converting import convert
from tests.support.notebook import imread
from tests.support.pictures import HELD_OUT, MODELS, ROOT
from tests.support.weights import notebook_weights

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.slow

WEIGHTS = ROOT / "models" / "model.h5"
FIXTURES = [*HELD_OUT[:4], *HELD_OUT[-4:]]
MAX_DELTA = {"float32": 1e-5, "float16": 1e-3, "dynamic": 0.01, "int8": 0.02}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A conversion of the project's own weights, as ``make models`` does it."""
    out = tmp_path_factory.mktemp("converted")
    result = run_module("convert", "--out", out, "--rounds", "5", timeout=900)
    assert result.returncode == 0, result.stderr
    return out, result


@pytest.fixture(scope="module")
def keras_probabilities() -> dict[Path, float]:
    """Keras' answers, with the preprocessing written out: BGR, bilinear, (x - 128) / 128."""
    model = build_network()
    model.load_weights(WEIGHTS)  # Keras' own reader, not ours
    answers = {}
    for path in FIXTURES:
        image = cv2.resize(imread(path), (500, 500))
        values = (image.astype(np.float32) - 128) / 128
        answers[path] = float(model.predict(values[None], verbose=0)[0, 0])
    return answers


def test_the_network_has_the_upstream_shapes_and_parameters() -> None:
    """UPSTREAM's table, layer by layer."""
    model = build_network()
    assert model.count_params() == PARAMETER_COUNT == 2_391_237
    shapes = {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers}
    assert shapes.pop("image") == (500, 500, 3)
    assert output_shapes() == shapes
    assert shapes == {
        "conv1": (497, 497, 32),
        "pool1": (248, 248, 32),
        "conv2": (245, 245, 16),
        "pool2": (122, 122, 16),
        "flatten": (238144,),
        "dense1": (10,),
        "dense2": (1,),
    }
    counts = [int(np.prod(layer.kernel)) + layer.bias[0] for layer in LAYERS]
    assert counts == [1568, 8208, 2381450, 11]


@pytest.mark.parametrize("variant", MODELS)
def test_each_shipped_model_answers_as_keras_does(
    variant: str, keras_probabilities: dict[Path, float]
) -> None:
    analyzer = Analyzer(MODELS[variant], threads=1)
    assert analyzer.threshold is not None
    for path, expected in keras_probabilities.items():
        actual = analyzer.analyze(path)
        assert abs(actual.probability - expected) <= MAX_DELTA[variant], path
        if abs(expected - analyzer.threshold) > MAX_DELTA[variant]:
            assert (actual.label == "malignant") == (expected >= analyzer.threshold)


def test_four_files_the_table_and_the_report_are_written(converted: tuple[Path, Any]) -> None:
    out, result = converted
    names = [f"lesion-{variant}.tflite" for variant in MODELS]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*names, "report.json", "report.md"]
    )
    table = result.stdout.splitlines()
    assert [line.split()[0] for line in table] == ["model", *MODELS]
    assert sum("recommended" in line for line in table) == 1
    report = json.loads((out / "report.json").read_text())
    for row in report["variants"]:
        variant = row["variant"]
        assert row["bytes"] == (out / f"lesion-{variant}.tflite").stat().st_size
        assert row["parity"]["pictures"] == len(HELD_OUT)
        assert 0 <= row["parity"]["max_delta"] <= MAX_DELTA[variant]
        assert row["over_budget"] == []
        assert row["invoke_ms"]["p50"] <= row["invoke_ms"]["p95"]
    markdown = (out / "report.md").read_text()
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in rows}) == 1, "a broken table"


def test_nothing_of_tensorflows_chatter_reaches_the_user(converted: tuple[Path, Any]) -> None:
    _, result = converted
    for chatter in ("WARNING", "I0000", "E0000", "cuda", "XNNPACK", "absl", "Traceback"):
        assert chatter not in result.stderr + result.stdout


def test_models_is_what_make_models_makes(converted: tuple[Path, Any]) -> None:
    """Flatbuffers and contracts are the same to the byte, measured parity figures apart.

    Those depend on the last bits of float arithmetic, which differ between processors; they are
    compared as figures.
    """
    out, _ = converted
    for variant, shipped in MODELS.items():
        flatbuffer, document = unpack(shipped.read_bytes(), variant)
        made, made_document = unpack((out / shipped.name).read_bytes(), variant)
        assert made == flatbuffer, variant
        parity, made_parity = document.pop("parity"), made_document.pop("parity")
        document.pop("versions")
        made_document.pop("versions")
        assert made_document == document
        assert made_parity["held_out_sha256"] == parity["held_out_sha256"]
        assert made_parity["max_delta"] == pytest.approx(parity["max_delta"], abs=2e-5, rel=0.2)
        assert made_parity["auc"] == pytest.approx(parity["auc"], abs=0.01)


def test_a_budget_that_cant_be_met_writes_nothing_and_exits_1(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = convert(
        "--out",
        out,
        "--rounds",
        "1",
        "--variants",
        "float32,int8",
        "--max-delta",
        "int8=0",
        "--calibration-count",
        "4",
        "--held-out",
        few(tmp_path, 3),
    )
    assert result.returncode == 1
    assert "nothing is written" in result.stderr
    assert "Leave a variant out with --variants float32, or give" in result.stderr
    assert "int8: max |Δp| is" in result.stderr
    assert "over budget" in result.stdout
    assert not out.exists()


def test_the_rewritten_graph_answers_as_the_plain_one_to_the_bit(tmp_path: Path) -> None:
    """The shipped file is rewritten; --no-rewrite gives the graph as the quantiser writes it."""
    result = convert(
        "--out",
        tmp_path,
        "--variants",
        "int8",
        "--no-rewrite",
        "--rounds",
        "1",
    )
    assert result.returncode == 0, result.stderr
    path = tmp_path / "lesion-int8.tflite"
    assert path.read_bytes() != MODELS["int8"].read_bytes()
    plain, shipped = Analyzer(path, threads=1), Analyzer(MODELS["int8"], threads=1)
    for picture in HELD_OUT:
        assert plain.analyze(picture).probability == shipped.analyze(picture).probability


def few(folder: Path, count: int) -> Path:
    target = folder / "few"
    target.mkdir(exist_ok=True)
    for path in HELD_OUT[:count]:
        shutil.copy(path, target)
    return target


def test_a_held_out_picture_that_was_calibrated_on_is_refused(tmp_path: Path) -> None:
    folder = few(tmp_path, 2)
    result = convert("--calibration", folder, "--held-out", folder)
    assert result.returncode == 2
    assert "parity must be judged on others" in result.stderr


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our weights as someone else's file: it says nothing of its contract."""
    path = tmp_path_factory.mktemp("foreign") / "model.h5"
    write_weights(path, notebook_weights(WEIGHTS).arrays, None)
    return path


def test_preprocessing_that_contradicts_what_the_weights_say_is_refused(tmp_path: Path) -> None:
    """The proof would be against the same wrong network, and reassure."""
    result = convert("--preprocessing", "keras", "--out", tmp_path)
    assert result.returncode == 2
    assert "says itself how pixels become its input" in result.stderr
    assert "BGR, scale (0.0078125," in result.stderr
    assert not list(tmp_path.iterdir())


def test_weights_that_dont_name_their_contract_need_one(foreign: Path) -> None:
    result = convert("--weights", foreign)
    assert result.returncode == 2
    assert "--preprocessing notebook" in result.stderr
    assert "keras (RGB, divided by 255)" in result.stderr
    half = convert("--weights", foreign, "--scale", "1")
    assert half.returncode == 2
    assert "go together" in half.stderr


@pytest.mark.parametrize(
    "contract",
    [
        ["--preprocessing", "notebook"],
        ["--preprocessing", "keras"],
        ["--channel-order", "RGB", "--scale", "0.02,0.01,0.03", "--offset=-1,0.5,-2"],
    ],
)
def test_any_contract_is_folded_and_proven_against_the_unfolded_network(
    contract: list[str], foreign: Path, tmp_path: Path
) -> None:
    """The gate compares with Keras on the unfolded weights; here its budget is float32's own."""
    out = tmp_path / "out"
    result = convert(
        "--weights",
        foreign,
        "--variants",
        "float32",
        "--out",
        out,
        "--rounds",
        "1",
        "--held-out",
        few(tmp_path, 4),
        *contract,
    )
    assert result.returncode == 0, result.stderr
    document = unpack((out / "lesion-float32.tflite").read_bytes(), "model")[1]
    assert document["input"]["channel_order"] == "BGR"
    assert document["weights"]["contract"]["folded_into"] == "conv1"
    assert document["threshold"] == 0.5


def test_fault_27_weights_that_are_damaged_end_in_one_line_and_exit_1(tmp_path: Path) -> None:
    """FAULTS 27."""
    cut = tmp_path / "cut.h5"
    cut.write_bytes(WEIGHTS.read_bytes()[:5000])
    page = tmp_path / "page.h5"
    page.write_text("<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>")
    for path in (cut, page, tmp_path / "none.h5"):
        result = run_module("convert", "--weights", path, "--out", tmp_path / "out")
        assert result.returncode == 1, result.stderr
        assert path.name in result.stderr
        assert "Traceback" not in result.stderr
        assert not (tmp_path / "out").exists()


def test_fault_32_weights_that_are_no_number_name_their_layer_and_write_nothing(
    tmp_path: Path,
) -> None:
    """FAULTS 32."""
    spoilt = tmp_path / "spoilt.h5"
    shutil.copy(WEIGHTS, spoilt)
    with h5py.File(spoilt, "r+") as file:
        file["conv2/conv2/bias"][3] = np.nan
    result = convert("--weights", spoilt, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "layer conv2 has 1 weights that are NaN or infinite" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--variants", "int4"],
        ["--max-delta", "int4=1"],
        ["--max-delta", "int8=-1"],
        ["--labels", "one"],
        ["--preprocessing", "other"],
        ["--timeout", "0"],
        ["--rounds", "0"],
        ["--tune-for", "sparc"],
        ["--calibration-count", "0"],
    ],
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    result = convert(*arguments)
    assert result.returncode == 2
    assert "usage: python -m convert" in result.stderr


def details(variant: str) -> tuple[list[dict[str, Any]], list[str]]:
    interpreter = open_undelegated(unpack(MODELS[variant].read_bytes(), variant)[0])
    names = [operation["op_name"] for operation in operations(interpreter)]
    return [tensor for tensor, _ in tensors_by_layer(interpreter)], names


@pytest.mark.parametrize("variant", MODELS)
def test_every_graph_is_static_and_takes_raw_bytes(variant: str) -> None:
    tensors, operations = details(variant)
    assert tensors[0]["dtype"] is (np.int8 if variant == "int8" else np.uint8)
    for tensor in tensors:
        assert -1 not in tensor["shape_signature"].tolist()
    shape_arithmetic = {"SHAPE", "STRIDED_SLICE", "PACK", "FILL", "RANGE"}
    assert not shape_arithmetic & set(operations)


def test_the_int8_body_is_integer_and_its_head_is_not_rounded_to_256ths() -> None:
    tensors, operations = details("int8")
    assert operations[-3:] == ["DEQUANTIZE", "FULLY_CONNECTED", "LOGISTIC"]
    body = tensors[: operations.index("DEQUANTIZE") + 1]
    assert {tensor["dtype"] for tensor in body} == {np.int8}
    assert "QUANTIZE" not in operations
    analyzer = Analyzer(MODELS["int8"], threads=1)
    answers = [analyzer.analyze(path).probability for path in FIXTURES]
    assert any(abs(answer * 256 - round(answer * 256)) > 0.01 for answer in answers)


def image_of(value: int) -> NDArray[np.uint8]:
    return np.full((500, 500, 3), value, np.uint8)


def test_fault_25_black_and_white_are_as_exact_as_pictures_in_float32() -> None:
    """FAULTS 25, through the whole model: bytes 0 and 255 as Keras sees them."""
    model = build_network()
    model.load_weights(WEIGHTS)
    analyzer = Analyzer(MODELS["float32"], threads=1)
    for value in (0, 255):
        expected = float(model((image_of(value)[None].astype(np.float32) - 128) / 128)[0, 0])
        assert abs(analyzer.analyze(image_of(value)).probability - expected) <= 1e-5


@pytest.fixture(scope="module")
def scaling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network as someone else's whole model, with a Rescaling in front."""
    import keras

    from convert.network import NETWORK

    layers = [getattr(keras.layers, spec.kind)(**spec.settings, name=spec.name) for spec in NETWORK]
    front = [keras.Input((500, 500, 3)), keras.layers.Rescaling(1 / 255, name="to_one")]
    path = tmp_path_factory.mktemp("scaling") / "model.keras"
    keras.Sequential([*front, *layers]).save(path)
    return path


def test_fault_58_a_contract_that_scales_once_more_is_refused(scaling: Path) -> None:
    """58: the layer is named, and what to give instead."""
    twice = convert("--weights", scaling, "--preprocessing", "keras")
    assert twice.returncode == 2
    assert "layer 'to_one' (Rescaling) already scales the input" in twice.stderr
    assert "--channel-order RGB --scale 1 --offset 0" in twice.stderr
    none = convert("--weights", scaling)
    assert none.returncode == 2
    assert "doesn't say the order of its channels: give --channel-order RGB" in none.stderr


def test_scaling_in_front_is_part_of_the_contract_that_is_written(
    scaling: Path, tmp_path: Path
) -> None:
    """The gate's reference has Keras' own layer in it."""
    out = tmp_path / "out"
    result = convert(
        "--weights",
        scaling,
        "--variants",
        "float32",
        "--out",
        out,
        "--rounds",
        "1",
        "--held-out",
        few(tmp_path, 4),
        "--channel-order",
        "RGB",
        "--scale",
        "1",
        "--offset",
        "0",
    )
    assert result.returncode == 0, result.stderr
    document = unpack((out / "lesion-float32.tflite").read_bytes(), "model")[1]
    contract = document["weights"]["contract"]
    assert contract["channel_order"] == "RGB"
    assert contract["scale"] == pytest.approx([1 / 255] * 3)
    assert contract["offset"] == [0, 0, 0]


def test_a_damaged_picture_among_the_calibration_pictures_is_named(tmp_path: Path) -> None:
    folder = few(tmp_path, 3)
    spoilt = folder / HELD_OUT[1].name
    spoilt.write_bytes(spoilt.read_bytes()[:3000])
    result = convert(
        "--variants",
        "int8",
        "--out",
        tmp_path / "out",
        "--calibration",
        folder,
        "--held-out",
        ROOT / "pictures" / "samples",
    )
    assert result.returncode != 0
    assert str(spoilt) in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_fault_70_closed_streams_lose_no_model_file(closed: str, tmp_path: Path) -> None:
    """70: the files are the answer."""
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "convert",
        "--variants",
        "float32",
        "--rounds",
        "1",
        "--out",
        str(out),
        "--held-out",
        str(few(tmp_path, 2)),
    ]
    result = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", *command],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert (out / "lesion-float32.tflite").is_file()
    assert ("recommended" in result.stdout.decode()) == (closed == "2>&-")


def test_fault_65_weights_named_in_no_encoding_are_converted(tmp_path: Path) -> None:
    """65: bytes that are no UTF-8, as an old disk has them."""
    weights = tmp_path / os.fsdecode(b"m\xe9lanome.h5")
    shutil.copy(WEIGHTS, weights)
    out = tmp_path / os.fsdecode(b"sorti\xe9")
    result = convert(
        "--weights",
        weights,
        "--variants",
        "float32",
        "--out",
        out,
        "--rounds",
        "1",
        "--held-out",
        few(tmp_path, 2),
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((out / "report.json").read_text())
    assert report["weights"]["file"] == r"m\udce9lanome.h5"
    document = unpack((out / "lesion-float32.tflite").read_bytes(), "model")[1]
    assert document["weights"]["file"] == r"m\udce9lanome.h5"


def test_fault_64_a_set_of_pictures_is_walked_as_the_edge_walks_a_folder(tmp_path: Path) -> None:
    """64: hidden files left out and told once, any ending of a JPEG, a link that loops."""
    folder = few(tmp_path, 2)
    (folder / "more").mkdir()
    shutil.copy(HELD_OUT[2], folder / "more" / "third.JPE")
    shutil.copy(HELD_OUT[3], folder / f"._{HELD_OUT[3].name}")
    (folder / "more" / "round").symlink_to(folder)
    told: list[str] = []
    pictures = load_set(folder, ("benign", "malignant"), told.append)
    assert [picture.name for picture in pictures] == [
        *(path.name for path in HELD_OUT[:2]),
        "more/third.JPE",
    ]
    assert len(told) == 1
    assert "1 hidden" in told[0]
