"""Every word that the page shows is in one file a language, so that it can be translated."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

from edge.results import NOTICE
from tests.support.pictures import ROOT

PAGE = ROOT / "edge/page"
WORDS = {path.stem: json.loads(path.read_text()) for path in (PAGE / "words").glob("*.json")}
ENGLISH = WORDS["en"]
SCRIPTS = "".join(path.read_text() for path in (PAGE / "static").glob("*.js"))
SPOKEN = ("alt", "aria-description", "aria-label", "aria-placeholder", "placeholder", "title")


class Words(HTMLParser):
    """What a file of HTML says itself, and which words it asks for."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.said = ""
        self.keys: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        for name, value in attrs:
            if name in SPOKEN:
                self.said += value or ""
            if name.startswith("data-t"):
                self.keys.add(value or "")

    def handle_data(self, data: str) -> None:
        self.said += data


PAGES = [Words(path.read_text()) for path in (PAGE / "static").glob("*.html")]


def test_the_notice_is_the_one_of_every_answer() -> None:
    assert ENGLISH["notice"] == NOTICE


@pytest.mark.parametrize("language", WORDS)
def test_each_language_has_all_words_with_the_same_values_in_them(language: str) -> None:
    words = WORDS[language]
    assert words["lang"] == language
    assert list(words) == list(ENGLISH)
    for key, text in words.items():
        assert text.strip()
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", ENGLISH[key]))


def test_the_html_says_nothing_itself() -> None:
    assert "".join(page.said for page in PAGES).split() == []


def test_each_word_that_is_asked_for_is_there_and_none_is_there_for_nothing() -> None:
    asked = {key for page in PAGES for key in page.keys} | set(re.findall(r"\bt\('(.+?)'", SCRIPTS))
    asked |= set(re.findall(r"'((?:status|history|result)\.\w+)'", SCRIPTS))
    composed = (*re.findall(r"t\(`([\w.]+\.)\$\{", SCRIPTS), "label.", "status.", "lang")
    assert asked <= ENGLISH.keys()
    assert {key for key in ENGLISH.keys() - asked if not key.startswith(composed)} == set()
