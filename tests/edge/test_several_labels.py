"""What a person and a program are told by a model of seven labels, and of a thousand."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import pty
import re
import struct
import termios
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edge import Analysis, Analyzer, PictureError, Region, Timings, annotate
from edge.cli.lines import Lines
from edge.doctor.software import check_model
from edge.drawing import save_annotated
from edge.model.contract import parse_contract
from edge.model.rule import Rule
from edge.picture.comment import read_comment
from edge.report.page import html_report
from edge.report.table import csv_table
from tests.conftest import run_module
from tests.support import colours
from tests.support.colours import COLOURS_BGR, LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import TextIO

    from edge.model.contract import Contract

THOUSAND = tuple(f"label {number:03} of a thousand" for number in range(1000))
LONG = ("a" * 200, "actinic keratosis / intraepithelial carcinoma", "melanoma", "x")
SEVEN = "7 labels (akiec, bcc, bkl, df, mel, nv, vasc)"
PROBABILITIES = {"akiec": 0.01, "bcc": 0.02, "bkl": 0.1, "df": 0.05, "mel": 0.22, "nv": 0.6}
NEAR = {**PROBABILITIES, "mel": 0.2199}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colours.write_model(tmp_path_factory.mktemp("model") / "colours.tflite")


@pytest.fixture(scope="module")
def analyzer(model: Path) -> Analyzer:
    return Analyzer(model, threads=1)


def contract_of(labels: tuple[str, ...], positive: str) -> Contract:
    return parse_contract(colours.contract(labels=list(labels), positive=positive), "x")


def analysis_of(
    label: str,
    probabilities: Mapping[str, float] = PROBABILITIES,
    positive: str = "mel",
    threshold: float | None = None,
) -> Analysis:
    return Analysis(
        size_wh=(640, 480),
        label=label,
        probability=probabilities[positive],
        threshold=threshold,
        regions=(Region(1, 2, 30, 40, 500.0),),
        timings_ms=Timings(1, 1, 1, 1, 2.5),
        warnings=(),
        positive=positive,
        image="a.jpg",
        probabilities=probabilities,
    )


@pytest.mark.parametrize("label", LABELS)
def test_the_answer_is_the_nearest_colour_and_each_label_has_its_probability(
    label: str, analyzer: Analyzer
) -> None:
    image = colours.picture(label)
    analysis = analyzer.analyze(image)
    expected = colours.probabilities(COLOURS_BGR[LABELS.index(label)])
    assert analysis.label == label
    assert list(analysis.probabilities) == list(LABELS)
    assert list(analysis.probabilities.values()) == pytest.approx(expected, abs=1e-5)
    assert analysis.probability == analysis.probabilities["mel"]
    line = analysis.to_dict()
    assert (line["probabilities"], line["threshold"]) == (analysis.probabilities, None)


@pytest.mark.parametrize(
    ("threshold", "label"),
    [(None, "vasc"), (0.0, "mel"), (0.3, "mel"), (0.35, "vasc"), (1.0, "vasc")],
)
def test_a_threshold_decides_for_the_positive_label_and_the_rest_by_probability(
    threshold: float | None, label: str, model: Path
) -> None:
    """A colour between those of mel and vasc, of which numpy says P(mel) 0.34, P(vasc) 0.65."""
    image = np.tile(np.array((108, 128, 213), np.uint8), (30, 40, 1))
    expected = dict(zip(LABELS, colours.probabilities(image[0, 0]), strict=True))
    assert 0.3 < expected["mel"] < 0.35 < expected["vasc"]
    analysis = Analyzer(model, threads=1, threshold=threshold).analyze(image)
    assert (analysis.label, analysis.threshold) == (label, threshold)
    assert analysis.probability == pytest.approx(expected["mel"], abs=1e-5)


@pytest.mark.parametrize(
    ("analysis", "answer"),
    [
        (analysis_of("nv"), "P(nv) 0.60, P(mel) 0.22"),
        (analysis_of("mel", threshold=0.2), "P(mel) 0.22, P(nv) 0.60"),
        (
            analysis_of("nv", {**PROBABILITIES, "mel": 0.2199}, threshold=0.22),
            "P(nv) 0.60, P(mel) 0.2199",
        ),
        (analysis_of("nv", positive="nv"), "P(nv) 0.60, P(mel) 0.22"),
    ],
)
def test_a_person_is_told_the_labels_probability_and_the_positive_ones(
    analysis: Analysis, answer: str
) -> None:
    """Where the two are one, that of the most probable other."""
    line = Lines(contract_of(LABELS, "mel"), Rule(None), io.StringIO()).result(analysis)
    assert line == (f"a.jpg: {analysis.label}, {answer}, 1 region, largest 30x40 at (1, 2), 2.5 ms")


@contextmanager
def terminal(columns: int) -> Iterator[TextIO]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 25, columns, 0, 0))
    with open(theirs, "w") as stream:
        yield stream
    os.close(ours)


@pytest.mark.parametrize("labels", [LABELS, THOUSAND, LONG], ids=["7", "1000", "long"])
@pytest.mark.parametrize("columns", [80, 100, 200])
def test_on_a_terminal_lines_fit_its_width_and_stand_in_columns(
    columns: int, labels: tuple[str, ...]
) -> None:
    share = 1 / len(labels)
    lines = []
    with terminal(columns) as stream:
        writer = Lines(contract_of(labels, labels[2]), Rule(None), stream, colour=False)
        for label in labels[:4]:
            probabilities = {**dict.fromkeys(labels, share), label: 2 * share}
            analysis = analysis_of(label, probabilities, labels[2])
            lines.append(writer.result(replace(analysis, image="/some/where/" + "x" * 300)))
    assert max(map(len, lines)) <= columns
    assert len({len(line) for line in lines}) == 1
    assert len({line.index("  P(") for line in lines}) == 1
    for line, label in zip(lines, labels, strict=False):
        assert label[:11] in line
    if columns == 200 and labels is THOUSAND:
        assert labels[0] in lines[0], "where there is room, nothing is cut"


def test_the_summary_counts_the_labels_there_were_the_positive_one_in_any_case(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = Lines(contract_of(LABELS, "mel"), Rule(None), io.StringIO())
    for label in ("nv", "bkl", "nv"):
        lines.count(analysis_of(label))
    lines.count(PictureError("x"))
    lines.end(2.0)
    summary = capsys.readouterr().err.splitlines()[0]
    assert summary == (
        "4 pictures: 0 mel, 2 nv, 1 bkl, 1 failed; no threshold: the most probable label; "
        "2 a second, float32"
    )
    lines = Lines(contract_of(THOUSAND, THOUSAND[5]), Rule(0.25), io.StringIO())
    for label in THOUSAND:
        lines.count(replace(analysis_of("nv"), label=label))
    lines.end(1.0)
    summary = capsys.readouterr().err.splitlines()[0]
    assert summary.startswith(f"1000 pictures: 1 {THOUSAND[5]}, 1 {THOUSAND[0]}, ")
    assert " and 992 other labels, 0 failed; " in summary
    assert f"; {THOUSAND[5]} from P 0.25 on, else the most probable other label; " in summary


def test_a_row_of_the_table_has_each_labels_probability(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    labels = (*PROBABILITIES, "=1+1")
    analysis = analysis_of("nv", {**PROBABILITIES, "=1+1": 0.0})
    with csv_table(str(path), contract_of(labels, "mel")) as add:
        add("a.jpg", analysis)
        add("cut.jpg", PictureError("cut.jpg: damaged"))
    with path.open(encoding="utf-8-sig", newline="") as file:
        row, failed = csv.DictReader(file, strict=True)
    assert (row["label"], row["probability"], row["threshold"]) == ("nv", "0.22", "")
    assert {key: row[f"P({key})"] for key in labels} == {
        key: str(value) for key, value in analysis.probabilities.items()
    }
    assert list(row)[-7:] == [f"P({label})" for label in labels]
    assert {failed[f"P({label})"] for label in labels} == {""}


def test_the_page_filters_by_label_and_draws_a_threshold_only_where_there_is_one(
    tmp_path: Path,
) -> None:
    contract = contract_of(LABELS, "mel")
    pages = []
    for threshold in (None, 0.25):
        path = tmp_path / f"{threshold}.html"
        with html_report(str(path), contract, Rule(threshold), {}) as report:
            for label in ("nv", "mel", "nv", "vasc"):
                report.add("a.jpg", analysis_of(label, {**PROBABILITIES, "vasc": 0.0}))
        pages.append(path.read_text())
    for text in pages:
        groups = re.findall(r'data-groups="(.+?)"', text)
        buttons = dict(re.findall(r'<button data-key="([\w-]+)".*?>(.+?) <b>', text))
        assert [buttons[group] for group in groups] == ["nv", "mel", "nv", "vasc"]
        assert "bkl" not in buttons.values()
        chips = re.findall(r'<span class="(\w+) chip">(\d.*?)</span>', text)
        assert chips == [("yes", "1 mel"), ("no", "2 nv"), ("no", "1 vasc")]
        assert "Pictures by P(mel)" in text
        assert "0.20 to 0.25: 3 of other labels, 1 mel" in text
    without, with_one = pages
    # Two bars a card: the label's own, and the positive one's or the most probable other's.
    assert (without.count('"plain '), without.count(" bar")) == (8, 8)
    assert (with_one.count('"plain '), with_one.count(" bar")) == (4, 8)
    assert "threshold 0.25" in with_one
    assert "threshold 0" not in without
    assert "<dd>no threshold: the most probable label</dd>" in without
    assert "<dd>mel from 0.25 on, else the most probable other label</dd>" in with_one


@pytest.mark.parametrize("size_wh", [(30, 30), (60, 400), (640, 480), (3000, 2000)])
@pytest.mark.parametrize("labels", [LABELS, THOUSAND, LONG], ids=["7", "1000", "long"])
def test_the_caption_fits_and_its_letters_can_be_read(
    labels: tuple[str, ...], size_wh: tuple[int, int]
) -> None:
    image = np.full((size_wh[1], size_wh[0], 3), 200, np.uint8)
    for label in labels[:4]:
        analysis = analysis_of(label, dict.fromkeys(labels, 1 / len(labels)), labels[2])
        result = annotate(image, replace(analysis, size_wh=size_wh))
        caption = len(result) - size_wh[1] * max(1, -(-480 // max(size_wh)))
        rows = result[:caption].min(axis=2).max(axis=1) > 200
        assert (result[:caption, -2:] < 60).all(), "a margin is left at the right"
        # Rows of letters: the highest of each is at least 1/60 of the width.
        tall = max(map(len, "".join("01"[int(row)] for row in rows).split("0")))
        assert tall >= max(size_wh[0], 480) / 60
        assert caption < result.shape[1] / 2


def test_an_annotated_picture_carries_all_probabilities(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    shares = dict.fromkeys(THOUSAND, 1 / 1000)
    analysis = analysis_of(THOUSAND[0], shares, THOUSAND[1])
    save_annotated(str(path), np.zeros((480, 640, 3), np.uint8), analysis)
    comment = read_comment(path)
    assert comment is not None
    assert comment["probabilities"] == shares
    assert cv2.imread(str(path)) is not None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, f"{SEVEN}, no threshold: the most probable label, SHA-"),
        (
            {"threshold": 0.25},
            f"{SEVEN}, mel from 0.25 on, else the most probable other label, SHA-",
        ),
        ({"labels": THOUSAND, "positive": THOUSAND[0]}, "1000 labels (label 000 of a thousand, "),
    ],
)
def test_the_doctor_says_the_labels_and_the_rule(
    changes: dict[str, object], told: str, tmp_path: Path
) -> None:
    finding = check_model(colours.write_model(tmp_path / "m.tflite", **changes))
    assert finding.level == "ok", finding
    assert finding.message.startswith(f"m.tflite: float32, 300x300, {told}")


def test_of_two_labels_the_positive_one_may_be_the_first(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    changes = {"labels": ["malignant", "benign"], "positive": "malignant", "threshold": 0.5}
    contract = parse_contract(colours.contract(**changes), "x")
    analysis = analysis_of("malignant", {"malignant": 0.7, "benign": 0.3}, "malignant", 0.5)
    assert "probabilities" not in analysis.to_dict()
    lines = Lines(contract, Rule(0.5), io.StringIO())
    assert lines.result(analysis).startswith("a.jpg: malignant, P(malignant) 0.70, 1 region")
    for each in (analysis, replace(analysis, label="benign", probability=0.2)):
        lines.count(each)
    lines.end(1.0)
    summary = capsys.readouterr().err
    assert "1 malignant, 1 benign, 0 failed; malignant from P 0.5 on; " in summary
    path = tmp_path / "r.html"
    with html_report(str(path), contract, Rule(0.5), {}) as report:
        report.add("a.jpg", analysis)
    page = path.read_text()
    assert '<article data-groups="yes" data-p="0.7">' in page
    assert '<button data-key="no" aria-pressed="false" disabled>benign <b>0</b>' in page
    finding = check_model(colours.write_model(tmp_path / "m.tflite", **changes))
    assert ", benign or malignant from 0.5 on, SHA-256 " in finding.message


@pytest.mark.slow
def test_run_and_camera_answer_with_it(model: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for label in ("mel", "nv"):
        noise = np.random.default_rng(0).integers(0, 9, (240, 320, 3), np.uint8)
        image = colours.picture(label, (320, 240)) + noise - 4
        cv2.ellipse(image, (160, 120), (20, 15), 0, 0, 360, (60, 60, 90), -1)
        cv2.imwrite(str(pictures / f"{label}.png"), image)
    done = run_module("edge.run", pictures, "--model", model, "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["label"] for line in found] == ["mel", "nv"]
    assert all(sum(line["probabilities"].values()) == pytest.approx(1) for line in found)
    options = ("--model", model, "--source", pictures, "--count", 2, "--interval", 0)
    out = ("--out", tmp_path / "out", "--save", "positive")
    done = run_module("edge.camera", *map(str, (*options, *out)))
    first, second = done.stdout.splitlines()
    assert re.search(r": mel, P\(mel\) 0\.\d\d, P\(\w+\) 0\.\d\d, 1 region.* -> ", first)
    assert re.search(r": nv, P\(nv\) 0\.\d\d, P\(mel\) 0\.\d\d, 1 region", second)
    assert " -> " not in second, "only the positive label's pictures are saved"
    (log,) = (tmp_path / "out").glob("snapshots-*.jsonl")
    logged = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["probabilities"] for line in logged] == [line["probabilities"] for line in found]
