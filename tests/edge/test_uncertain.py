"""A model may say that it doesn't know: a band of P around its threshold, and other such rules."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import Analysis, Analyzer, ModelError, Timings
from edge.camera.__main__ import main as camera
from edge.camera.frames import Frame
from edge.camera.snapshot import Snapshot
from edge.camera.store import Store
from edge.cli.lines import Lines
from edge.drawing import save_annotated
from edge.model.contract import Contract, InputSpec, OutputSpec, parse_contract
from edge.model.rule import Rule
from edge.models import main as models
from edge.picture.comment import read_comment
from edge.report.page import html_report
from edge.report.table import csv_table
from edge.run import main as run
from tests.support import dark
from tests.support.colours import contract as seven_labels
from tests.support.pictures import MODELS, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

BAND = (0.2, 0.45)
POINTS = {
    "screening": {"threshold": 0.1, "uncertain": [0.05, 0.15]},
    "more. specific": {"threshold": 0.6},
}
TWO = ("benign", "malignant")
ANALYSIS = Analysis(
    (64, 48),
    "uncertain",
    0.25,
    0.31,
    (),
    Timings(),
    (),
    "malignant",
    image="a.jpg",
    probabilities={"benign": 0.75, "malignant": 0.25},
    uncertain=BAND,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.tflite"
    return dark.write_model(path, threshold=0.31, uncertain=list(BAND), operating_points=POINTS)


@pytest.fixture(scope="module")
def contract(model: Path) -> Contract:
    return Analyzer(model, threads=1).contract


def document(labels: tuple[str, ...] = TWO, **changes: Any) -> dict[str, Any]:
    return seven_labels(labels=list(labels), positive=labels[1], threshold=0.31) | changes


@given(st.floats(0, 1), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_from_low_on_it_is_uncertain_and_from_high_on_positive(
    probability: float, drawn: list[float]
) -> None:
    """Also where the probability is an end of the band, or the threshold, to the last bit."""
    low, threshold, high = sorted(drawn)
    contract = Contract(
        *("n", "float32", "0", InputSpec((1, 1)), OutputSpec(), TWO, "malignant", threshold),
        uncertain=(low, high),
    )
    for p in (probability, *drawn, np.nextafter(high, 0), np.nextafter(low, 0)):
        expected = "benign" if p < low else "malignant" if p >= high else "uncertain"
        assert contract.decide([1 - p, p]) == expected
        assert contract.decide([1 - p, p], Rule(threshold)) == TWO[int(p >= threshold)]


@given(st.floats(0, 1), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_what_a_person_reads_is_on_its_side_of_both_ends(
    probability: float, drawn: list[float]
) -> None:
    low, threshold, high = sorted(drawn)
    analysis = replace(
        ANALYSIS, probability=probability, threshold=threshold, uncertain=(low, high)
    )
    for end in drawn:
        assert (float(analysis.rounded) >= end) == (probability >= end)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"uncertain": None}, "uncertain must be a list of two numbers"),
        ({"uncertain": [0.2, 0.4, 0.5]}, "uncertain must be a list of two numbers"),
        ({"uncertain": [0.2, 1.5]}, "each a number from 0 to 1"),
        ({"uncertain": [0.2, float("nan")]}, "each a number from 0 to 1"),
        ({"uncertain": [0.31, 0.31]}, r"low < high, around the threshold 0.31, is \[0.31, 0.31\]"),
        ({"uncertain": [0.4, 0.2]}, "low < high, around the threshold 0.31"),
        ({"uncertain": [0.32, 0.4]}, "low < high, around the threshold 0.31"),
        ({"uncertain": [0.2, 0.3]}, "low < high, around the threshold 0.31"),
        (
            {"labels": ["benign", "uncertain"], "positive": "uncertain", "uncertain": [0.2, 0.4]},
            "uncertain must be left out where a label is called 'uncertain'",
        ),
        (
            {"labels": ["a", "b", "c"], "positive": "a", "uncertain": [0.2, 0.4]},
            "uncertain must be left out where there are more than two labels",
        ),
        ({"operating_points": {}}, "operating_points must be an object of 1 to 16 names"),
        ({"operating_points": []}, "operating_points must be an object, is"),
        ({"operating_points": {"a\n": {"threshold": 0.1}}}, "1 to 30 printable characters"),
        ({"operating_points": {"x" * 31: {"threshold": 0.1}}}, "1 to 30 printable characters"),
        ({"operating_points": {"a.b": 0.1}}, "operating_points.a.b must be an object, is 0.1"),
        ({"operating_points": {"a.b": {}}}, "no 'operating_points.a.b.threshold'"),
        (
            {"operating_points": {"a": {"threshold": 0.1, "uncertain": [0.2, 0.3]}}},
            "operating_points.a.uncertain must be .* around the threshold 0.1",
        ),
        (
            {
                "labels": ["a", "b", "c"],
                "positive": "a",
                "operating_points": {"a": {"threshold": None}},
            },
            "operating_points.a.threshold must be a number from 0 to 1",
        ),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_by_name(
    changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        parse_contract(document(**changes), "model")


@pytest.mark.parametrize(
    "key",
    [{"uncertain": [0.2, 0.4]}, {"operating_points": POINTS}],
    ids=lambda key: next(iter(key)),
)
def test_under_schema_1_it_is_not_passed_over(key: dict[str, Any]) -> None:
    old = document(schema=1, **key)
    del old["input"]["resize"], old["output"]["activation"], old["positive"]
    with pytest.raises(ModelError, match=f"schema must be 2 where there is a '{next(iter(key))}'"):
        parse_contract(old, "model")


def test_a_band_may_touch_the_threshold() -> None:
    for band in ([0.31, 0.4], [0.2, 0.31], [0.0, 1.0]):
        assert parse_contract(document(uncertain=band), "model").uncertain == tuple(band)


def test_each_rule_gives_its_own_label_and_says_which_it_is(model: Path) -> None:
    analyzer = Analyzer(model, threads=1)
    p = analyzer.analyze(SAMPLES[5]).probability
    told = {}
    rules: list[dict[str, Any]] = [{}, {"threshold": 0.31}]
    for options in (*rules, *({"operating_point": name} for name in POINTS)):
        analysis = Analyzer(model, threads=1, **options).analyze(SAMPLES[5])
        line = analysis.to_dict()
        assert analysis.probability == p
        told[str(options.get("operating_point", options))] = (
            *(line["label"], line["threshold"]),
            *(line.get("uncertain"), line.get("operating_point")),
        )
    assert 0.2 < p < 0.45, "the sample that is read below"
    assert told == {
        "{}": ("uncertain", 0.31, [0.2, 0.45], None),
        "{'threshold': 0.31}": (TWO[p >= 0.31], 0.31, None, None),
        "screening": ("malignant", 0.1, [0.05, 0.15], "screening"),
        "more. specific": ("benign", 0.6, None, "more. specific"),
    }
    assert "uncertain" not in Analyzer(threads=1).analyze(SAMPLES[5]).to_dict()


def test_an_operating_point_that_isnt_there_is_told_with_those_that_are(
    model: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"no operating point 'x'; it has screening, more\. spec"):
        Analyzer(model, operating_point="x")
    with pytest.raises(ModelError, match="no operating point 'x'; it has none"):
        Analyzer(MODELS["int8"], operating_point="x")
    with pytest.raises(ValueError, match="not both"):
        Analyzer(model, operating_point="screening", threshold=0.5)
    both = ["--operating-point", "x", "--threshold", "0.5"]
    for command, sources in ((run, [str(SAMPLES[0])]), (camera, [])):
        with pytest.raises(SystemExit) as ended:
            command([*sources, *both])
        assert ended.value.code == 2
        assert "not allowed with" in capsys.readouterr().err
    point = ["--model", str(model), "--operating-point", "x"]
    assert run([str(SAMPLES[0]), *point]) == 1
    assert "it has screening, more. specific" in capsys.readouterr().err
    (tmp_path / "in").symlink_to(SAMPLES[0].parent)
    assert camera(["--source", str(tmp_path / "in"), "--save", "none", *point]) == 1
    assert "it has screening, more. specific" in capsys.readouterr().err


def test_a_models_rules_are_listed(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert models([str(model)]) == 0
    assert (
        "\n  decides  uncertain from 0.2 on, malignant from 0.45 on\n"
        "  or       uncertain from 0.05 on, malignant from 0.15 on (screening)\n"
        "  or       malignant from 0.6 on (more. specific)\n  licence "
    ) in capsys.readouterr().out
    assert models([str(model), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["models"]
    assert found["operating_points"] == list(POINTS)


def test_a_line_and_the_summary_say_so(
    contract: Contract, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = Lines(contract, contract.rule, io.StringIO())
    assert lines.result(ANALYSIS).startswith("a.jpg: uncertain, P(malignant) 0.25, no region")
    for label in ("uncertain", "malignant", "uncertain"):
        lines.count(replace(ANALYSIS, label=label))
    lines.end(1.0)
    assert (
        "3 pictures: 0 benign, 1 malignant, 2 uncertain, 0 failed; uncertain from P 0.2 on, "
        "malignant from P 0.45 on; "
    ) in capsys.readouterr().err
    lines = Lines(contract, contract.at("screening"), io.StringIO())
    lines.count(ANALYSIS)
    lines.count(ANALYSIS)
    lines.end(1.0)
    assert "malignant from P 0.15 on (screening); " in capsys.readouterr().err


def test_the_table_and_an_annotated_picture_say_so(contract: Contract, tmp_path: Path) -> None:
    with csv_table(str(tmp_path / "t.csv"), contract) as add:
        add("a.jpg", ANALYSIS)
    with (tmp_path / "t.csv").open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["label"], row["probability"], row["threshold"]) == ("uncertain", "0.25", "0.31")
    path = str(tmp_path / "a.jpg")
    save_annotated(path, np.full((48, 64, 3), 200, np.uint8), ANALYSIS)
    carried = read_comment(path)
    assert carried is not None
    assert (carried["label"], carried["uncertain"]) == ("uncertain", [0.2, 0.45])


def test_the_page_says_so_in_words_and_filters_by_it(contract: Contract, tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    with html_report(str(path), contract, contract.rule, {}) as report:
        report.add("a.jpg", ANALYSIS)
        report.add("b.jpg", replace(ANALYSIS, label="malignant", probability=0.7))
    page = path.read_text()
    assert '<article data-groups="unsure" data-p="0.25">' in page
    assert '<span class="unsure chip">uncertain</span>' in page
    assert '<span class="unsure chip">1 uncertain</span>' in page
    assert re.search(r'<button data-key="unsure" aria-pressed="false">uncertain <b>1</b>', page)
    assert "0.25 to 0.30: 1 uncertain" in page
    assert ">uncertain from 0.2 to 0.45</text>" in page
    assert "<dd>uncertain from 0.2 on, malignant from 0.45 on</dd>" in page
    # The bar's marks, and the drawing's lines, are at both ends.
    assert "--mark: 20.000000%; --band: 25.000000%;" in page
    assert "M80 0V116M180 0V116" in page


def test_its_colours_can_be_read(contract: Contract, tmp_path: Path) -> None:
    """WCAG 2.2, 1.4.3 and 1.4.11: text 4.5 to 1 on a card, a bar 3 to 1 beside what is around."""
    with html_report(str(tmp_path / "r.html"), contract, contract.rule, {}):
        pass
    page = (tmp_path / "r.html").read_text()
    light, night, paper = (
        dict(re.findall(r"--([a-z]+): (#\w+)", block))
        for block in re.findall(r":root \{(.+?)\}", page, re.DOTALL)
        if "--unsure" in block
    )
    for colours in (light, {**light, **night}, {**light, **paper}):
        for ground, least in (("card", 4.5), ("page", 4.5), ("well", 3.0)):
            assert _contrast(colours["unsure"], colours[ground]) >= least


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted(map(_luminance, (one, other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(each * 2 for each in colour[1:])
    srgb = np.array([int(digits[at : at + 2], 16) for at in (0, 2, 4)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize(
    ("policy", "saved"),
    [("positive", ["uncertain", "malignant"]), ("changed", ["benign", "uncertain", "malignant"])],
)
def test_a_camera_saves_what_may_be_positive_and_logs_all(
    tmp_path: Path, policy: Any, saved: list[str]
) -> None:
    from datetime import datetime, timezone

    store = Store(str(tmp_path), policy=policy)
    image = np.random.default_rng(0).integers(60, 200, (48, 64, 3), dtype=np.uint8)
    at = datetime(2026, 1, 1, tzinfo=timezone.utc)
    for label in ("benign", "benign", "uncertain", "malignant"):
        analysis = replace(ANALYSIS, label=label)
        store.save(Snapshot("test", at, 1.0, "ok", Frame(image, 0.0), analysis))
    (log,) = tmp_path.glob("*.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["label"] for line in lines] == ["benign", "benign", "uncertain", "malignant"]
    assert [line["label"] for line in lines if "saved" in line] == saved


def test_a_camera_tells_it(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").symlink_to(SAMPLES[5])
    options = ["--source", str(tmp_path / "in"), "--save", "none", "--interval", "0"]
    assert camera([*options, "--model", str(model), "--count", "1", "--segmentation", "otsu"]) == 0
    assert ": uncertain, P(malignant) 0." in capsys.readouterr().out
