"""The outline of the lesion: the network's map, the rule, and what people and programs are told."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import Analyzer, Lesion, ModelError, Picture, PredictionError, annotate, find_regions
from edge.cli.lines import Lines
from edge.doctor.software import check_model, check_runtime
from edge.model import outline as edge_outline
from edge.model.classifier import Classifier
from edge.model.rule import Rule
from edge.outline import MIN_SHARE, find_lesion
from edge.picture.comment import read_comment
from edge.report.table import csv_table
from edge.report.thumbnail import make_thumbnail
from edge.run import main
from tests.support import dark
from tests.support.pictures import MODELS

from .test_several_labels import terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

LESION = Lesion(10, 20, 3, 4, 9, 0.0034, (((10, 20), (12, 20), (11, 23)),))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dark.write_model(tmp_path_factory.mktemp("model") / "outlined.tflite")


def blot(size_wh: tuple[int, int], *ellipses: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Return light skin with dark ellipses (x, y, half width, half height), uint8 BGR."""
    image = np.full((size_wh[1], size_wh[0], 3), (190, 200, 225), np.uint8)
    for x, y, half_width, half_height in ellipses:
        cv2.ellipse(image, (x, y), (half_width, half_height), 0, 0, 360, (20, 25, 40), -1)
    return image


def filled(lesion: Lesion, size_wh: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels that the outline encloses, as anyone would draw it."""
    mask = np.zeros(size_wh[::-1], np.uint8)
    cv2.fillPoly(mask, [np.array(polygon) for polygon in lesion.outline], 1)
    return mask.astype(bool)


def largest_part(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest part, joined by sides or corners, with its holes: by flooding, pixelwise.

    A hole is what can't be reached from outside by steps along sides.
    """

    def flood(start: tuple[int, int], free: NDArray[np.bool_], steps: Any) -> NDArray[np.bool_]:
        reached, waiting = np.zeros_like(free), [start]
        reached[start] = True
        while waiting:
            row, column = waiting.pop()
            for down, across in steps:
                place = (row + down, column + across)
                inside = 0 <= place[0] < free.shape[0] and 0 <= place[1] < free.shape[1]
                if inside and free[place] and not reached[place]:
                    reached[place] = True
                    waiting.append(place)
        return reached

    sides = [(0, 1), (1, 0), (0, -1), (-1, 0)]
    corners = [*sides, (1, 1), (1, -1), (-1, 1), (-1, -1)]
    left, parts = mask.copy(), []
    while left.any():
        first = np.argwhere(left)[0]
        part = flood((int(first[0]), int(first[1])), left, corners)
        left &= ~part
        around = np.pad(~part, 1, constant_values=True)
        parts.append(~flood((0, 0), around, sides)[1:-1, 1:-1])
    return max(parts, key=np.count_nonzero)


@pytest.mark.parametrize("dtype", dark.DTYPES)
def test_the_networks_map_is_what_its_graph_says(dtype: str, tmp_path: Path) -> None:
    """Golden: the fixture's formula in numpy; 8-bit files round inside, by 0.05 before the end."""
    network = Classifier(dark.write_model(tmp_path / "m.tflite", dtype)).outline_network()
    assert network is not None
    rng = np.random.default_rng(15)
    gray = rng.integers(0, 256, (dark.HEIGHT, dark.WIDTH, 1))
    image = (gray + rng.integers(-20, 21, (dark.HEIGHT, dark.WIDTH, 3))).clip(0, 255)
    found = network.predict(image.astype(np.uint8))
    assert found.dtype == np.float32
    assert found.shape == (24, 32)
    tolerance = 1e-6 if dtype == "float32" else 0.25 * 0.05 + 1 / 256
    assert np.abs(found - dark.probabilities(image.astype(np.uint8))).max() <= tolerance
    assert (network.sibling().predict(image.astype(np.uint8)) == found).all()


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_lesion_is_the_largest_part_with_its_holes_filled(seed: int) -> None:
    """Golden: flooding, pixel by pixel; the outline is a pixel off at most, as it is simplified."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (60, 80)).astype(np.float32), (0, 0), 4)
    mask = noise > 0.5 * noise.std()
    expected = largest_part(mask)
    lesion = find_lesion(mask.astype(np.float32), 0.5, (80, 60))
    assert lesion is not None
    found = filled(lesion, (80, 60))
    if not (found & expected).any():  # two parts of nearly one size, of which either may be larger
        expected = largest_part(mask & ~expected)
    border = cv2.distanceTransform(expected.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~expected).astype(np.uint8), cv2.DIST_L2, 5)
    assert border[~found].max() <= 1.5
    assert outside[found].max() <= 1.5
    assert lesion.area == np.count_nonzero(found)
    assert lesion.share == lesion.area / 4800
    rows, columns = np.nonzero(found)
    assert (lesion.x, lesion.y) == (columns.min(), rows.min())
    assert (lesion.width, lesion.height) == (np.ptp(columns) + 1, np.ptp(rows) + 1)


@pytest.mark.parametrize("size_wh", [(1022, 767), (2000, 3000), (900, 3000)])
def test_the_outline_has_few_corners_and_is_true_to_a_four_hundredth(
    size_wh: tuple[int, int],
) -> None:
    """Golden: the map resized to the whole picture, whatever its size, and every pixel of it."""
    across, down = np.meshgrid(np.linspace(-1, 1, 128), np.linspace(-1, 1, 128))
    angle = np.arctan2(down, across)
    edge = 0.5 + 0.12 * np.sin(5 * angle) + 0.05 * np.sin(11 * angle + 1)
    smooth = (1 / (1 + np.exp((np.hypot(across, down) - edge) * 12))).astype(np.float32)
    lesion = find_lesion(smooth, 0.4, size_wh)
    assert lesion is not None
    assert 30 <= len(lesion.outline[0]) <= 200
    expected = cv2.resize(smooth, size_wh, interpolation=cv2.INTER_LINEAR) >= 0.4
    found = filled(lesion, size_wh)
    assert lesion.area == np.count_nonzero(found)
    for one, other in ((found, expected), (expected, found)):
        outside = cv2.distanceTransform((~one).astype(np.uint8), cv2.DIST_L2, 3)
        assert outside[other].max() <= max(size_wh) / 400 + 1
    assert np.count_nonzero(found & expected) / np.count_nonzero(found | expected) > 0.98


def test_where_there_is_next_to_nothing_there_is_no_lesion() -> None:
    nothing = np.zeros((100, 100), np.float32)
    assert find_lesion(nothing, 0.5, (100, 100)) is None
    for side, expected in ((3, None), (4, 16)):
        some = nothing.copy()
        some[50 : 50 + side, 50 : 50 + side] = 1
        lesion = find_lesion(some, 0.5, (100, 100))
        assert (lesion and lesion.area) == expected
        assert (side**2 / 10_000 >= MIN_SHARE) == (expected is not None)
    line = nothing.copy()
    line[50] = 1  # a hair has no inside
    assert find_lesion(line, 0.5, (100, 100)) is None


@pytest.mark.parametrize("size_wh", [(33, 7), (2000, 3001), (5000, 40)])
def test_what_reaches_the_border_reaches_it_at_any_size(size_wh: tuple[int, int]) -> None:
    full = find_lesion(np.ones((10, 10), np.float32), 0.5, size_wh)
    assert full is not None
    assert (full.x, full.y, full.width, full.height, full.share) == (0, 0, *size_wh, 1.0)


def test_the_threshold_is_where_lesion_begins() -> None:
    half = np.full((10, 10), 0.5, np.float32)
    assert find_lesion(half, 0.5, (10, 10)) is not None
    assert find_lesion(half, 0.5000001, (10, 10)) is None


@pytest.mark.parametrize("threads", [1, 2])
def test_the_lesion_lies_where_it_is_in_the_picture(model: Path, threads: int) -> None:
    image = blot((640, 480), (200, 250, 80, 60), (560, 60, 25, 30))
    analysis = Analyzer(model, threads=threads).analyze(image)
    lesion = analysis.lesion
    assert lesion is not None
    # The map's grid is 20 pixels of the picture wide.
    for found, expected in zip(
        (lesion.x, lesion.y, lesion.width, lesion.height), (120, 190, 160, 120), strict=True
    ):
        assert abs(found - expected) <= 12
    assert abs(lesion.area / (np.pi * 80 * 60) - 1) < 0.1
    assert analysis.regions == ()


def test_of_a_copy_at_reduced_scale_the_outline_is_in_the_pictures_own_pixels(model: Path) -> None:
    image = blot((2048, 1536), (1400, 700, 300, 250))
    small = cv2.resize(image, (512, 384), interpolation=cv2.INTER_AREA)
    analyzer = Analyzer(model, threads=1)
    whole = analyzer.analyze(image).lesion
    reduced = analyzer.analyze(
        Picture(np.asarray(small, np.uint8), scale=4, whole_wh=(2048, 1536))
    ).lesion
    assert whole is not None
    assert reduced is not None
    both = filled(whole, (2048, 1536)), filled(reduced, (2048, 1536))
    assert np.count_nonzero(both[0] & both[1]) / np.count_nonzero(both[0] | both[1]) > 0.97


def test_both_can_be_asked_for_and_each_is_as_alone(model: Path, scene: NDArray[np.uint8]) -> None:
    brought, otsu, both = (
        Analyzer(model, segmentation=asked).analyze(scene) for asked in (None, "otsu", "both")
    )
    sha256 = dark.describe()["flatbuffer"]["sha256"]
    assert brought.model == both.model == {**otsu.model, "outline_sha256": sha256}
    assert brought.to_dict().keys() ^ both.to_dict().keys() == {"regions"}
    assert otsu.to_dict().keys() ^ both.to_dict().keys() == {"lesion"}
    assert both.regions == otsu.regions == find_regions(scene)
    assert both.lesion == brought.lesion
    assert brought.probability == otsu.probability == both.probability


def test_analyzers_of_many_threads_give_the_same_lesions(model: Path) -> None:
    pictures = [blot((300, 200), (x, 100, 40, 30)) for x in range(60, 240, 10)]
    alone = [Analyzer(model, threads=1).analyze(picture).lesion for picture in pictures]
    found = Analyzer(model, threads=3).analyze_many(pictures)
    assert [outcome.result.lesion for outcome in found] == alone  # type: ignore[union-attr]


def test_a_model_answers_as_ever_where_it_brings_no_outline(scene: NDArray[np.uint8]) -> None:
    """The keys of a result of the notebook's model, in order: nothing is added."""
    keys = "image size label probability threshold regions timings_ms warnings model"
    assert " ".join(Analyzer(MODELS["int8"], threads=1).analyze(scene).to_dict()) == keys
    with pytest.raises(ModelError, match=r"no network for the lesion's outline.*dermoscopy"):
        Analyzer(MODELS["int8"], segmentation="outline")
    with pytest.raises(ValueError, match="segmentation must be one of otsu, outline, both"):
        Analyzer(MODELS["int8"], segmentation="mask")


def test_who_asks_for_regions_loads_no_second_network(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_outline, "OutlineNetwork", lambda *_: pytest.fail("was loaded"))
    Analyzer(model, segmentation="otsu")


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.1])
def test_fault_24_a_map_that_holds_no_probability_is_an_error(value: float, tmp_path: Path) -> None:
    """FAULTS 24."""
    network = Classifier(dark.write_model(tmp_path / "m.tflite", "float32")).outline_network()
    assert network is not None
    real = network._interpreter

    class StandIn:
        tensor, invoke = staticmethod(real.tensor), staticmethod(real.invoke)

        @staticmethod
        def get_tensor(index: int) -> NDArray[np.float32]:
            elements: NDArray[np.float32] = real.get_tensor(index)
            elements[0, 3, 4, 0] = value
            return elements

    network._interpreter = StandIn
    with pytest.raises(PredictionError, match=r"outline network of 'lesion' answered .*, no prob"):
        network.predict(np.zeros((5, 5, 3), np.uint8))


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.341, "lesion 34 % of the picture"),
        (0.0096, "lesion 1 % of the picture"),
        (0.0043, "lesion 0.4 % of the picture"),
        (1.0, "lesion 100 % of the picture"),
        (None, "no lesion found"),
    ],
)
def test_a_person_is_told_how_large_the_lesion_is(
    share: float | None,
    said: str,
    int8_analyzer: Analyzer,
    scene: NDArray[np.uint8],
    tmp_path: Path,
) -> None:
    found = int8_analyzer.analyze(scene)
    lesion = None if share is None else replace(LESION, share=share)
    analysis = replace(found, lesion=lesion, segmentation="outline", regions=())
    assert analysis.found == said
    both = replace(found, lesion=lesion, segmentation="both")
    assert both.found == f"{said}, 1 region"
    with (tmp_path / "lines").open("w") as stream:
        lines = Lines(int8_analyzer.contract, Rule(0.5), stream, segmentation="both")
        text = lines.result(both)
    where = ", 3x4 at (10, 20)" if lesion else ""
    region = found.regions[0]
    assert (
        f", {said}{where}, 1 region, largest {region.width}x{region.height} at "
        f"({region.x}, {region.y}), " in text
    )


def test_json_text_table_and_picture_have_the_lesion(
    model: Path,
    save_picture: Callable[..., Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    pictures = [
        str(save_picture(blot((640, 480), (200, 250, 80, 60)), "a.png")),
        str(save_picture(blot((64, 48)), "b.png")),
    ]
    options = [
        "--model",
        str(model),
        "--out",
        str(tmp_path / "out"),
        "--csv",
        str(tmp_path / "t.csv"),
    ]
    options += ["--report", str(tmp_path / "r.html"), "--threads", "1"]
    assert main([*pictures, *options, "--json"]) == 0
    first, second = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert second["lesion"] is None
    lesion = first["lesion"]
    assert list(lesion) == ["x", "y", "width", "height", "area", "share", "outline"]
    assert "regions" not in first
    ((*_, last),) = lesion["outline"]
    assert all(isinstance(number, int) for number in last)
    assert (read_comment(tmp_path / "out/a_annotated.jpg") or {})["lesion"] == lesion
    with (tmp_path / "t.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert [row["lesion_area"] for row in rows] == [str(lesion["area"]), ""]
    assert float(rows[0]["lesion_share"]) == lesion["share"]
    assert "regions" not in rows[0]
    page = (tmp_path / "r.html").read_text()
    percent = round(100 * lesion["share"])
    assert f'<p class="small">lesion {percent} % of the picture</p>' in page
    assert '<p class="small">no lesion found</p>' in page
    assert "outlined by the model&#x27;s network" in page


def test_the_table_has_columns_for_what_was_looked_for(
    int8_analyzer: Analyzer, scene: NDArray[np.uint8], tmp_path: Path
) -> None:
    analysis = replace(int8_analyzer.analyze(scene), segmentation="both", lesion=LESION)
    with csv_table(str(tmp_path / "t.csv"), int8_analyzer.contract, "both") as add:
        add("a", analysis)
    with (tmp_path / "t.csv").open(encoding="utf-8-sig") as file:
        (row,) = csv.DictReader(file)
    assert (row["regions"], row["lesion_x"], row["lesion_share"]) == ("1", "10", "0.0034")


@pytest.mark.parametrize("segmentation", ["outline", "both"])
@pytest.mark.parametrize("columns", [100, 200])
def test_on_a_terminal_lines_fit_its_width_and_stand_in_columns(
    columns: int, segmentation: str, int8_analyzer: Analyzer, scene: NDArray[np.uint8]
) -> None:
    found = replace(int8_analyzer.analyze(scene), segmentation=segmentation, image="x" * 300)
    lesions = (None, LESION, replace(LESION, share=0.5), replace(LESION, share=1.0))
    with terminal(columns) as stream:
        lines = Lines(
            int8_analyzer.contract, Rule(0.5), stream, colour=False, segmentation=segmentation
        )
        told = [lines.result(replace(found, lesion=lesion)) for lesion in lesions]
    assert len({len(line) for line in told}) == 1
    assert len(told[0]) <= columns
    assert "  no lesion" in told[0]
    assert "  lesion 0.3 %" in told[1]


@pytest.mark.parametrize("zoom", [1, 3])
def test_the_outline_is_drawn_where_the_lesion_is(zoom: int, int8_analyzer: Analyzer) -> None:
    image = blot((600, 500), (300, 200, 100, 80))
    lesion = find_lesion((image[:, :, 0] < 100).astype(np.float32), 0.5, (600, 500))
    analysis = replace(
        int8_analyzer.analyze(image), lesion=lesion, segmentation="outline", regions=()
    )
    given = image[::zoom, ::zoom]
    drawn = annotate(given, analysis)
    canvas = drawn[-(500 if zoom == 1 else 3 * len(given)) :].astype(int)
    red = (canvas[:, :, 2] > 200) & (canvas[:, :, :2].max(axis=2) < 60)
    across, down = canvas.shape[1] / 600, canvas.shape[0] / 500
    rows, columns = np.nonzero(red)
    distance = np.hypot((columns / across - 300) / 100, (rows / down - 200) / 80)
    assert np.abs(distance - 1).max() < 0.08
    assert np.ptp(columns) >= 195 * across
    with_it, without = (
        cv2.imdecode(np.frombuffer(make_thumbnail(Picture(image), each), np.uint8), 1)
        for each in (analysis, replace(analysis, lesion=None))
    )
    assert with_it is not None
    assert without is not None
    rows, columns = np.nonzero(cv2.absdiff(with_it, without).max(axis=2) > 60)
    distance = np.hypot((columns * 3 - 300) / 100, (rows * 3 - 200) / 80)
    assert np.abs(distance - 1).max() < 0.2


@pytest.mark.slow
def test_the_doctor_tries_both_networks(model: Path) -> None:
    assert "0.13 on, outlines the lesion, SHA-256" in check_model(model).message
    assert check_runtime(model).message.endswith("answers")
