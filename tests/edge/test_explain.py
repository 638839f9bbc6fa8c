"""Where an answer comes from: the parts that are covered, and what people and programs are told."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from edge import Analysis, Analyzer, Explanation, Picture, Timings, annotate, read_picture
from edge.explain import explain
from edge.model.classifier import Classifier
from edge.picture.comment import read_comment
from edge.report.thumbnail import make_thumbnail
from edge.run import main
from tests.support import colours
from tests.support.own import OWN, Own, pictures
from tests.support.pictures import SAMPLES

from .test_own_files import graphs_answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

KEYS = ["method", "x", "y", "width", "height", "rows", "columns", "fall"]


def falls_by_hand(
    seen: NDArray[np.uint8],
    parts: tuple[int, int],
    probability: Callable[[NDArray[np.uint8]], float],
) -> NDArray[np.float64]:
    """Cover each part, two steps wide and high, of what a model sees, by its mean colour."""
    (rows, columns), (height, width) = parts, seen.shape[:2]
    mean = np.rint(seen.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
    falls = np.empty((rows, columns))
    for row in range(rows):
        for column in range(columns):
            covered = seen.copy()
            tops = [step * height // (rows + 1) for step in (row, row + 2)]
            lefts = [step * width // (columns + 1) for step in (column, column + 2)]
            covered[slice(*tops), slice(*lefts)] = mean
            falls[row, column] = probability(seen) - probability(covered)
    return falls


def spotted(size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture of a colour between those of bkl and mel, with a square that is redder."""
    image = np.full((size_wh[1], size_wh[0], 3), (120, 128, 187), np.uint8)
    image[160:230, 190:260] = (60, 60, 250)
    return image


@pytest.mark.parametrize(
    ("resize", "size_wh", "seen_xywh"),
    [
        ("stretch", (300, 300), (0, 0, 300, 300)),
        ("crop", (480, 300), (90, 0, 300, 300)),
        ("letterbox", (300, 290), (0, 0, 300, 290)),
    ],
)
def test_it_is_how_far_the_probability_falls_without_each_part(
    resize: str, size_wh: tuple[int, int], seen_xywh: tuple[int, ...], tmp_path: Path
) -> None:
    """Golden: a model of the mean colour, in numpy; nothing has to be resized."""
    changes = {"input": {**colours.contract()["input"], "resize": resize}}
    model = colours.write_model(tmp_path / "m.tflite", **changes)
    image = spotted(size_wh)
    explanation = Analyzer(model, explain=True).analyze(image).explanation
    assert explanation is not None
    x, y, width, height = seen_xywh
    assert (explanation.x, explanation.y, explanation.width, explanation.height) == seen_xywh
    mel = colours.LABELS.index("mel")

    def probability(seen: NDArray[np.uint8]) -> float:
        mean = seen.astype(np.float64).sum(axis=(0, 1)) / 300**2  # bars are black
        return float(colours.probabilities(mean)[mel])

    expected = falls_by_hand(image[y : y + height, x : x + width], (11, 11), probability)
    assert np.abs(np.array(explanation.fall) - expected).max() < 1e-5
    row, column = np.unravel_index(expected.argmax(), expected.shape)
    assert expected.max() > 0.03
    # The middle of the part without which it falls most lies in the square.
    assert 160 <= y + (row + 1) * height / 12 <= 230
    assert 190 <= x + (column + 1) * width / 12 <= 260


@pytest.mark.parametrize("own", OWN, ids=lambda own: own.name)
def test_ones_own_model_of_any_encoding_is_asked_of_the_pixels_it_wants(
    own: Own, tmp_path: Path
) -> None:
    """Golden: a bare interpreter; an input of 12 x 8 pixels has 11 x 7 places."""
    contract = tmp_path / "contract.json"
    contract.write_text(json.dumps(own.contract()))
    analyzer = Analyzer(own.path, contract=contract, explain=True)
    (image,) = pictures(1)
    explanation = analyzer.analyze(image).explanation
    assert explanation is not None
    expected = falls_by_hand(image, (7, 11), lambda seen: float(graphs_answer(own, seen)[1]))
    assert np.ptp(expected) > 0.05
    assert np.abs(np.array(explanation.fall) - expected).max() < 1e-12


@pytest.mark.parametrize(("side", "parts"), [(1, 1), (2, 1), (3, 2), (12, 11)])
def test_a_small_input_has_fewer_places_and_each_covers_something(side: int, parts: int) -> None:
    class Small:
        """Says how much of the picture is light."""

        contract = Classifier().contract
        contract = replace(contract, input=replace(contract.input, size_wh=(side, 12)))

        def predict(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
            changed.append(pixels.copy())
            return np.array([0.0, 1.0])

    changed: list[NDArray[np.uint8]] = []
    rng = np.random.default_rng(side)
    image = rng.integers(0, 100, (12, side, 3), np.uint8)
    image[::2] += 100
    found = explain(image, Small(), 1.0, (side, 12))  # type: ignore[arg-type]
    assert (len(found.fall), len(found.fall[0])) == (11, parts)
    assert len(changed) == 11 * parts
    assert all((pixels != image).any() for pixels in changed)
    covered = [(pixels != image).any(axis=2) for pixels in changed]
    assert np.any(covered, axis=0).mean() > 0.9


def test_the_picture_is_left_as_it_was_and_no_answer_is_another(
    scene: NDArray[np.uint8],
) -> None:
    before = scene.copy()
    plain, explained = (Analyzer(explain=asked).analyze(scene) for asked in (False, True))
    assert (scene == before).all()
    assert plain.explanation is None
    assert plain.timings_ms.explain is None
    assert explained.probability == plain.probability
    assert explained.to_dict().keys() ^ plain.to_dict().keys() == {"explanation"}
    steps = explained.to_dict()["timings_ms"].keys() ^ plain.to_dict()["timings_ms"].keys()
    assert steps == {"explain"}


def test_many_at_once_are_explained_as_alone(scene: NDArray[np.uint8]) -> None:
    images = [scene, scene[::-1].copy(), scene[:, ::-1].copy()]
    alone = [Analyzer(threads=1, explain=True).analyze(image).explanation for image in images]
    found = Analyzer(threads=2, explain=True).analyze_many(images)
    assert [outcome.result.explanation for outcome in found] == alone  # type: ignore[union-attr]


def test_of_a_copy_at_reduced_scale_it_is_in_the_pictures_own_pixels(tmp_path: Path) -> None:
    analyzer = Analyzer(colours.write_model(tmp_path / "m.tflite"), explain=True)
    image = spotted((480, 300))
    whole = analyzer.analyze(image).explanation
    reduced = analyzer.analyze(Picture(image, scale=4, whole_wh=(1920, 1200))).explanation
    assert whole is not None
    assert reduced == replace(whole, x=360, y=0, width=1200, height=1200)


def explained(fall: list[list[float]], size_wh: tuple[int, int], **changes: Any) -> Analysis:
    box = {"x": 0, "y": 0, "width": size_wh[0], "height": size_wh[1], **changes}
    return Analysis(
        size_wh=size_wh,
        label="malignant",
        probability=0.6,
        threshold=0.5,
        regions=(),
        timings_ms=Timings(explain=50.0),
        warnings=(),
        positive="malignant",
        explanation=Explanation(**box, fall=tuple(map(tuple, fall))),
    )


def one_part(fall: float) -> list[list[float]]:
    """Return a grid of 5 x 5 in which the part of row 1 and column 3 alone matters."""
    grid = np.full((5, 5), -0.2)
    grid[1, 3] = fall
    return grid.tolist()


@pytest.mark.parametrize("size_wh", [(600, 450), (1200, 900), (300, 900)])
def test_what_matters_is_warm_and_still_to_be_seen(size_wh: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(60, 200, (size_wh[1], size_wh[0], 3), np.uint8)
    analysis = explained(one_part(0.3), size_wh)
    drawn = annotate(image, analysis)[-size_wh[1] :, : size_wh[0]].astype(int)
    change = np.abs(drawn - image).max(axis=2)
    rows, columns = np.indices(change.shape)
    # The part is rows 1 and 2 of six, columns 3 and 4; it fades out over a step around it.
    down, across = rows / size_wh[1] * 6 - 2, columns / size_wh[0] * 6 - 4
    away = np.maximum(abs(down), abs(across))
    assert change[away > 1.6].max() == 0
    inside = away < 0.4
    warmer = (drawn[:, :, 2] - drawn[:, :, 0] - image[:, :, 2] + image[:, :, 0].astype(int))[inside]
    assert warmer.mean() > 40
    for channel in range(3):
        below = np.corrcoef(drawn[inside][:, channel], image[inside][:, channel])[0, 1]
        assert below > 0.8, "the picture is hidden"


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (767, 1), (60, 400)])
def test_it_can_be_drawn_on_a_copy_of_any_size(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 120, np.uint8)
    analysis = explained(one_part(0.3), (600, 450), x=200, width=200)
    assert annotate(image, analysis).shape[1] >= 480
    assert make_thumbnail(Picture(image), analysis)


def test_where_no_part_decides_it_says_so_and_nothing_is_warm() -> None:
    image = np.full((450, 600, 3), 120, np.uint8)
    for fall in (0.0099, 0.0, -0.2):
        analysis = explained(one_part(fall), (600, 450))
        told = "no part alone decides: P(malignant) falls by less than 0.01"
        assert analysis.explained == told
        assert (annotate(image, analysis)[-450:, :600] == 120).all()
    analysis = explained(one_part(0.01), (600, 450))
    assert analysis.explained == "warm: P(malignant) falls most without it, by 0.01"
    assert (annotate(image, analysis)[-450:, :600] != 120).any()


def test_long_labels_leave_the_caption_its_letters() -> None:
    image = np.full((450, 600, 3), 120, np.uint8)
    short = explained(one_part(0.3), (600, 450))
    label = "melanoma " * 30
    several = {label: 0.6, "nv": 0.3, "df": 0.1}
    long = replace(short, positive=label, label=label, probabilities=several)
    assert label in long.explained
    captions = [len(annotate(image, each)) - 450 for each in (short, long)]
    assert captions[1] > 0.5 * captions[0]


def test_the_command_tells_it_in_json_pictures_and_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page, picture = tmp_path / "out", tmp_path / "r.html", SAMPLES[1]
    options = ["--json", "--explain", "--out", str(out), "--report", str(page)]
    assert main([str(picture), *options]) == 0
    line = json.loads(capsys.readouterr().out)
    explanation = line["explanation"]
    assert list(explanation) == KEYS
    assert explanation["method"] == "occlusion"
    assert [explanation[key] for key in ("x", "y")] == [0, 0]
    assert [explanation[key] for key in ("width", "height")] == line["size"]
    assert np.shape(explanation["fall"]) == (explanation["rows"], explanation["columns"])
    assert line["timings_ms"]["explain"] > 0
    (annotated,) = out.iterdir()
    assert (read_comment(annotated) or {})["explanation"] == explanation
    most = max(map(max, explanation["fall"]))
    text = page.read_text()
    assert f"warm: P(malignant) falls most without it, by {most:.2f}</p>" in text
    assert "<dt>Warm parts</dt>" in text
    plain = make_thumbnail(read_picture(picture), Analyzer().analyze(picture))
    thumbnail = make_thumbnail(read_picture(picture), Analyzer(explain=True).analyze(picture))
    drawn, before = (cv2.imdecode(np.frombuffer(each, np.uint8), 1) for each in (thumbnail, plain))
    assert drawn is not None
    assert before is not None
    assert (cv2.absdiff(drawn, before).max(axis=2) > 40).mean() > 0.01


def test_where_nothing_would_show_it_the_command_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(SAMPLES[0]), "--explain"])
    assert caught.value.code == 2
    assert "--explain shows nothing without --out, --report or --json" in capsys.readouterr().err
