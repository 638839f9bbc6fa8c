"""The report shows what was found, whatever pictures, names and labels there are."""

from __future__ import annotations

import base64
import hashlib
import re
import tempfile
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge import Analysis, Picture, PictureError, Region, Timings, read_picture
from edge.files import printable
from edge.model.rule import Rule
from edge.report.histogram import Histogram
from edge.report.page import html_report
from edge.report.thumbnail import make_thumbnail
from edge.results import NOTICE
from tests.support.pictures import CALIBRATION, HELD_OUT, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edge import Analyzer
    from edge.model.contract import Contract

ANALYSIS = Analysis(
    size_wh=(1022, 767),
    label="malignant",
    probability=0.43217,
    threshold=0.31,
    regions=(Region(228, 141, 542, 482, 173915.5),),
    timings_ms=Timings(1, 2, 3, 4, 10),
    warnings=(),
    positive="malignant",
)
BENIGN = replace(ANALYSIS, label="benign", probability=0.2)
TEXT = st.text(
    st.sampled_from("<>&\"'/=\n\ud800\u202eab; ") | st.characters(codec=None), min_size=1
)
CUT = PictureError("cut.jpg: damaged or cut short")


@pytest.fixture(scope="module")
def contract(int8_analyzer: Analyzer) -> Contract:
    return int8_analyzer.contract


class Page(HTMLParser):
    """The elements of a page, each with its attributes and all the text in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[int] = []
        self.feed(path.read_text("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}, []))
        if tag not in {"meta", "link", "img", "input", "rect", "path"}:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self.elements[self._open.pop()][0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for index in self._open:
            self.elements[index][2].append(data)

    def find(self, tag: str, **wanted: str) -> list[tuple[dict[str, str], str]]:
        return [
            (attributes, "".join(text))
            for name, attributes, text in self.elements
            if name == tag and wanted.items() <= attributes.items()
        ]


def write(path: Path, contract: Contract, results: Iterable[tuple[Any, ...]]) -> Page:
    with html_report(str(path), contract, Rule(0.31), {"Decoding": "whole"}) as report:
        for arguments in results:
            report.add(*arguments)
    return Page(path)


def test_the_page_says_what_was_found_and_how(contract: Contract, tmp_path: Path) -> None:
    warned = replace(BENIGN, warnings=("the last 9 of 9 rows are one colour",), regions=())
    page = write(
        tmp_path / "r.html",
        contract,
        [("a/b.jpg", ANALYSIS, b"jpeg"), ("cut.jpg", CUT), ("w.jpg", warned), ("b.jpg", BENIGN)],
    )
    first, failed, with_warning, last = page.find("article")
    assert first[1].split("\n") == [
        "",
        "",
        "a/b.jpg",
        "malignant",
        "P(malignant) 0.43",
        "",
        "1 region",
        "",
    ]
    assert " ".join(failed[1].split()) == "not analysed cut.jpg failed damaged or cut short"
    assert with_warning[1].split("\n")[-3:-1] == ["no region", f"Warning: {warned.warnings[0]}"]
    assert [card[0]["data-groups"] for card in (first, failed, with_warning, last)] == [
        "yes",
        "failed",
        "no warned",
        "no",
    ]
    assert page.find("section", id="result")[0][1].split("\n")[1] == (
        "4 pictures 1 malignant 2 benign 1 failed 1 with a warning"
    )
    assert [text for _, text in page.find("button")][:5] == [
        "All 4",
        "malignant 1",
        "benign 2",
        "failed 1",
        "with a warning 1",
    ]
    about = dict(
        zip(
            (name for _, name in page.find("dt")),
            (text for _, text in page.find("dd")),
            strict=True,
        )
    )
    assert about["SHA-256"] == contract.sha256
    assert about["Threshold"] == "malignant from 0.31 on"
    assert about["Decoding"] == "whole"
    ((_, header),) = page.find("header")
    assert header.count(NOTICE) == 1
    ((image, _),) = page.find("img")
    assert image["src"] == "data:image/jpeg;base64," + base64.b64encode(b"jpeg").decode()


def test_nothing_in_the_page_asks_for_anything_and_only_its_own_script_may_run(
    contract: Contract, tmp_path: Path
) -> None:
    page = write(tmp_path / "r.html", contract, [("a.jpg", ANALYSIS, b"jpeg", "saved.jpg")])
    ((meta, _),) = page.find("meta", **{"http-equiv": "Content-Security-Policy"})
    ((_, script),) = page.find("script")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(rule.split(maxsplit=1) for rule in meta["content"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert rules["script-src"] == f"'sha256-{digest}'"
    text = (tmp_path / "r.html").read_text()
    assert not re.search(r"https?:|//\w|@import|url\(", text)
    assert "$" not in text


@given(
    name=TEXT,
    message=TEXT,
    labels=st.lists(TEXT.map(printable), min_size=2, max_size=2, unique=True),
)
@example(name="</h2><a href='x'>\"&amp;", message="<b>&lt;", labels=["<i>", "\"&'"])
def test_names_messages_and_labels_stay_text(
    contract: Contract, name: str, message: str, labels: list[str]
) -> None:
    theirs = replace(contract, labels=(labels[0], labels[1]), positive=labels[1])
    answered = replace(ANALYSIS, label=labels[1], positive=labels[1], warnings=(message,))
    saved = "/elsewhere/" + name.encode(errors="ignore").decode()
    with tempfile.TemporaryDirectory() as folder:
        page = write(
            Path(folder) / "r.html",
            theirs,
            [(name, answered, b"jpeg", saved), ("x", PictureError(message))],
        )
    tags = [tag for tag, _, _ in page.elements]
    assert tags.count("article") == 2
    assert tags.count("script") == tags.count("img") == tags.count("a") == 1
    assert page.find("h2")[0][0]["title"] == printable(name)
    assert page.find("span", **{"class": "yes chip"})[0][1] == labels[1]
    texts = [text for _, text in page.find("p", **{"class": "small"})]
    assert texts[1] == f"Warning: {printable(message)}"
    assert texts[2] == printable(message).removeprefix("x: ")


def test_a_long_name_keeps_its_beginning_its_end_and_its_folder(
    contract: Contract, tmp_path: Path
) -> None:
    name = "/data/clinic/" + "exported " * 20 + "left forearm.jpg"
    page = write(tmp_path / "r.html", contract, [(name, ANALYSIS)])
    ((attributes, text),) = page.find("h2")
    assert attributes["title"] == name
    assert text == "clinic/exported exported … left forearm.jpg"


@pytest.mark.parametrize(
    ("saved", "bytes_of_link"),
    [
        ("out/anno/a b#1?%.jpg", b"./anno/a b#1?%.jpg"),
        ("out/javascript:alert(1).jpg", b"./javascript:alert(1).jpg"),
        ("elsewhere/\udcff\n.jpg", b"./../elsewhere/\xff\n.jpg"),
        ("out///evil.example/x.jpg", b"./evil.example/x.jpg"),
    ],
)
def test_the_link_to_an_annotated_picture_is_relative_to_the_page(
    saved: str,
    bytes_of_link: bytes,
    contract: Contract,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    page = write(
        Path("out/r.html"), contract, [("a.jpg", ANALYSIS, b"j", saved), ("b", CUT, None, saved)]
    )
    ((attributes, _),) = page.find("a")
    parts = urlsplit(attributes["href"])
    assert unquote_to_bytes(parts.path) == bytes_of_link
    assert not any((parts.scheme, parts.netloc, parts.query, parts.fragment))


def test_of_an_interrupted_run_it_shows_what_was_done_and_says_so(
    contract: Contract, tmp_path: Path
) -> None:
    path = tmp_path / "r.html"

    def pictures() -> Iterable[tuple[Any, ...]]:
        yield "a.jpg", ANALYSIS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(path, contract, pictures())
    page = Page(path)
    assert len(page.find("article")) == 1
    result = page.find("section", id="result")[0][1]
    assert result.startswith("\nInterrupted after 1 picture; others were not analysed. 1 malignant")


def test_a_run_without_a_picture_gives_a_page(contract: Contract, tmp_path: Path) -> None:
    page = write(tmp_path / "r.html", contract, [])
    assert page.find("section", id="result")[0][1].strip() == "0 pictures"
    assert page.find("svg") == []


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_shown_probability_is_on_its_side_of_the_threshold(
    probability: float, threshold: float
) -> None:
    text = replace(ANALYSIS, probability=probability, threshold=threshold).rounded
    assert (float(text) >= threshold) == (probability >= threshold)
    assert abs(float(text) - probability) <= 0.005 + 1e-15  # 0.125 is 0.12
    assert len(text) >= 4 or text == repr(probability)


@given(
    st.lists(st.tuples(st.floats(0, 1) | st.integers(0, 20).map(lambda k: k / 20), st.booleans()))
)
def test_the_histogram_counts_each_picture_once_in_its_step(
    pictures: list[tuple[float, bool]],
) -> None:
    histogram = Histogram("yes", "no", Rule(0.5))
    for probability, positive in pictures:
        histogram.add(probability, "yes" if positive else "no")
    told = re.findall(r"<title>([\d.]+) to ([\d.]+): (.+?)</title>", histogram.draw())
    for low, high, counts in told:
        inside = [
            positive
            for probability, positive in pictures
            if float(low) <= probability < float(high) or probability == float(high) == 1
        ]
        expected = {"no": inside.count(False), "yes": inside.count(True)}
        assert counts == ", ".join(f"{n} {label}" for label, n in expected.items() if n)
    total = sum(int(n) for _, _, counts in told for n in re.findall(r"\d+", counts))
    assert total == len(pictures)


@pytest.mark.parametrize("shape", [(1, 1), (30, 40), (767, 1022), (200, 200), (1, 5000), (900, 3)])
def test_a_thumbnail_is_small_has_the_pictures_shape_and_leaves_the_picture_alone(
    shape: tuple[int, int],
) -> None:
    image = np.full((*shape, 3), 200, np.uint8)
    size_wh = (shape[1], shape[0])
    whole = Region(0, 0, *size_wh, 1.0)
    data = make_thumbnail(Picture(image), replace(ANALYSIS, size_wh=size_wh, regions=(whole,)))
    thumbnail = read_jpeg(data)
    longer = max(shape)
    expected = [max(1, round(side * min(1, 200 / longer))) for side in shape]
    assert list(thumbnail.shape) == [*expected, 3]
    assert (image == 200).all()


def test_a_thumbnails_box_is_where_the_region_is_also_in_a_reduced_copy() -> None:
    """The box in a picture of one gray is what is not gray."""
    region = Region(300, 100, 200, 300, 1.0)
    for scale in (1, 4):
        image = np.full((600 // scale, 800 // scale, 3), 128, np.uint8)
        picture = Picture(image, scale=scale, whole_wh=(800, 600))
        data = make_thumbnail(picture, replace(ANALYSIS, size_wh=(800, 600), regions=(region,)))
        rows, columns = np.nonzero(np.abs(read_jpeg(data).astype(int) - 128).max(axis=2) > 70)
        # A quarter of the size; the line has 2 to 4 pixels.
        for edge, place in (
            (columns.min(), 75),
            (columns.max(), 125),
            (rows.min(), 25),
            (rows.max(), 100),
        ):
            assert abs(edge - place) <= 3


def test_lines_show_on_skin_hair_and_white() -> None:
    """The difference in lightness of line and ground is at least a third of the scale."""
    for colour in ((150, 180, 225), (40, 45, 50), (255, 255, 255), (90, 70, 200)):
        image = np.full((150, 200, 3), colour, np.uint8)
        result = replace(ANALYSIS, size_wh=(200, 150), regions=(Region(50, 50, 60, 60, 1.0),))
        thumbnail = cv2.cvtColor(
            read_jpeg(make_thumbnail(Picture(image), result)), cv2.COLOR_BGR2GRAY
        )
        ground = int(thumbnail[10, 10])
        across = thumbnail[80, 44:56].astype(int)
        assert np.abs(across - ground).max() > 85, colour


def read_jpeg(data: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image  # type: ignore[return-value]


@pytest.mark.slow
def test_a_thousand_pictures_stay_under_ten_megabytes_and_ten_thousand_take_no_memory(
    int8_analyzer: Analyzer, tmp_path: Path
) -> None:
    pictures = [read_picture(path) for path in [*SAMPLES, *CALIBRATION, *HELD_OUT]]
    done = []
    for picture in pictures:
        analysis = int8_analyzer.analyze(picture)
        done.append((picture.name, analysis, make_thumbnail(picture, analysis)))
    path = tmp_path / "r.html"
    with html_report(str(path), int8_analyzer.contract, Rule(0.31), {}) as report:
        for number in range(1000):
            report.add(*done[number % len(done)])
    assert path.stat().st_size < 10e6
    with html_report(str(path), int8_analyzer.contract, Rule(0.31), {}) as report:
        report.add(*done[0])
        tracemalloc.start()
        for number in range(10_000):
            report.add(*done[number % len(done)])
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert path.stat().st_size > 50e6
    assert peak < 1e6


def test_fault_15_a_thumbnail_that_cant_be_drawn_is_one_line_whatever_the_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("edge.report.thumbnail.cv2.imencode", full)
    picture = Picture(np.zeros((767, 1022, 3), np.uint8), name="a\nb.jpg")
    with pytest.raises(PictureError) as caught:
        make_thumbnail(picture, ANALYSIS)
    assert str(caught.value) == "a\\nb.jpg: too large for the memory that is free"
