"""A card's figures are those that others compute; hostile folders are told in a line."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import recall_score, roc_auc_score

from edge.model.rule import Rule
from models.training.cards import main
from models.training.folder import Item
from models.training.judged import Judged, jaccard_of
from models.training.markdown import put_into, tables
from models.training.reliability import reliability_svg
from models.training.skin import band_of, typology_angle
from models.training.tables import called, parity, set_figures, sets_of, share, size_of
from tests.support.pictures import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable


def judged(malignant: object, probability: float, diagnosis: str = "", **more: float) -> Judged:
    item = Item(Path("x.jpg"), bool(malignant), diagnosis)
    uncertain = 0.3 <= probability < 0.5
    return Judged(item, probability, None, uncertain, "dark", more.get("reference"))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1), st.floats(0, 1))
def test_sensitivity_and_specificity_are_scikit_learn_s(
    pairs: list[tuple[bool, float]], threshold: float
) -> None:
    figures = called([judged(*pair) for pair in pairs], threshold)
    truth = [malignant for malignant, _ in pairs]
    answers = [probability >= threshold for _, probability in pairs]
    for name, label in (("sensitivity", True), ("specificity", False)):
        if label not in truth:
            assert figures[name] is None
            continue
        expected = recall_score(truth, answers, pos_label=label)
        assert figures[name]["value"] == pytest.approx(expected, abs=1e-4)


@settings(deadline=None)
@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_intervals_are_wilson_s_formula(counts: tuple[int, int]) -> None:
    count, total = counts
    z, p = 1.959964, count / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total**2))
    figures = share(count, total)
    assert figures is not None
    assert figures["95"] == pytest.approx([middle - half, middle + half], abs=1e-4)


def test_a_set_s_figures_by_hand() -> None:
    pictures = [judged(m, p) for m, p in ((1, 0.9), (1, 0.35), (0, 0.45), (0, 0.05))]
    rule = Rule(0.4, (0.3, 0.5))
    figures = set_figures(pictures, rule, [Rule(0.3, None, "screening")])
    assert figures["auc"]["value"] == 0.75 == roc_auc_score([1, 1, 0, 0], [0.9, 0.35, 0.45, 0.05])
    assert figures["uncertain"]["count"] == 2
    assert figures["calibration_error"] == pytest.approx((0.1 + 0.65 + 0.45 + 0.05) / 4)
    assert figures["operating_points"]["screening"]["sensitivity"]["value"] == 1.0
    assert set_figures(pictures[:2], Rule(0.4), [])["auc"] is None


def test_diagnoses_that_are_neither_label_are_counted_and_left_out() -> None:
    pictures = [judged(0, 0.9, "bcc"), judged(0, 0.2, "nv"), judged(0, 0.6, "nv")]
    sets = sets_of("set", pictures, Rule(0.5), [])
    assert [of["pictures"] for of in sets.values()] == [3, 2]
    of = sets["set"]["by_diagnosis"]["nv"]
    assert (of["called_malignant"]["count"], of["median"]) == (1, 0.4)


def test_bands_of_size_meet_without_a_gap() -> None:
    names = [size_of(part) for part in (0.0, 0.0999, 0.1, 0.2999, 0.3, 1.0, None)]
    assert names == [
        *["under 10 %"] * 2,
        *["10 to 30 %"] * 2,
        *["30 % and more"] * 2,
        "not known",
    ]


def test_parity_by_hand() -> None:
    pictures = [judged(0, 0.4, reference=0.6), judged(0, 0.1, reference=0.1)]
    figures = parity(pictures, 0.5)
    assert (figures["mean_delta"], figures["max_delta"], figures["flips"]) == pytest.approx(
        (0.1, 0.2, 1)
    )
    one = np.array([[True, True, False]])
    assert jaccard_of(one, np.array([[False, True, True]])) == pytest.approx(1 / 3)
    assert (jaccard_of(one, None), jaccard_of(None, None)) == (0.0, None)


def lab_of(blue: int, green: int, red: int) -> tuple[float, float]:
    """Return L* and b* of a colour of sRGB, by CIE's and IEC 61966-2-1's formulas (D65)."""
    r, g, b = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (red / 255, green / 255, blue / 255)
    )
    y = 0.212671 * r + 0.715160 * g + 0.072169 * b
    z = (0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.088754
    fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (y, z))
    return 116 * fy - 16, 200 * (fy - fz)


@pytest.mark.parametrize("colour", [(170, 190, 225), (90, 120, 170), (40, 60, 90)])
def test_typology_angle_is_the_formula_of_the_skin_alone(colour: tuple[int, int, int]) -> None:
    picture = np.full((100, 120, 3), colour, np.uint8)
    lesion = np.zeros((100, 120), bool)
    lesion[30:70, 40:80] = True
    picture[lesion] = (20, 30, 80)
    picture[:12, :12] = picture[-12:, -12:] = 0
    lightness, yellow = lab_of(*colour)
    expected = math.degrees(math.atan((lightness - 50) / yellow))
    angle = typology_angle(picture, lesion)
    assert angle == pytest.approx(expected, abs=0.5)


def test_no_typology_angle_where_there_is_no_skin() -> None:
    assert typology_angle(np.zeros((50, 50, 3), np.uint8)) is None
    blue = np.full((50, 50, 3), (200, 100, 60), np.uint8)
    assert typology_angle(blue) is None
    white = np.full((50, 50, 3), (170, 190, 225), np.uint8)
    assert typology_angle(white, np.ones((50, 50), bool)) is None
    assert [band_of(a) for a in (55.1, 55.0, -30.0, None)] == [
        "very light, over 55°",
        "light, over 41°",
        "dark, to -30°",
        "not known",
    ]


def test_the_plot_has_a_point_where_the_share_and_the_mean_are() -> None:
    malignant = np.array([False, False, True, True])
    svg = ET.fromstring(reliability_svg({"<a> & b": (malignant, np.array([0, 0, 1, 1]))}))  # noqa: S314
    circles = [(c.get("cx"), c.get("cy")) for c in svg.iter() if c.tag.endswith("circle")]
    assert circles == [("60.0", "380.0"), ("420.0", "20.0")]


def test_only_what_is_between_a_card_s_markers_changes() -> None:
    card = "a\n<!-- figures -->\nold\n<!-- end of figures -->\nb\n"
    once = put_into(card, "new")
    assert once == "a\n<!-- figures -->\n\nnew\n\n<!-- end of figures -->\nb\n"
    assert put_into(once, "new") == once
    for other in ("", "<!-- figures -->", "<!-- end of figures --><!-- figures -->"):
        with pytest.raises(ValueError, match="<!-- figures -->"):
            put_into(other, "new")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = ["image_id,label,dx,fold"]
    folder = tmp_path / "set"
    for label, colour, fold in (("benign", 200, 0), ("malignant", 90, 0), ("malignant", 80, 1)):
        (folder / label).mkdir(parents=True, exist_ok=True)
        picture = np.full((64, 64, 3), colour, np.uint8)
        assert cv2.imwrite(str(folder / label / f"{colour}.jpg"), picture)
        rows.append(f"{colour},{label},nv,{fold}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def test_the_command_judges_what_ships(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The notebook's model has neither operating points, nor a band, nor an outline."""
    assert main(["notebook", str(folder), "--fold", "0", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    of = figures["sets"]["set, fold 0"]
    assert (of["pictures"], of["melanomas"], of["uncertain"]["count"]) == (2, 1, 0)
    assert (of["operating_points"], list(of["by_size"])) == ({}, ["not known"])
    card = folder.parent / "CARD.md"
    card.write_text("<!-- figures --><!-- end of figures -->")
    assert main(["notebook", str(folder), "--fold", "0", "--card", str(card)]) == 0
    assert capsys.readouterr().out.strip() == tables(figures)
    assert tables(figures) in card.read_text()
    assert (folder.parent / "card-reliability.svg").exists()


def test_the_keras_file_answers_as_its_tflite_file_does(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = str(ROOT / "models/model.h5")
    (folder / "labels.csv").unlink()
    (folder / "benign/200.jpg").rename(folder / "a.jpg")
    assert main(["notebook", str(folder), "--against", reference, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["sets"] == {}
    assert figures["parity"]["set"]["max_delta"] < 0.01
    assert figures["parity"]["set"]["pictures"] == 1
    assert figures["parity"]["set"]["jaccard_mean"] is None


def _break(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_break("labels.csv", "image_id,label\na,unsure\n"), "benign or malignant"),
        (_break("labels.csv", "id,label\na,benign\n"), "columns image_id and label"),
        (_break("labels.csv", "image_id,label\n"), "no picture to judge"),
        (_break("labels.csv", "image_id,label\nmissing,benign\n"), "missing.jpg"),
        (_break("folds.csv", "image_id,fold\n200,first\n"), "whole numbers"),
        (_break("benign/200.jpg", "no picture"), "200.jpg"),
        (lambda folder: (folder / "labels.csv").unlink(), "no picture to judge"),
        (lambda folder: (folder / "labels.csv").write_bytes(b"\xff\xfe\0"), "can't be read"),
    ],
)
def test_a_hostile_folder_is_told_in_a_line(
    folder: Path,
    change: Callable[[Path], object],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(folder)
    assert main(["notebook", str(folder)]) in {1, 2}
    out, error = capsys.readouterr()
    assert out == ""
    line = error.strip().splitlines()[-1]
    assert message in line
    assert line.startswith("evaluate: ")


def test_a_mask_of_another_size_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = folder.with_name("set_masks")
    masks.mkdir()
    assert cv2.imwrite(str(masks / "200.png"), np.zeros((8, 8), np.uint8))
    assert main(["notebook", str(folder)]) == 2
    assert "no mask of its picture's size" in capsys.readouterr().err
