"""Models by name: those that are shipped, what is said of each, and what isn't there."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from edge import Analyzer, ModelError
from edge import models as edge_models
from edge.model import named
from edge.model.about import parse_about
from edge.model.named import SHIPPED, available, find_model, preferred
from tests.conftest import run_module
from tests.edge.test_variants import PROCESSORS
from tests.support import colours, dark
from tests.support.pictures import MODELS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

SET = {"set": "some set", "pictures": 600, "positives": 117, "auc": 0.81, "low": 0.77, "high": 0.85}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with both models, in a folder of its own."""
    package = tmp_path / "site-packages/edge"
    (package / "models").mkdir(parents=True)
    shutil.copy(MODELS["int8"], package / "models")
    about: dict[str, Any] = {"licence": "CC0-1.0", "evaluation": [SET, {**SET, "set": "another"}]}
    dark.write_model(package / "models/dermoscopy-int8.tflite", name="dermoscopy", **about)
    monkeypatch.setattr(named, "__file__", str(package / "model/named.py"))
    return package / "models"


def test_the_default_is_the_notebooks_and_so_is_its_name() -> None:
    assert find_model(None) == find_model("notebook")
    assert find_model(None, "int8") == str(MODELS["int8"])
    assert (
        Analyzer("notebook").contract == Analyzer().contract == Analyzer(find_model(None)).contract
    )


def test_an_installed_model_is_found_by_its_name(installed: Path) -> None:
    assert available() == {
        "notebook": {"int8": str(installed / "lesion-int8.tflite")},
        "dermoscopy": {"int8": str(installed / "dermoscopy-int8.tflite")},
    }
    assert Analyzer("dermoscopy").segmentation == "outline"
    assert Analyzer().segmentation == "otsu"


def test_a_name_that_isnt_there_gives_those_that_are(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match=r"^dermoscope: .*there is notebook and dermoscopy, or"):
        Analyzer("dermoscope")
    monkeypatch.chdir(installed)
    (installed / "dermoscopy-int8.tflite").rename("dermoscopy")
    with pytest.raises(ModelError, match=r"^dermoscopy: .*there is notebook, or give a file"):
        Analyzer("dermoscopy")
    with pytest.raises(ModelError, match=r"^'': there is no model"):
        Analyzer("")


def test_a_path_is_a_path_and_a_name_wins_over_a_file_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dark.write_model(tmp_path / "notebook")
    dark.write_model(tmp_path / "mine")
    assert Analyzer("notebook").segmentation == "otsu"
    assert Analyzer("./notebook").segmentation == Analyzer("mine").segmentation == "outline"
    for path in ("gone.tflite", "./gone", "gone/gone"):
        with pytest.raises(ModelError, match="can't be read: No such file"):
            Analyzer(path)


def test_what_is_in_the_checkout_is_in_the_wheel() -> None:
    settings = (ROOT / "pyproject.toml").read_text()
    for name, there in available().items():
        for told in PROCESSORS.values():
            runs = next(variant for variant in preferred(told) if variant in there)
            file = f"{SHIPPED[name].stem}-{runs}.tflite"
            assert f'"models/{file}" = "edge/models/{file}"' in settings
            assert f'"/models/{file}"' in settings


def test_the_list_says_what_each_is(installed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert edge_models.main(["--json"]) == 0
    (notebook, dermoscopy) = json.loads(capsys.readouterr().out)["models"]
    assert (notebook["name"], notebook["default"], notebook["segmentation"]) == (
        "notebook",
        True,
        "otsu",
    )
    assert notebook["milliseconds"].keys() == {"classifier", "outline"}
    assert notebook["milliseconds"]["classifier"] > 0
    assert notebook["milliseconds"]["outline"] is None
    assert dermoscopy["milliseconds"]["outline"] > 0
    assert dermoscopy["bytes"] == (installed / "dermoscopy-int8.tflite").stat().st_size
    assert (dermoscopy["licence"], dermoscopy["evaluation"][0]) == ("CC0-1.0", SET)
    assert edge_models.main([]) == 0
    text = capsys.readouterr().out
    assert text.startswith("notebook (default)\n  for ")
    assert re.search(r"\n  time     \d+\.\d\d ms \+ \d+\.\d\d ms for the outline\n", text)
    assert (
        "\n  licence  CC0-1.0\n"
        "  AUC      0.810 (0.770 to 0.850) on some set: 600 pictures, 117 positive\n"
        "  AUC      0.810 (0.770 to 0.850) on another: 600 pictures, 117 positive\n"
    ) in text
    assert "\n  licence  CC BY-NC 4.0: trained on HAM10000" in text
    unnamed = colours.write_model(installed / "mine.tflite")
    assert edge_models.main([str(unnamed)]) == 0
    assert "licence  not stated in its contract" in capsys.readouterr().out


def test_a_model_that_cant_be_used_is_said_and_the_others_are_told(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "lesion-int8.tflite").write_bytes(b"<html>")
    assert edge_models.main([]) == 1
    first, second = capsys.readouterr().out.split("\n", 1)
    assert first.startswith("notebook (default): can't be used: lesion-int8.tflite: ")
    assert second.startswith("dermoscopy\n")
    assert edge_models.main(["--json", "gone.tflite"]) == 1
    (gone,) = json.loads(capsys.readouterr().out)["models"]
    assert gone["error"]["type"] == "ModelError"


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("licence", 5, "licence must be a text"),
        ("licence", "two\nlines", "licence must be a text"),
        ("evaluation", {}, "evaluation must be a list of objects"),
        ("evaluation", [{**SET, "auc": 1.2}], r"evaluation\[0\]\.auc must be a number from 0 to 1"),
        ("evaluation", [SET, {**SET, "low": 0.9}], r"evaluation\[1\]\.low must be a number from"),
        ("evaluation", [{**SET, "high": 0.5}], r"evaluation\[0\]\.high must be"),
        ("evaluation", [{**SET, "positives": 600}], r"\[0\]\.positives must be a whole number"),
        ("evaluation", [{**SET, "auc": float("nan")}], r"\[0\]\.auc must be a number"),
    ],
)
def test_figures_that_make_no_sense_are_refused_by_name(
    key: str, value: object, reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        parse_about({"licence": "CC0-1.0", "evaluation": [SET], key: value}, "m")
    assert parse_about({}, "m") == replace(parse_about({"licence": "x"}, "m"), licence=None)


@pytest.mark.slow
def test_commands_take_names() -> None:
    done = run_module("edge.run", "pictures/samples/benign", "--model", "notebook")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3)
    wrong = run_module("edge.run", "pictures/samples", "--model", "notebok")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("edge.run: notebok: there is no model of this name here; there ")
    asked = run_module("edge.run", "pictures/samples", "--segmentation", "both")
    assert asked.returncode == 1
    assert "has no network for the lesion's outline; one that has: --model derm" in asked.stderr
    doctor = run_module("edge.doctor", "--model", "notebook")
    assert doctor.returncode == 0
    assert re.search(r"lesion-(int8|float16)\.tflite: \1, 500x500", doctor.stdout)
