"""A model may say that a picture is unlike those it was trained on: then its label is uncertain."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge import Analyzer, ModelError
from edge.model.contract import parse_contract
from edge.results import UNFAMILIAR
from tests.conftest import run_module
from tests.support import colours, skin

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return skin.write_model(tmp_path_factory.mktemp("model") / "skin.tflite")


def picture(*colour_bgr: int) -> NDArray[np.uint8]:
    return np.tile(np.array(colour_bgr, np.uint8), (48, 64, 1))


@pytest.mark.parametrize(
    ("colour", "familiar"),
    [
        (skin.SKIN_BGR, True),
        ((140, 160, 239), True),
        ((140, 160, 241), False),
        ((100, 160, 201), False),
        ((0, 0, 0), False),
        ((255, 255, 255), False),
    ],
)
def test_the_label_of_what_the_model_does_not_know_is_uncertain(
    colour: tuple[int, int, int], model: Path, *, familiar: bool
) -> None:
    analysis = Analyzer(model, threads=1).analyze(picture(*colour))
    expected = 1 / (1 + np.exp(10 - 0.05 * colour[2]))
    assert analysis.probability == pytest.approx(expected, abs=1e-5)
    assert (analysis.familiar, analysis.to_dict()["familiar"]) == (familiar, familiar)
    assert (UNFAMILIAR in analysis.warnings) == (not familiar)
    by_threshold = "malignant" if expected >= 0.5 else "benign"
    assert analysis.label == (by_threshold if familiar else "uncertain")


def test_a_model_that_does_not_say_answers_as_ever(tmp_path: Path) -> None:
    model = colours.write_model(tmp_path / "colours.tflite")
    analysis = Analyzer(model, threads=1).analyze(colours.picture("mel"))
    assert analysis.familiar is None
    assert "familiar" not in analysis.to_dict()


def test_commands_tell_it_and_count_it(model: Path, tmp_path: Path) -> None:
    import cv2

    for name, colour in (("skin", skin.SKIN_BGR), ("black", (0, 0, 0))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture(*colour))
    page = tmp_path / "page.html"
    options = ["--model", str(model), "--report", str(page), "--explain"]
    done = run_module("edge.run", str(tmp_path / "skin.png"), str(tmp_path / "black.png"), *options)
    assert done.returncode == 0, done.stderr
    assert "black.png: uncertain, P(malignant) 0.00" in done.stdout
    assert UNFAMILIAR in done.stdout
    assert "1 uncertain" in done.stderr
    assert UNFAMILIAR in page.read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"familiar": {}}, "familiar.limit"),
        ({"familiar": {"limit": 2}}, "familiar.limit must be a number from 0 to 1"),
        ({"familiar": 0.5}, "familiar must be an object"),
        ({"schema": 1}, "schema must be 2 where there is a"),
        ({"labels": ["benign", "uncertain"]}, "labels must be others than 'uncertain'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        parse_contract(skin.contract(**changes), "x")


def test_a_graph_of_fewer_outputs_than_the_contract_says_is_refused(tmp_path: Path) -> None:
    document = colours.contract(familiar={"limit": 0.5})
    path = tmp_path / "colours.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ModelError, match=r"output is \(1, 7\) float32, its contract says \(1, 8\)"):
        Analyzer(colours.FLATBUFFER, contract=path)
