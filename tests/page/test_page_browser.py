"""The page in a real browser, as a person uses it: eyes, a finger, or the keyboard alone."""

from __future__ import annotations

import json
import os
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from edge import Analyzer
from edge.analyzer import read_picture
from edge.doctor.finding import Finding
from edge.page.captures import Captures
from edge.page.history import History
from edge.picture.decode import decode
from tests.conftest import until
from tests.page.test_page_words import ENGLISH
from tests.support.browser import Browser, browser
from tests.support.page import LiveCamera, Served, served
from tests.support.pictures import HELD_OUT, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SCENES = [read_picture(path).image_bgr for path in SAMPLES[1:3]]
SIZES = [(800, 480), (390, 844), (1280, 800)]
HOSTILE = "<img src=x onerror=alert(1)>"
FINDINGS = (
    Finding("disk", "ok", "enough of it"),
    Finding("camera", "warning", "none is there", "connect one"),
    Finding("model", "failed", HOSTILE, "lesion-edge models"),
)
ENTER, ESCAPE, TAB = "\ue007", "\ue00c", "\ue004"


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer(threads=1)


@pytest.fixture(scope="module")
def shared(
    analyzer: Analyzer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, LiveCamera]]:
    camera = LiveCamera(SCENES[0])
    folder = tmp_path_factory.mktemp("page") / "snapshots"
    with served(camera, analyzer, folder, doctor=lambda: FINDINGS) as page:
        yield page, camera


@pytest.fixture
def camera(shared: tuple[Served, LiveCamera]) -> LiveCamera:
    shared[1].scene = SCENES[0]
    return shared[1]


@pytest.fixture
def page(shared: tuple[Served, LiveCamera]) -> Served:
    return shared[0]


@pytest.fixture(scope="module")
def browser_window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def window(browser_window: Browser, page: Served, camera: LiveCamera) -> Browser:
    browser_window.resize(800, 480)
    visit(browser_window, page)
    wait(browser_window, "$('state').dataset.state === 'ok' && $('picture').naturalWidth > 0")
    browser_window.log("browser")
    return browser_window


def visit(window: Browser, page: Served, path: str = "/") -> None:
    host, port = page.address
    window.call("POST", "/url", {"url": "about:blank"})  # else a hash alone loads nothing
    window.call("POST", "/url", {"url": f"http://{host}:{port}{path}"})


def see(window: Browser, what: str, *arguments: Any) -> Any:
    """Return what a JavaScript expression says; ``$`` finds by id."""
    return window.run(f"const $ = (id) => document.getElementById(id); return {what}", *arguments)


def wait(window: Browser, what: str) -> None:
    until(lambda: see(window, what))


def text(window: Browser, identifier: str) -> str:
    return str(see(window, "$(arguments[0]).textContent", identifier))


def press(window: Browser, keys: str) -> None:
    """Press keys, one after the other, wherever the focus is."""
    strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
    window.call("POST", "/actions", {"actions": [{"type": "key", "id": "k", "actions": strokes}]})


def brightness(window: Browser, picture: str) -> float:
    """Return the mean of a picture's pixels, 0..255, as the browser shows it."""
    script = """
        const c = document.createElement('canvas'), p = document.getElementById(arguments[0]);
        c.width = c.height = 16;
        c.getContext('2d').drawImage(p, 0, 0, 16, 16);
        const d = c.getContext('2d').getImageData(0, 0, 16, 16).data;
        return d.reduce((sum, v, i) => i % 4 === 3 ? sum : sum + v, 0) / 768"""
    return float(window.run(script, picture))


def keep(page: Served, **said: str) -> str:
    return str(page.post(f"/api/captures/{page.post('/api/capture')['id']}/keep", said)["name"])


def test_the_live_picture_changes_as_the_camera_does_and_rests_when_nobody_sees_it(
    window: Browser, page: Served, camera: LiveCamera
) -> None:
    def is_seen(level: int) -> bool:
        return abs(brightness(window, "picture") - level) < 5

    for level in (40, 200):
        camera.scene = np.full_like(SCENES[0], level)
        until(partial(is_seen, level))
    assert page.live.lookers == 1
    window.click("nav a[href='#status']")
    until(lambda: page.live.lookers == 0)
    window.click("nav a[href='#live']")
    until(lambda: is_seen(200))


@pytest.mark.parametrize("scene", SCENES, ids=["first", "second"])
def test_a_capture_shows_the_answer_for_the_very_frame_that_it_freezes(
    scene: Any, window: Browser, page: Served, camera: LiveCamera, analyzer: Analyzer
) -> None:
    camera.turn_to(scene)
    window.click("#capture")
    wait(window, "!$('result').hidden && $('frozen').naturalWidth > 0")
    camera.scene = np.zeros_like(scene)  # what comes after doesn't count
    source = see(window, "new URL($('frozen').src).pathname")
    plain = decode(page.ask("GET", source.replace(".jpg", "/plain.jpg"))[2]).image_bgr
    assert abs(plain.astype(float) - scene).mean() < 5
    expected = analyzer.analyze(scene)
    assert text(window, "answer") == ENGLISH[f"label.{expected.label}"]
    shown = float(text(window, "probability").removeprefix("P(malignant) "))
    assert shown == pytest.approx(expected.probability, abs=0.015)
    # On the scale, from its left edge to its right one.
    middles = see(
        window,
        "['mark', 'threshold'].map(id => { const b = $('bar').getBoundingClientRect(),"
        " m = $(id).getBoundingClientRect();"
        " return (m.x + m.width / 2 - b.x) / b.width; })",
    )
    assert middles == pytest.approx([shown, analyzer.threshold], abs=0.015)
    assert ENGLISH["notice"] in text(window, "told")
    press(window, ESCAPE)
    wait(window, "$('result').hidden")
    assert page.ask("GET", source)[0] == 404


def test_a_band_and_an_answer_that_is_uncertain_are_shown(
    window: Browser, page: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = Captures.add

    def uncertain(self: Any, snapshot: Any) -> dict[str, Any]:
        answer = add(self, snapshot)
        doubt = {"label": "uncertain", "uncertain": [0.2, 0.6], "warnings": [HOSTILE]}
        return answer | doubt

    monkeypatch.setattr(Captures, "add", uncertain)
    window.click("#capture")
    wait(window, "!$('result').hidden")
    assert text(window, "answer") == ENGLISH["label.uncertain"]
    assert "Uncertain from 0.20 to 0.60" in text(window, "rule")
    assert text(window, "warnings") == HOSTILE
    share = "$('band').getBoundingClientRect().width / $('bar').clientWidth"
    assert see(window, share) == pytest.approx(0.4, abs=0.01)
    press(window, ESCAPE)


def test_the_states_of_the_camera_appear_in_words(window: Browser, camera: LiveCamera) -> None:
    def appears(state: str) -> None:
        until(lambda: ENGLISH[f"state.{state}"] in text(window, "state"))

    camera.scene = cv2.blur(SCENES[0], (25, 25))  # type: ignore[assignment] # uint8 stays uint8
    camera.noise = 1
    appears("blurred")
    assert see(window, "$('sharpness').ariaValueNow") < "50"
    camera.scene = np.zeros_like(SCENES[0])
    appears("black")
    camera.absent = True
    try:
        appears("lost")
    finally:
        camera.absent, camera.noise, camera.scene = False, 2, SCENES[0]
    appears("ok")


def test_a_button_on_the_device_shows_its_answer(window: Browser, page: Served) -> None:
    captured = page.post("/api/capture")
    wait(window, "!$('result').hidden")
    assert captured["picture"] in see(window, "$('frozen').src")
    window.type("#note", "being written")
    page.post("/api/capture")
    time.sleep(0.7)
    assert captured["picture"] in see(window, "$('frozen').src")
    window.click("#discard")
    wait(window, "$('result').hidden")


def test_the_history_filters_shows_one_large_and_deletes_after_asking(
    window: Browser, page: Served, camera: LiveCamera
) -> None:
    keep(page, note=HOSTILE, place="left arm")
    camera.turn_to(SCENES[1])
    name = keep(page)
    items = page.get("/api/history")["items"]
    labels = {item["label"] for item in items}
    assert labels == {"benign", "malignant"}
    window.click("nav a[href='#history']")
    tiles = "document.querySelectorAll('.tile').length"
    wait(window, f"{tiles} === {len(items)}")
    for label in labels:
        see(
            window,
            "($('label').value = arguments[0], $('label').dispatchEvent(new Event('change')))",
            label,
        )
        wait(window, f"{tiles} === {sum(item['label'] == label for item in items)}")
        shown = see(window, "Array.from(document.querySelectorAll('.tile b'), b => b.textContent)")
        assert set(shown) == {ENGLISH[f"label.{label}"]}
    see(window, "($('label').value = '', $('label').dispatchEvent(new Event('change')))")
    wait(window, f"{tiles} === {len(items)}")
    assert f"left arm: {HOSTILE}" in text(window, "days")
    assert see(window, "document.querySelector('[onerror]')") is None
    # The newest first, in a dialog that keeps the focus.
    window.click(".tile")
    wait(window, "$('large').open && $('line').textContent && $('large-picture').naturalWidth > 0")
    assert json.loads(text(window, "line"))["saved"] == name
    for _ in range(5):
        press(window, TAB)
        focused = "document.activeElement"
        assert see(window, f"{focused} === document.body || $('large').contains({focused})")
    window.click("#delete")
    press(window, ENTER)  # the first choice is to leave it
    wait(window, "!$('sure').open && $('large').open")
    assert page.ask("GET", f"/api/history/{name}")[0] == 200
    window.click("#delete")
    window.click("#really")
    wait(window, f"{tiles} === {len(items) - 1}")
    assert name not in {item["name"] for item in page.get("/api/history")["items"]}


def test_a_long_history_comes_as_one_scrolls(
    window: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = {"captured_at": "2026-01-31T12:00:00+00:00", "label": "benign", "probability": 0.1}
    item |= {"threshold": 0.3, "frame_state": "ok", "note": "", "place": "", "thumb": "/x.jpg"}
    names = [f"snapshot-20260131-{number:010}.jpg" for number in range(300, 0, -1)]

    def give(*_: Any, before: str, **__: Any) -> dict[str, Any]:
        left = [name for name in names if not before or name < before]
        found = [item | {"name": name} for name in left[:60]]
        further = found[-1]["name"] if len(left) > 60 else None
        days = [{"day": "20260131", "count": len(names)}]
        return {"days": days, "labels": ["benign"], "items": found, "next": further}

    monkeypatch.setattr(History, "page", give)
    window.click("nav a[href='#history']")
    tiles = "document.querySelectorAll('.tile').length"
    wait(window, f"{tiles} >= 60")
    time.sleep(0.3)
    assert see(window, tiles) < 300
    until(lambda: see(window, f"($('history').scrollTo(0, 1e9), {tiles} === 300)"))
    assert see(window, "document.querySelectorAll('#days section').length") == 1


def test_an_upload_has_the_answer_of_edge_run(
    window: Browser, analyzer: Analyzer, tmp_path: Path
) -> None:
    path = tmp_path / f"{HOSTILE}.jpg"
    path.write_bytes(HELD_OUT[0].read_bytes())
    expected = analyzer.analyze(path)
    window.click("nav a[href='#upload']")
    window.type("#file", str(path))
    wait(window, "!$('result').hidden && $('frozen').naturalWidth > 0")
    assert text(window, "probability") == expected.answer
    assert text(window, "answer") == ENGLISH[f"label.{expected.label}"]
    assert text(window, "found") == expected.found
    window.click("#discard")
    wait(window, "!$('upload').hidden")
    path.write_bytes(b"<html>")
    window.type("#file", str(path))
    until(lambda: text(window, "uploading").startswith(HOSTILE))
    assert see(window, "document.querySelector('[onerror]')") is None


def test_the_keyboard_alone_captures_notes_keeps_and_discards(
    window: Browser, page: Served
) -> None:
    before = len(page.get("/api/history")["items"])
    press(window, " ")
    wait(window, "!$('result').hidden")
    press(window, "  ")  # as a bouncing button does: decides nothing
    order = []
    for _ in range(4):
        press(window, TAB)
        order.append(see(window, "document.activeElement.id"))
        assert see(window, "getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert order == ["place", "note", "discard", "keep"]
    window.run("document.getElementById('place').focus()")
    press(window, f"arm{TAB}it itches{ESCAPE}")  # leaves the field, and nothing is lost
    press(window, ENTER)
    wait(window, "$('result').hidden")
    items = page.get("/api/history")["items"]
    assert len(items) == before + 1
    assert (items[0]["place"], items[0]["note"]) == ("arm", "it itches")
    press(window, " ")
    wait(window, "!$('result').hidden")
    press(window, ESCAPE)
    wait(window, "$('result').hidden")
    assert len(page.get("/api/history")["items"]) == before + 1


def test_a_wrong_token_is_refused_and_the_printed_address_leads_in(
    browser_window: Browser,
    analyzer: Analyzer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    window = browser_window
    file = str(tmp_path / "token")
    with served(LiveCamera(SCENES[0]), analyzer, tmp_path / "s", token_file=file) as page:
        found = re.search(r"login#(\S+)", capsys.readouterr().err)
        assert found is not None
        visit(window, page)
        wait(window, "location.pathname === '/login' && $('token') !== null")
        window.type("#token", f"wrong{ENTER}")
        wait(window, "$('error').textContent !== ''")
        assert see(window, "location.pathname") == "/login"
        visit(window, page, f"/login#{found[1]}")
        wait(window, "location.pathname === '/' && $('state')?.dataset.state === 'ok'")
        assert found[1] not in see(window, "location.href")
        window.call("DELETE", "/cookie")


def test_a_lost_connection_is_told_and_comes_back_by_itself(
    window: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr("edge.page.status.short", fail)
        wait(window, "!$('offline').hidden")
        assert text(window, "offline") == ENGLISH["offline"]
        assert ENGLISH["state.offline"] in text(window, "state")
    wait(window, "$('offline').hidden && $('picture').naturalWidth > 0")


SCREENS = {
    "live": "$('state').dataset.state === 'ok'",
    "result": "!$('result').hidden && $('frozen').naturalWidth > 0",
    "upload": "!$('upload').hidden",
    "history": "document.querySelector('.tile') !== null",
    "large": "$('large-picture').naturalWidth > 0",
    "sure": "$('sure').open",
    "status": "document.querySelector('#facts dd') && document.querySelector('#findings .chip')",
}
ACTIONS = {
    "result": "$('capture').click()",
    "upload": "($('discard').click(), location.hash = '#upload')",
    "history": "location.hash = '#history'",
    "large": "document.querySelector('.tile').click()",
    "sure": "$('delete').click()",
    "status": "($('sure').close(), $('large').close(), location.hash = '#status')",
}
# Text that is seen, with its contrast (WCAG 2.1, 1.4.3) over the nearest background of its own.
CONTRASTS = """
const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [[r, .2126], [g, .7152], [b, .0722]].reduce((sum, [v, share]) =>
  sum + share * (v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4), 0);
const behind = (e) => { const c = rgb(getComputedStyle(e).backgroundColor);
  return c.length > 3 && c[3] === 0 ? behind(e.parentElement) : c; };
return Array.from(document.querySelectorAll('body *'), (e) => {
  const own = Array.from(e.childNodes).some((n) => n.nodeType === 3 && n.data.trim());
  if (!own || !e.checkVisibility()) return null;
  const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))];
  return [(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.tagName + '#' + e.id, e.textContent];
}).filter(Boolean)"""
TARGETS = """
const shown = Array.from(document.querySelectorAll('button, a, input, select, summary')).filter(
  (e) => e.checkVisibility() && (!document.querySelector('dialog[open]') || e.closest('dialog')));
return shown.map((e) => [e.getBoundingClientRect(), e.id || e.textContent]).map(
  ([r, name]) => [name, Math.round(r.width), Math.round(r.height), r.left, r.right])"""


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_each_screen_fits_has_large_targets_and_enough_contrast_dark_and_light(
    size: tuple[int, int], window: Browser, page: Served, tmp_path: Path
) -> None:
    keep(page, note="a note that is longer than its tile " * 3, place="left arm")
    window.resize(*size)
    visit(window, page)  # so that this capture isn't shown as that of a button
    wait(window, "$('last')?.childElementCount")
    for screen, there in SCREENS.items():
        if screen in ACTIONS:
            see(window, ACTIONS[screen])
        wait(window, there)
        if screen in ("live", "result"):
            for button in ("capture",) if screen == "live" else ("keep", "discard"):
                bottom = see(window, f"$('{button}').getBoundingClientRect().bottom")
                assert 0 < bottom <= size[1]
        assert see(window, "document.documentElement.scrollWidth <= innerWidth"), screen
        for name, width, height, left, right in window.run(TARGETS):
            assert min(width, height) >= 44, (screen, name)
            assert 0 <= left < right <= size[0], (screen, name)
        for scheme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            window.devtools("Emulation.setEmulatedMedia", features=[feature])
            poor = [each for each in window.run(CONTRASTS) if each[0] < 4.5]
            assert poor == [], (screen, scheme)
            if "SCREENSHOTS" in os.environ:
                name = f"page-{screen}-{size[0]}-{scheme}.png"
                window.screenshot(tmp_path / name)
                (tmp_path / name).replace(f"{os.environ['SCREENSHOTS']}/{name}")


def test_every_word_on_every_screen_is_from_the_file_of_words(
    window: Browser, page: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(page, note="n")
    # Of what is said in it, a word keeps no letter that could be taken for one in the code.
    odd = {key: re.sub(r"[^\W\d_](?![^{]*\})", "ж", text) for key, text in ENGLISH.items()}
    (tmp_path / "en.json").write_text(json.dumps(odd | {"lang": "en"}))
    monkeypatch.setattr("edge.page.app._WORDS", str(tmp_path))
    visit(window, page)
    wait(window, "$('picture')?.naturalWidth > 0")
    for screen, there in SCREENS.items():
        if screen in ACTIONS:
            see(window, ACTIONS[screen])
        wait(window, there)
        words = window.run(
            "return Array.from(document.querySelectorAll('body *')).filter("
            "e => !e.closest('[translate=no]')).flatMap(e => Array.from(e.childNodes)).filter("
            "n => n.nodeType === 3).map(n => n.data)"
        )
        assert [each for each in words if re.search("[A-Za-z]", each)] == [], screen
        assert any("ж" in each for each in words)


def test_the_page_is_light_and_says_how_soon_it_shows_a_picture(
    window: Browser, page: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    visit(window, page)
    wait(window, "$('picture')?.naturalWidth > 0")
    loaded = see(
        window,
        "performance.getEntries().filter(e => e.encodedBodySize && !e.name.includes('/thumb/'))"
        ".map(e => [new URL(e.name).pathname, e.encodedBodySize])",
    )
    assert {"/", "/static/page.css", "/static/main.js", "/api/words"} <= {
        name for name, _ in loaded
    }
    weight = sum(size for _, size in loaded)
    assert weight < 100_000
    milliseconds = see(window, "performance.now()")
    with capsys.disabled():
        print(f"\n{weight} bytes, the first live picture after {milliseconds:.0f} ms at most")
    assert window.log("browser") == []
