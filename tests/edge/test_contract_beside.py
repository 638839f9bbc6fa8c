"""A TFLite file without a contract runs only with one that is given beside it, and fits it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge import Analyzer, ModelError, RuntimeMissingError
from edge.model import interpreter as edge_runtime
from edge.model.file import unpack
from tests.conftest import run_module
from tests.support.pictures import MODELS, SAMPLES


class Plain:
    """A TFLite file of our own, taken out of its model file, and the contract that fits it."""

    def __init__(self, folder: Path) -> None:
        self.flatbuffer, self.document = unpack(MODELS["float32"].read_bytes(), "model")
        self.model, self.contract = folder / "plain.tflite", folder / "contract.json"
        self.model.write_bytes(self.flatbuffer)
        # No more than what a person has to write by hand.
        keys = ("schema", "name", "variant", "flatbuffer", "input", "output", "labels", "threshold")
        self.write(**{key: self.document[key] for key in keys})

    def write(self, **document: Any) -> None:
        self.contract.write_text(json.dumps(document))

    def change(self, **changes: Any) -> None:
        self.write(**{**json.loads(self.contract.read_text()), **changes})


@pytest.fixture
def plain(tmp_path: Path) -> Plain:
    return Plain(tmp_path)


def test_it_answers_as_the_model_file_does(plain: Plain) -> None:
    beside = Analyzer(plain.model, contract=plain.contract, threads=1)
    whole = Analyzer(MODELS["float32"], threads=1)
    for path in SAMPLES:
        assert beside.analyze(path).probability == whole.analyze(path).probability


def test_the_command_takes_it_and_refuses_the_file_alone(plain: Plain) -> None:
    arguments = ("edge.run", SAMPLES[0], "--json", "--model", plain.model)
    result = run_module(*arguments, "--contract", plain.contract)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["model"]["sha256"] == plain.document["flatbuffer"]["sha256"]
    alone = run_module(*arguments)
    assert alone.returncode == 1
    assert "without a contract" in alone.stderr
    assert "--contract" in alone.stderr
    assert alone.stderr.count("\n") == 1
    usage = run_module("edge.run", SAMPLES[0], "--contract", plain.contract)
    assert usage.returncode == 2


@pytest.fixture
def no_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail if an interpreter is built."""
    monkeypatch.setattr(
        edge_runtime, "load_interpreter_class", lambda: pytest.fail("an interpreter saw it")
    )


@pytest.mark.usefixtures("no_interpreter")
@pytest.mark.parametrize("damage", ["a bit", "cut", "longer", "another"])
def test_another_file_than_the_contract_names_reaches_no_interpreter(
    plain: Plain, damage: str
) -> None:
    data = bytearray(plain.flatbuffer)
    data[len(data) // 2] ^= 1
    other = unpack(MODELS["int8"].read_bytes(), "other")[0]
    plain.model.write_bytes(
        {
            "a bit": bytes(data),
            "cut": plain.flatbuffer[:-1],
            "longer": plain.flatbuffer + b"x",
            "another": other,
        }[damage]
    )
    with pytest.raises(ModelError, match=r"plain\.tflite: damaged, or not the model of this"):
        Analyzer(plain.model, contract=plain.contract)


@pytest.mark.usefixtures("no_interpreter")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ("{}", "SHA-256"),
        ('{"flatbuffer": {}}', "SHA-256"),
        ("<html>", "not JSON"),
    ],
)
def test_a_damaged_contract_is_refused(plain: Plain, text: str, reason: str) -> None:
    plain.contract.write_text(text)
    with pytest.raises(ModelError, match=reason):
        Analyzer(plain.model, contract=plain.contract)


@pytest.mark.usefixtures("no_interpreter")
def test_a_contract_that_is_no_file_is_named(plain: Plain, tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path, Path("/dev/zero")):
        with pytest.raises(ModelError, match=f"{path}: the contract can't be read"):
            Analyzer(plain.model, contract=path)


@pytest.mark.usefixtures("no_interpreter")
def test_a_model_with_a_contract_takes_no_second(plain: Plain) -> None:
    with pytest.raises(ModelError, match="has a contract of its own"):
        Analyzer(MODELS["float32"], contract=plain.contract)


def test_a_shape_or_type_that_the_graph_hasnt_is_refused_with_both(plain: Plain) -> None:
    plain.change(input={**plain.document["input"], "width": 224})
    with pytest.raises(ModelError, match=r"input is .*500, 500.*its contract says .*500, 224"):
        Analyzer(plain.model, contract=plain.contract)
    plain.change(input={**plain.document["input"], "dtype": "int8", "zero_point": -128})
    with pytest.raises(ModelError, match=r"input is .*uint8.*its contract says .*int8"):
        Analyzer(plain.model, contract=plain.contract)


def test_fault_62_a_graph_or_contract_that_doesnt_fit_is_told_with_what_to_do(plain: Plain) -> None:
    """FAULTS 62: other people's own TFLite files, with a contract that someone wrote for them."""
    way_out = r"correct the contract, or make a model .*python -m convert --weights FILE$"
    for changes in ({"width": 96}, {"dtype": "float32"}, {"channel_order": "GBR"}, {"scale": 0.5}):
        plain.change(input={**plain.document["input"], **changes})
        with pytest.raises(ModelError, match=way_out):
            Analyzer(plain.model, contract=plain.contract)


def test_fault_62_a_contract_of_another_model_is_named(plain: Plain) -> None:
    """FAULTS 62."""
    plain.model.write_bytes(unpack(MODELS["int8"].read_bytes(), "other")[0])
    with pytest.raises(ModelError) as caught:
        Analyzer(plain.model, contract=plain.contract)
    assert str(caught.value).startswith(f"{plain.model.name}: ")
    assert str(caught.value).endswith(f"made for it, not {plain.contract}")


def test_the_runtimes_are_still_looked_for(plain: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_runtime, "_RUNTIMES", ())
    with pytest.raises(RuntimeMissingError):
        Analyzer(plain.model, contract=plain.contract)
