"""The board's benchmark writes one file, and a figure may leave its band on either side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import pi
from tests.conftest import run_module

if TYPE_CHECKING:
    from pathlib import Path

    from edge import Analyzer

pytestmark = pytest.mark.slow


def test_one_file_holds_the_whole_run(tmp_path: Path) -> None:
    out = tmp_path / "board.json"
    result = run_module(
        "benchmarks.pi",
        "--threads",
        "1",
        "2",
        "--rounds",
        "3",
        "--starts",
        "1",
        "--minutes",
        "0.02",
        "--every",
        "0.5",
        "--out",
        out,
    )
    assert result.returncode == 0, result.stderr
    document: dict[str, Any] = json.loads(out.read_text())
    assert len(document["latency_ms"]) == 8
    for steps in document["latency_ms"].values():
        assert steps["total"]["n"] == 3
        assert steps["total"]["p50"] >= steps["invoke"]["min"] > 0
    assert document["start_up_ms"]["n"] == 1
    assert len(document["sustained"]) >= 2
    assert document["sustained"][-1]["total_ms"]["n"] > 0
    assert {"temperature_c", "mhz", "throttling"} <= document["sustained"][0].keys()
    assert {"before", "after", "governor"} <= document["machine"].keys() | document["machine"][
        "before"
    ].keys()
    assert "written: " in result.stdout


def test_heat_and_clock_are_noted_along_the_sustained_run(int8_analyzer: Analyzer) -> None:
    noted = iter([{"temperature_c": 50.0, "mhz": [1800]}, {"temperature_c": 82.0, "mhz": [1500]}])
    entries = pi.measure_sustained(int8_analyzer, 0.2, 0.1, lambda: next(noted))
    assert [entry["temperature_c"] for entry in entries] == [50.0, 82.0]
    assert all(entry["total_ms"]["n"] for entry in entries)


@pytest.mark.parametrize(
    ("ms", "within"), [(10.0, True), (12.9, True), (13.1, False), (7.7, True), (7.6, False)]
)
def test_a_figure_may_leave_its_band_on_either_side(ms: float, within: bool) -> None:  # noqa: FBT001
    latency = {"int8, 1 thread": {"total": {"p50": ms}}}
    references = {"Board": {"int8, 1 thread": 10.0, "int8, 9 threads": 1.0}}
    bands = pi.check_bands(latency, references, "Board")
    assert list(bands) == ["int8, 1 thread"]
    assert bands["int8, 1 thread"]["within"] is within
    assert pi.check_bands(latency, references, "Another") == {}
    assert pi.check_bands(latency, references, None) == {}


def test_each_reference_is_of_a_board_by_its_own_name_and_positive() -> None:
    for board, figures in pi.read_references(pi.REFERENCE).items():
        assert board.strip() == board != ""
        assert all(ms > 0 for ms in figures.values())
