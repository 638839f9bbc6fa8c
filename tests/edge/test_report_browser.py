"""The report in a real browser: it asks for nothing, runs nothing of a name, sorts and filters."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edge import Analysis, PictureError, Timings, read_picture
from edge.model.contract import parse_contract
from edge.model.rule import Rule
from edge.report.page import html_report
from edge.report.thumbnail import make_thumbnail
from tests.support import colours
from tests.support.browser import Browser, browser
from tests.support.pictures import HELD_OUT, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge import Analyzer

pytestmark = pytest.mark.slow

HOSTILE = (
    "<img src=x onerror=alert(1)>.jpg",
    "</script><script>alert(2)</script>.jpg",
    '" onmouseover="alert(3)" x=".jpg',
    "</article></section></main><style>*{display:none}</style>.jpg",
)
PICTURES = [*SAMPLES, *HELD_OUT]
COUNT = len(PICTURES) + len(HOSTILE) + 1


@pytest.fixture(scope="module")
def page(
    int8_analyzer: Analyzer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float]]:
    """A report of real pictures, one that failed, one with a warning and hostile names."""
    path = tmp_path_factory.mktemp("report") / "r.html"
    probabilities = {}
    contract = int8_analyzer.contract
    with html_report(str(path), contract, int8_analyzer.rule, {}) as report:
        for file in PICTURES:
            picture = read_picture(file)
            analysis = int8_analyzer.analyze(picture)
            if file is SAMPLES[0]:
                analysis = replace(analysis, warnings=("odd",))
            report.add(
                str(file), analysis, make_thumbnail(picture, analysis), "javascript:alert(4)"
            )
            probabilities[str(file)] = analysis.probability
        for name in HOSTILE:
            report.add(name, analysis)
            probabilities[name] = analysis.probability
        report.add("cut.jpg", PictureError("cut.jpg: <b>damaged</b>"))
    return path, probabilities


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def opened(window: Browser, page: tuple[Path, dict[str, float]]) -> Browser:
    window.resize(1280, 900)
    window.open(page[0])
    return window


def shown(window: Browser) -> list[str]:
    """The names of the cards in the page, in their order."""
    names: list[str] = window.run(
        "return Array.from(document.querySelectorAll('article h2'), h => h.title)"
    )
    return names


def test_it_opens_from_a_file_without_an_error_or_another_request(
    opened: Browser, page: tuple[Path, dict[str, float]]
) -> None:
    opened.log("browser")
    opened.requests()
    opened.open(page[0])
    opened.run("scrollTo(0, document.body.scrollHeight)")
    assert opened.log("browser") == []
    asked = opened.requests()
    assert [address for address in asked if not address.startswith("data:")] == [page[0].as_uri()]
    loaded = opened.run("return Array.from(document.images, i => i.complete && i.naturalWidth > 0)")
    assert loaded == [True] * len(PICTURES)


def test_the_browser_does_see_errors_and_requests(window: Browser, tmp_path: Path) -> None:
    """What the test before relies on."""
    path = tmp_path / "bad.html"
    path.write_text("<img src='missing.png'><script>nonsense()</script>")
    window.log("browser")
    window.requests()
    window.open(path)
    assert "nonsense" in str(window.log("browser"))
    assert (tmp_path / "missing.png").as_uri() in window.requests()


def test_the_page_may_not_ask_even_if_something_wanted_to(opened: Browser) -> None:
    opened.run("const i = new Image(); i.src = 'http://127.0.0.1:9/x.png'; document.body.append(i)")
    assert "Content Security Policy" in str(opened.log("browser"))


def test_a_hostile_name_stays_text_and_runs_nothing(opened: Browser) -> None:
    names = shown(opened)
    assert len(names) == COUNT
    assert set(HOSTILE) <= set(names)
    assert opened.run("return document.querySelectorAll('script, style').length") == 2
    assert opened.run("return document.querySelectorAll('[onmouseover], [onerror]').length") == 0
    # An open alert would make this, and any command, an error.
    assert opened.run("return document.querySelectorAll('article b').length") == COUNT
    links = opened.run("return Array.from(document.links, a => a.protocol)")
    assert links == ["file:"] * len(PICTURES)


def test_a_click_sorts_and_its_button_says_so(
    opened: Browser, page: tuple[Path, dict[str, float]]
) -> None:
    probability = page[1]
    given = shown(opened)
    assert given == [*probability, "cut.jpg"]
    for key, sign in (("high", -1), ("low", 1)):
        opened.click(f"#orders [data-key={key}]")
        names = shown(opened)
        assert names == [*sorted(probability, key=lambda n: sign * probability[n]), "cut.jpg"]
        pressed = opened.run(
            "return Array.from(document.querySelectorAll('#orders [aria-pressed=true]'),"
            " b => b.dataset.key)"
        )
        assert pressed == [key]
    opened.click("#orders [data-key=name]")
    assert [name for name in shown(opened) if name not in HOSTILE] == [
        *sorted(map(str, PICTURES)),
        "cut.jpg",
    ]
    opened.click("#orders [data-key=given]")
    assert shown(opened) == given


def test_a_click_filters_to_as_many_as_its_button_says(opened: Browser) -> None:
    for key in ("yes", "no", "failed", "warned", "all"):
        selector = f"#groups [data-key={key}]"
        opened.click(selector)
        names = shown(opened)
        count = opened.run(f"return +document.querySelector('{selector} b').textContent")
        assert len(names) == count > 0
        assert opened.run("return document.getElementById('shown').value") == (
            f"{count} of {COUNT} shown"
        )
        if key == "failed":
            assert names == ["cut.jpg"]
        if key == "warned":
            assert names == [str(SAMPLES[0])]


def test_the_name_filter_goes_with_the_others_and_with_the_keyboard_alone(opened: Browser) -> None:
    opened.type("#name", "MALIGNANT/isic")
    malignant = [str(path) for path in PICTURES if "malignant" in path.parts]
    assert shown(opened) == malignant
    opened.run("document.querySelector('#groups [data-key=warned]').focus()")
    opened.type("#groups [data-key=warned]", "\ue007")  # Enter
    assert shown(opened) == [name for name in malignant if name == str(SAMPLES[0])]
    opened.click("#groups [data-key=all]")
    opened.type("#name", "nothing is called so")
    assert shown(opened) == []


def test_without_scripts_all_pictures_are_there_in_order_with_the_counts_on_top(
    window: Browser, page: tuple[Path, dict[str, float]]
) -> None:
    window.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        window.open(page[0])
        top = {
            name: window.call("GET", f"{window.find(name)}/rect")["y"]
            for name in ("header", "#result", "#about", "main")
        }
        assert list(top) == sorted(top, key=lambda name: top[name])
        displayed = window.call("GET", f"{window.find('#tools')}/displayed")
        assert displayed is False
        cards = window.call("POST", "/elements", {"using": "css selector", "value": "article"})
        assert len(cards) == COUNT
    finally:
        window.devtools("Emulation.setScriptExecutionDisabled", value=False)


LABELS = ("a" * 200, *(f"label {number:03} of a thousand" for number in range(999)))


@pytest.fixture(scope="module")
def page_of_a_thousand_labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of as many pictures, of which every second has the label before it again."""
    path = tmp_path_factory.mktemp("labels") / "r.html"
    contract = parse_contract(colours.contract(labels=list(LABELS), positive=LABELS[0]), "x")
    shares = dict.fromkeys(LABELS, 0.001)
    with html_report(str(path), contract, Rule(None), {}) as report:
        for number in range(len(LABELS)):
            label, timings = LABELS[number // 2 * 2], Timings()
            answer = (label, 0.001, None, (), timings, (), LABELS[0])
            report.add(f"{number}.jpg", Analysis((1, 1), *answer, probabilities=shares))
    return path


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_a_page_of_a_thousand_labels_filters_by_each_and_fits_the_window(
    width: int, window: Browser, page_of_a_thousand_labels: Path
) -> None:
    window.resize(width, 900)
    window.open(page_of_a_thousand_labels)
    assert window.run("return document.documentElement.scrollWidth <= innerWidth")
    right = (
        "return Math.max(...Array.from(document.querySelectorAll('header *, #result *, article *'),"
    )
    assert window.run(f"{right} e => e.getBoundingClientRect().right))") <= width
    last = "Array.from(document.querySelectorAll('#groups button'), b => b).at(-3)"
    label = window.run(f"const last = {last}; last.click(); return last.firstChild.textContent")
    assert label.strip() in LABELS[1:]
    number = LABELS.index(label.strip())
    assert shown(window) == [f"{number}.jpg", f"{number + 1}.jpg"]
    assert len(window.run("return document.querySelector('#result p').textContent")) < 600


@pytest.mark.parametrize("width", [320, 390, 820, 1280])
def test_nothing_is_wider_than_the_window(
    width: int, window: Browser, page: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    window.resize(width, 900)
    window.open(page[0])
    assert window.run("return document.documentElement.scrollWidth <= innerWidth")
    # A group of cards cuts what is wider than it, so the width above doesn't tell.
    right = "return Math.max(...Array.from(document.querySelectorAll('article, article *'),"
    assert window.run(f"{right} e => e.getBoundingClientRect().right))") <= width
    assert window.run("return innerWidth") == width
    window.screenshot(tmp_path / "shot.png")
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        (tmp_path / "shot.png").replace(f"{folder}/report-{width}.png")
