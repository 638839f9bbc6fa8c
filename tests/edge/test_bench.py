"""``lesion-edge bench``: every variant on this machine, and an advice that is its own fastest."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from edge.bench import measure
from edge.bench.__main__ import main
from tests.support.pictures import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from edge import Analyzer

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of two variants."""
    for variant in ("int8", "float32"):
        shutil.copy(MODELS[variant], tmp_path / f"skin-{variant}.tflite")
    return tmp_path


def test_one_object_holds_the_whole_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--json", "--rounds", "3", "--sustained", "0.005"]) == 0
    text = capsys.readouterr().out
    document: dict[str, Any] = json.loads(text)
    assert str(folder.parent) not in text
    routes = document["routes"]
    assert {each["variant"] for each in routes} == {"int8", "float32"}
    assert len({(each["variant"], each["threads"]) for each in routes}) == len(routes)
    for each in routes:
        ms = each["milliseconds"]
        assert ms["total"]["n"] == 3
        assert ms["total"]["p50"] >= ms["invoke"]["min"] > 0
        assert each["peak_mb"] > 20
        assert each["start_ms"] > ms["total"]["min"]
    best = min(routes, key=lambda each: each["milliseconds"]["total"]["p50"])
    (advice,) = document["advice"]
    assert f" {best['variant']} with {best['threads']} thread" in advice
    assert document["sustained"][-1]["total"]["n"] > 0
    assert {"temperature_c", "mhz", "governor"} <= document["sustained"][0].keys()
    assert document["machine"].keys() >= {"flags", "before", "after"}
    assert (document["picture"]["width"], document["refused"]) == (1022, {})


def test_a_person_reads_a_table_and_one_sentence_for_each_model(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "skin-float32.tflite").write_bytes(b"<html>")
    assert main([str(folder), "--rounds", "1", "--threads", "1"]) == 0
    *_, refused, before, after, advice = capsys.readouterr().out.splitlines()
    assert refused.startswith("can't run here: skin-float32.tflite: ")
    assert before.startswith("before: load_average")
    assert after.startswith("after: load_average")
    name = re.escape(folder.name)
    assert re.match(rf"on this device use {name} int8 with 1 thread.*: \d+\.\d\d ms a", advice)


def test_what_cant_be_used_is_said_before_anything_is_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder), "--picture", str(folder / "gone.jpg")]) == 1
    assert main(["gone.tflite"]) == 1
    first, second = (
        line for line in capsys.readouterr().err.splitlines() if "other work" not in line
    )
    assert "gone.jpg" in first
    assert "gone.tflite" in second


def test_heat_and_clock_are_noted_along_the_sustained_run(
    int8_analyzer: Analyzer, sample: Path
) -> None:
    noted = iter([{"temperature_c": 50.0, "mhz": [1800]}, {"temperature_c": 82.0, "mhz": [1500]}])
    entries = measure.sustained(int8_analyzer, sample, 0.2, 0.1, lambda: next(noted))
    assert [entry["temperature_c"] for entry in entries] == [50.0, 82.0]
    assert all(entry["total"]["n"] for entry in entries)
