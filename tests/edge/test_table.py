"""The table holds what is known of each picture, and a spreadsheet can open it without harm."""

from __future__ import annotations

import csv
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import Analysis, PictureError, Region, Timings
from edge.files import printable
from edge.report.table import csv_table

if TYPE_CHECKING:
    from edge import Analyzer, LesionEdgeError
    from edge.model.contract import Contract

ANALYSIS = Analysis(
    size_wh=(1022, 767),
    label="malignant",
    probability=0.3121142089366913,
    threshold=0.31,
    regions=(Region(228, 141, 542, 482, 173915.5), Region(1, 2, 30, 40, 101.0)),
    timings_ms=Timings(1, 2, 3, 4, 12.3456),
    warnings=(),
    positive="malignant",
)


@pytest.fixture(scope="module")
def contract(int8_analyzer: Analyzer) -> Contract:
    return int8_analyzer.contract


def write(
    path: Path, contract: Contract, *results: tuple[str, Analysis | LesionEdgeError]
) -> list[dict[str, str]]:
    with csv_table(str(path), contract) as add:
        for name, result in results:
            add(name, result)
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def test_a_row_holds_all_digits_of_what_is_known(contract: Contract, tmp_path: Path) -> None:
    (row,) = write(tmp_path / "t.csv", contract, ("a/b.jpg", ANALYSIS))
    assert row == {
        "path": "a/b.jpg",
        "label": "malignant",
        "probability": "0.3121142089366913",
        "threshold": "0.31",
        "width": "1022",
        "height": "767",
        "regions": "2",
        "largest_x": "228",
        "largest_y": "141",
        "largest_width": "542",
        "largest_height": "482",
        "largest_area": "173915.5",
        "warnings": "",
        "error_type": "",
        "error": "",
        "model": "lesion int8",
        "sha256": contract.sha256,
        "total_ms": "12.346",
    }


def test_pictures_without_regions_with_warnings_and_failed_have_rows(
    contract: Contract, tmp_path: Path
) -> None:
    none, warned, failed = write(
        tmp_path / "t.csv",
        contract,
        ("none.png", replace(ANALYSIS, regions=())),
        ("warned.png", replace(ANALYSIS, warnings=('one, "two"', "three"))),
        ("a: b.png", PictureError("a: b.png: damaged or cut short")),
    )
    assert (none["regions"], none["largest_x"], none["largest_area"]) == ("0", "", "")
    assert warned["warnings"] == 'one, "two"; three'
    assert (failed["path"], failed["error_type"], failed["error"]) == (
        "a: b.png",
        "PictureError",
        "damaged or cut short",
    )
    assert (failed["label"], failed["probability"], failed["total_ms"]) == ("", "", "")
    assert failed["sha256"] == contract.sha256


def test_the_bytes_are_as_excel_and_rfc_4180_want_them(contract: Contract, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    write(path, contract, ("über.jpg", ANALYSIS), ("b.jpg", ANALYSIS))
    data = path.read_bytes()
    assert data.startswith('\ufeff"path","label",'.encode())
    assert '\r\n"über.jpg","malignant",0.3121142089366913,0.31,1022,'.encode() in data
    assert data.count(b"\r\n") == data.count(b"\n") == 3


@pytest.mark.parametrize("start", ["", *"=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"])
@given(text=st.text(st.sampled_from("=+-@\t\r\n\",;'\ud800\u202e") | st.characters(codec=None)))
def test_no_text_is_taken_for_a_formula_or_another_cell(
    contract: Contract, start: str, text: str
) -> None:
    """OWASP's list of starts; the text is there, escaped as everywhere else."""
    text = start + text
    with tempfile.TemporaryDirectory() as folder:
        (answered, failed) = write(
            Path(folder) / "t.csv",
            contract,
            (text, replace(ANALYSIS, warnings=(printable(text),))),
            ("x", PictureError(text)),
        )
    for cell in (answered["path"], answered["warnings"], failed["error"]):
        assert cell[:1] not in set("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
        assert cell in (printable(text), "'" + printable(text))
    assert answered["label"] == "malignant"


def test_a_run_that_ended_early_keeps_its_rows_and_says_so(
    contract: Contract, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"

    def run() -> None:
        with csv_table(str(path), contract) as add:
            add("a.jpg", ANALYSIS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    with path.open(encoding="utf-8-sig", newline="") as file:
        first, last = csv.DictReader(file)
    assert first["path"] == "a.jpg"
    assert (last["path"], last["error_type"], last["error"]) == (
        "",
        "Interrupted",
        "the run ended early; pictures done: 1",
    )
