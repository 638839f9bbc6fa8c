"""``--tflite``: someone's own file is packed and judged as ours are; what it lacks is asked for."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convert import __main__ as command
from convert.errors import ConvertError, UsageError
from convert.options import make_parser
from convert.pack import said_by
from convert.tflite import pack_tflite
from convert.verify.parity import DEFAULT_BUDGETS
from convert.verify.pictures import SHIPPED, load_set
from convert.weights.file import Weights
from edge import ModelError
from edge.model.classifier import Classifier
from edge.model.rule import Rule
from tests.support.own import HEIGHT, OWN, WIDTH, Own, pictures
from tests.support.pictures import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from convert.tflite import Packed
    from convert.verify.pictures import SamplePicture

BY_NAME = {own.name: own for own in OWN}


@pytest.fixture(scope="module")
def held_out() -> list[SamplePicture]:
    return load_set(SHIPPED / "held_out", ("benign", "malignant"))[::6]


def options_for(own: Own) -> list[str]:
    return [
        f"--channel-order={own.channel_order}",
        f"--scale={own.scale!r}",
        f"--offset={own.offset!r}",
        "--labels=benign,malignant",
    ]


def pack(
    path: Path,
    arguments: list[str],
    held_out: list[SamplePicture],
    reference: Weights | None = None,
) -> Packed:
    return pack_tflite(
        path,
        said_by(make_parser("convert", None).parse_args(arguments)),
        reference=reference,
        held_out=held_out,
        budgets=DEFAULT_BUDGETS,
        rounds=2,
        say=lambda _: None,
    )


@pytest.mark.parametrize("own", OWN, ids=lambda own: own.name)
def test_the_packed_file_says_all_and_answers_as_the_file_with_a_contract_beside(
    own: Own, held_out: list[SamplePicture], tmp_path: Path
) -> None:
    packed, beside = tmp_path / "packed.tflite", tmp_path / "contract.json"
    packed.write_bytes(pack(own.path, options_for(own), held_out).data)
    beside.write_text(json.dumps(own.contract()))
    whole, plain = Classifier(packed), Classifier(own.path, contract=beside)
    assert whole.contract.input == plain.contract.input
    assert whole.contract.output == plain.contract.output
    assert (whole.contract.labels, whole.contract.threshold) == (("benign", "malignant"), 0.5)
    for image in pictures(5):
        assert (whole.predict(image) == plain.predict(image)).all()
    with zipfile.ZipFile(packed) as archive:
        assert json.loads(archive.read("model.json"))["flatbuffer"]["bytes"] == len(
            own.path.read_bytes()
        )


@pytest.mark.parametrize(("name", "variant"), [("float32", "float32"), ("int8", "int8")])
def test_the_variant_is_seen_in_the_graph(
    name: str, variant: str, held_out: list[SamplePicture]
) -> None:
    own = BY_NAME[name]
    assert pack(own.path, options_for(own), held_out).contract.variant == variant


def test_what_is_missing_is_asked_for_all_at_once_by_option_and_by_key(
    held_out: list[SamplePicture],
) -> None:
    with pytest.raises(UsageError) as caught:
        pack(BY_NAME["softmax"].path, [], held_out)
    first, *asked = str(caught.value).splitlines()
    assert first == "own-softmax.tflite doesn't say"
    assert [line.rpartition("; or ")[2] for line in asked] == [
        "input.channel_order and input.values in --contract FILE",
        "labels in --contract FILE",
    ]
    assert "--preprocessing" in asked[0]
    assert "its 2 outputs" in asked[1]
    assert "--labels" in asked[1]


def test_more_labels_ask_for_the_positive_one(held_out: list[SamplePicture]) -> None:
    from tests.support.colours import FLATBUFFER, LABELS

    with pytest.raises(UsageError, match="order of its channels") as caught:
        pack(FLATBUFFER, [], held_out)
    assert "its 7 outputs" in str(caught.value)
    assert "--positive" in str(caught.value)
    arguments = ["--channel-order=BGR", f"--labels={','.join(LABELS)}", "--positive=mel"]
    contract = pack(FLATBUFFER, [*arguments, "--resize=crop"], held_out).contract
    assert (contract.positive, contract.threshold) == ("mel", None)
    assert (contract.input.resize, contract.input.interpolation) == ("crop", "linear")
    with pytest.raises(UsageError, match=r"2 labels are given, colours\.tflite has 7 outputs"):
        pack(FLATBUFFER, [*arguments, "--labels=mel,nv"], held_out)


def test_an_option_goes_before_the_contracts_file(
    held_out: list[SamplePicture], tmp_path: Path
) -> None:
    own, path = BY_NAME["float32"], tmp_path / "part.json"
    part = own.contract()
    part["input"]["resize"] = "letterbox"
    del part["flatbuffer"], part["name"], part["schema"]
    path.write_text(json.dumps({**part, "study": "of 2026"}))
    arguments = [f"--contract={path}", "--threshold=0.2", "--interpolation=area", "--name=mine"]
    packed = pack(own.path, arguments, held_out)
    assert packed.contract.input.resize == "letterbox"
    assert packed.contract.input.interpolation == "area"
    assert packed.contract.input.channel_order == "RGB"
    assert (packed.contract.threshold, packed.contract.name) == (0.2, "mine")
    assert packed.document["study"] == "of 2026"


@pytest.mark.parametrize("more", ["NaN", "1e999", '"\\ud800"'])
def test_a_contract_that_cant_be_written_again_is_refused(
    more: str, held_out: list[SamplePicture], tmp_path: Path
) -> None:
    path = tmp_path / "part.json"
    text = json.dumps(BY_NAME["float32"].contract())
    path.write_text(f'{text[:-1]}, "more": [{more}]}}')
    with pytest.raises(UsageError, match="JSON in UTF-8 can't hold"):
        pack(BY_NAME["float32"].path, [f"--contract={path}"], held_out)


def test_a_band_and_operating_points_are_packed(
    held_out: list[SamplePicture], tmp_path: Path
) -> None:
    own, path = BY_NAME["float32"], tmp_path / "t.json"
    points = {"screening": {"threshold": 0.1}}
    path.write_text(
        json.dumps({"threshold": 0.3, "uncertain": [0.2, 0.4], "operating_points": points})
    )
    packed = pack(own.path, [*options_for(own), f"--thresholds={path}"], held_out)
    assert packed.contract.rule == Rule(0.3, (0.2, 0.4))
    assert packed.contract.at("screening") == Rule(0.1, None, "screening")


def test_a_contract_of_another_file_is_refused(
    held_out: list[SamplePicture], tmp_path: Path
) -> None:
    path = tmp_path / "contract.json"
    path.write_text(json.dumps(BY_NAME["softmax"].contract()))
    with pytest.raises(ModelError, match="not the model of this contract"):
        pack(BY_NAME["float32"].path, [f"--contract={path}"], held_out)


def test_a_file_that_ends_the_runtime_ends_in_one_line(
    held_out: list[SamplePicture], monkeypatch: pytest.MonkeyPatch
) -> None:
    """tflite-runtime dies of half of all damaged files, ai-edge-litert of one in a thousand."""
    monkeypatch.setattr("convert.tflite._RUN_ONCE", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(
        ModelError, match=r"own-int8\.tflite: damaged, .* \(SIGSEGV\); copy it again"
    ):
        pack(BY_NAME["int8"].path, [], held_out)


def test_what_ends_in_a_refusal_names_the_file_and_not_a_copy_of_it(
    held_out: list[SamplePicture], tmp_path: Path
) -> None:
    own, path = BY_NAME["float32"], tmp_path / "part.json"
    path.write_text(json.dumps({"input": {"width": 3}}))
    with pytest.raises(ModelError, match=rf"^{own.path.name}: the graph's input is"):
        pack(own.path, [*options_for(own), f"--contract={path}"], held_out)
    path.write_text('{"outline": {}}')
    with pytest.raises(UsageError, match=r"has an 'outline', .*; leave it out"):
        pack(own.path, [*options_for(own), f"--contract={path}"], held_out)


def test_answers_that_are_all_alike_are_told_without_a_keras_model_too(
    held_out: list[SamplePicture],
) -> None:
    own = BY_NAME["float32"]
    assert not pack(own.path, options_for(own), held_out).notes
    (note,) = pack(own.path, options_for(own), held_out[:1] * 2).notes
    assert note.startswith("its answers differ by 0 between the pictures")


def test_a_model_that_describes_itself_is_refused(held_out: list[SamplePicture]) -> None:
    with pytest.raises(UsageError, match="has a contract of its own: run it as it is"):
        pack(MODELS["int8"], [], held_out)


def test_the_command_writes_the_file_and_never_over_its_source(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    own = BY_NAME["uint8"]
    source = tmp_path / "mine.tflite"
    source.write_bytes(own.path.read_bytes())
    arguments = ["--tflite", str(source), *options_for(own)]
    assert command.main([*arguments, "--out", str(tmp_path / "out"), "--json"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out)["contract"]["name"] == "mine"
    assert "not compared with Keras" in said.err
    assert Classifier(tmp_path / "out" / "mine.tflite").contract.name == "mine"
    assert command.main([*arguments, "--out", str(tmp_path)]) == 2
    assert "is the file itself" in capfd.readouterr().err
    assert source.read_bytes() == own.path.read_bytes()
    assert command.main(["--contract", str(source), "--out", str(tmp_path)]) == 2


def reference_of(own: Own, *, shift: float = 0.0) -> Weights:
    """Return the Keras model that a file was made from, its bias moved by ``shift``."""
    from keras import Input, Sequential, layers

    def build() -> keras.Model:
        kernel, bias = own.weights()
        model = Sequential(
            [
                Input((HEIGHT, WIDTH, 3)),
                layers.Flatten(),
                layers.Dense(len(bias), activation=own.activation),
            ]
        )
        bias[-1] += shift
        model.layers[-1].set_weights([kernel, bias])
        return model

    outputs = 1 if own.activation == "sigmoid" else 2
    return Weights(
        "0" * 64,
        "mine.keras",
        None,
        activation=own.activation,
        outputs=outputs,
        size_wh=(WIDTH, HEIGHT),
        build=build,
    )


@pytest.mark.slow
@pytest.mark.parametrize("own", OWN, ids=lambda own: own.name)
def test_with_its_keras_model_it_passes_the_gate_or_not(
    own: Own, held_out: list[SamplePicture]
) -> None:
    pytest.importorskip("keras")
    packed = pack(own.path, options_for(own), held_out, reference_of(own))
    assert packed.row
    figures = packed.document["parity"]
    assert figures["pictures"] == len(held_out)
    assert figures["max_delta"] <= (1e-5 if own.dtype == "float32" else 0.05)
    assert packed.document["weights"]["file"] == "mine.keras"
    if own.dtype == "float32":
        assert not packed.row.over
    other = pack(own.path, options_for(own), held_out, reference_of(own, shift=0.5)).row
    assert other
    assert other.over


@pytest.mark.slow
@pytest.mark.parametrize("called", ["own", "int8"])
def test_the_gate_goes_by_the_graph_whatever_its_contract_calls_the_variant(
    called: str, held_out: list[SamplePicture], tmp_path: Path
) -> None:
    pytest.importorskip("keras")
    own, path = BY_NAME["float32"], tmp_path / "contract.json"
    path.write_text(json.dumps({**own.contract(), "variant": called}))
    arguments = [f"--contract={path}"]
    row = pack(own.path, arguments, held_out, reference_of(own)).row
    assert row
    assert (row.variant, row.over) == ("float32", ())
    # Within int8's budget, not within that of float32.
    other = pack(own.path, arguments, held_out, reference_of(own, shift=0.005))
    assert other.contract.variant == called
    assert other.row
    assert 1e-5 < other.row.parity.max_delta < DEFAULT_BUDGETS["int8"].max_delta
    assert other.row.over


@pytest.mark.slow
def test_another_keras_model_is_refused_by_what_differs(held_out: list[SamplePicture]) -> None:
    pytest.importorskip("keras")
    own = BY_NAME["float32"]
    with pytest.raises(UsageError, match=r"1 output by sigmoid, mine\.keras has 2 by softmax"):
        pack(own.path, options_for(own), held_out, reference_of(BY_NAME["softmax"]))


@pytest.mark.slow
def test_fault_72_a_file_without_its_softmax_and_one_of_open_size(
    held_out: list[SamplePicture], tmp_path: Path
) -> None:
    """FAULTS 72: two that ``tf.lite`` gives as well: logits are refused, the size is asked for."""
    tf = pytest.importorskip("tensorflow")
    from keras import Input, Sequential, layers

    def save(model: Any, name: str) -> Path:
        path = tmp_path / name
        path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
        return path

    front = [Input((None, None, 3)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()]
    arguments = ["--channel-order=RGB", "--scale=0.004", "--offset=0", "--labels=a,b"]
    logits = save(Sequential([*front, layers.Dense(2)]), "logits.tflite")
    with pytest.raises(ConvertError, match="its answers are no probabilities"):
        pack(logits, [*arguments, "--size=20x16"], held_out)
    model = Sequential([*front, layers.Dense(1, activation="sigmoid")])
    any_size = save(model, "any.tflite")
    with pytest.raises(UsageError, match="--size 224x224"):
        pack(any_size, arguments, held_out)
    packed = tmp_path / "packed.tflite"
    packed.write_bytes(pack(any_size, [*arguments, "--size=20x16"], held_out).data)
    image = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
    expected = float(model((image[None, ..., ::-1] * 0.004).astype(np.float32))[0, 0])
    assert abs(Classifier(packed).predict(image)[1] - expected) <= 1e-5
