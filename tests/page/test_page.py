"""The page's server, asked as a browser asks it: what each route promises."""

from __future__ import annotations

import http.client
import io
import json
import os
import zipfile
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from edge import Analyzer
from edge.analyzer import read_picture
from edge.picture.decode import decode
from edge.results import NOTICE
from tests.conftest import until
from tests.support.page import LiveCamera, Served, served
from tests.support.pictures import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCENE = read_picture(SAMPLES[0]).image_bgr[:400, :600]
NEVER = float("inf")


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer(threads=1)


@pytest.fixture
def camera() -> LiveCamera:
    return LiveCamera(SCENE)


@pytest.fixture
def page(camera: LiveCamera, analyzer: Analyzer, tmp_path: Path) -> Iterator[Served]:
    with served(camera, analyzer, tmp_path / "snapshots", interval_s=NEVER) as page:
        yield page


def answer_of(line: dict[str, Any]) -> dict[str, Any]:
    """Return what an answer says of a picture, without what tells one run from another."""
    keys = ("size", "label", "probability", "threshold", "regions", "warnings", "model")
    return {key: line[key] for key in keys}


def test_a_capture_is_the_answer_for_the_very_picture_that_it_shows(
    page: Served, analyzer: Analyzer
) -> None:
    captured = page.post("/api/capture")
    assert captured["frame_state"] == "ok"
    status, headers, plain = page.ask("GET", captured["plain"])
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    shown = decode(plain).image_bgr
    assert shown.shape == SCENE.shape
    # JPEG is not exact, but nearer to this frame than its answer to another's.
    assert analyzer.analyze(shown).probability == pytest.approx(captured["probability"], abs=0.01)
    annotated = page.ask("GET", captured["picture"])[2]
    assert decode(annotated).image_bgr.shape > SCENE.shape  # with its caption
    assert page.get(f"/api/captures/{captured['id']}") == captured


def test_an_upload_has_the_answer_of_edge_run_for_the_same_bytes(
    page: Served, analyzer: Analyzer
) -> None:
    path = SAMPLES[1]
    status, _, body = page.ask(
        "POST",
        "/api/upload",
        path.read_bytes(),
        Content_Type="image/jpeg",
        X_Name="M%C3%BCller.jpg",
    )
    uploaded = json.loads(body)
    assert (status, uploaded["image"]) == (200, "Müller.jpg")
    assert answer_of(uploaded) == answer_of(analyzer.analyze(path).to_dict())
    kept = page.post(f"/api/captures/{uploaded['id']}/keep")
    assert answer_of(page.get(f"/api/history/{kept['name']}/line")) == answer_of(uploaded)


@pytest.mark.parametrize("data", [b"", b"<html>", SAMPLES[0].read_bytes()[:5000]])
def test_what_is_no_whole_picture_is_refused_in_words(page: Served, data: bytes) -> None:
    status, _, body = page.ask("POST", "/api/upload", data, Content_Type="image/png", X_Name="a")
    assert (status, json.loads(body)["error"][:3]) == (422, "a: ")


def test_what_is_kept_has_its_note_in_picture_log_and_history(page: Served) -> None:
    captured = page.post("/api/capture")
    kept = page.post(
        f"/api/captures/{captured['id']}/keep", {"note": "itches\n since  May", "place": "arm"}
    )
    (item,) = page.get("/api/history")["items"]
    assert (item["name"], item["note"], item["place"]) == (kept["name"], "itches since May", "arm")
    line = page.get(f"/api/history/{kept['name']}/line")
    assert (line["note"], line["place"]) == ("itches since May", "arm")
    (log,) = (name for name in os.listdir(page.store.folder) if name.endswith(".jsonl"))
    with open(os.path.join(page.store.folder, log)) as stream:
        assert [json.loads(each) for each in stream] == [line]
    assert page.ask("POST", f"/api/captures/{captured['id']}/keep")[0] == 404  # once is enough


def test_what_is_discarded_or_deleted_is_gone(page: Served) -> None:
    for keep in (True, False):
        captured = page.post("/api/capture")
        path = f"/api/captures/{captured['id']}"
        if keep:
            name = page.post(f"{path}/keep", {"note": "secret"})["name"]
        else:
            assert page.post(f"{path}/discard") == {}
            assert page.ask("GET", captured["picture"])[0] == 404
    assert page.post(f"/api/history/{name}/delete") == {}
    assert page.ask("POST", f"/api/history/{name}/delete")[0] == 404
    assert page.get("/api/history")["items"] == []
    left = [name for name in os.listdir(page.store.folder) if not name.startswith(".")]
    assert [name[-6:] for name in left] == [".jsonl"]
    with open(os.path.join(page.store.folder, left[0])) as stream:
        assert stream.read() == ""


def test_a_note_that_is_too_long_is_refused_and_the_capture_still_waits(page: Served) -> None:
    path = f"/api/captures/{page.post('/api/capture')['id']}/keep"
    assert page.ask("POST", path, json.dumps({"note": "x" * 2001}).encode())[0] == 413
    assert "name" in page.post(path, {"note": "x" * 2000})


def test_a_disk_that_fails_is_told_and_the_capture_still_waits(
    page: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = page.post("/api/capture")
    with monkeypatch.context() as patch:
        patch.setattr("edge.camera.store.write_atomically", _full)
        status, _, body = page.ask("POST", f"/api/captures/{captured['id']}/keep")
    assert (status, json.loads(body)["error"]) == (409, "can't be saved: No space left on device")
    assert "name" in page.post(f"/api/captures/{captured['id']}/keep")


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_only_the_last_few_captures_wait(page: Served) -> None:
    first, *rest = [page.post("/api/capture")["picture"] for _ in range(9)]
    assert page.ask("GET", first)[0] == 404
    assert {page.ask("GET", each)[0] for each in rest} == {200}


def watch(page: Served, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*page.address, timeout=120)
    connection.request("GET", path)
    return connection.getresponse()


def pictures(stream: http.client.HTTPResponse) -> Iterator[Any]:
    """Yield the pictures of a live stream."""
    while True:
        length = 0
        while (line := stream.readline()) != b"\r\n" or not length:
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        yield decode(stream.read(length)).image_bgr


def events(stream: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    while True:
        line = stream.readline()
        if line.startswith(b"data: "):
            yield json.loads(line[6:])


def test_the_live_picture_follows_the_camera_and_nothing_is_decoded_when_nobody_looks(
    page: Served, camera: LiveCamera
) -> None:
    until(lambda: page.get("/api/status")["camera"]["state"] == "running")
    assert camera.decoded == 0
    with watch(page, "/api/live") as stream:
        seen = pictures(stream)
        assert abs(next(seen).mean() - SCENE.mean()) < 5
        camera.scene = np.full_like(SCENE, 200)
        until(lambda: abs(next(seen).mean() - 200) < 5)
        assert page.live.lookers == 1
    until(lambda: page.live.lookers == 0)

    def pass_frames(count: int) -> None:
        grabbed = camera.grabbed
        until(lambda: camera.grabbed >= grabbed + count)

    pass_frames(2)  # the one that was on its way
    decoded = camera.decoded
    pass_frames(8)
    assert camera.decoded == decoded


@pytest.mark.slow
def test_the_states_of_the_camera_are_seen_as_they_come(
    camera: LiveCamera, analyzer: Analyzer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.page.app.CAPTURE_S", 0.2)
    with (
        served(camera, analyzer, tmp_path, interval_s=NEVER) as page,
        watch(page, "/api/events") as stream,
    ):
        seen = events(stream)
        until(lambda: next(seen)["status"]["camera"] == "running")
        assert next(seen)["frame"] is None  # nobody looks
        with watch(page, "/api/live"):

            def state() -> Any:
                frame = next(seen)["frame"]
                return frame and frame["state"]

            until(lambda: state() == "ok")
            sharp = next(seen)["frame"]["sharpness"]
            assert 0.5 < sharp <= 1
            camera.noise = 1
            camera.scene = cv2.blur(SCENE, (25, 25))  # type: ignore[assignment] # uint8 stays uint8
            until(lambda: state() == "blurred")
            assert 0 < next(seen)["frame"]["sharpness"] < 0.5
            camera.scene = np.zeros_like(SCENE)
            until(lambda: state() == "black")
            camera.noise = 0
            until(lambda: state() == "stale")  # frozen
            camera.absent = True
            until(lambda: state() == "lost")
            status, _, body = page.ask("POST", "/api/capture")
            assert status == 503
            # As it was lost, or as it wasn't found again.
            assert json.loads(body)["error"].startswith("no frame came within 0.2 s: ")


def test_a_button_is_seen_by_who_looks(page: Served) -> None:
    with watch(page, "/api/events") as stream:
        captured = page.post("/api/capture")
        until(lambda: next(events(stream))["capture"] == captured["id"])


def test_status_and_doctor_tell_of_camera_disk_and_model(page: Served, analyzer: Analyzer) -> None:
    until(lambda: page.get("/api/status")["camera"]["state"] == "running")
    status = page.get("/api/status")
    assert status["model"]["sha256"] == analyzer.contract.sha256
    assert status["disk"]["free"] > 0
    assert status["store"]["not_saving"] is None
    assert status["notice"] == NOTICE


def test_a_day_is_downloaded_as_one_file_with_a_table(page: Served) -> None:
    for note in ("=1+1", "plain, with comma"):
        page.post(f"/api/captures/{page.post('/api/capture')['id']}/keep", {"note": note})
    day = page.get("/api/history")["days"][0]["day"]
    _, headers, body = page.ask("GET", f"/api/history/days/{day}.zip")
    assert headers["content-type"] == "application/zip"
    archive = zipfile.ZipFile(io.BytesIO(body))
    assert archive.testzip() is None
    *names, table = archive.namelist()
    assert len(names) == 2
    assert archive.read(names[0]) == page.ask("GET", f"/api/history/{names[0]}")[2]
    rows = archive.read(table).decode("utf-8-sig").splitlines()
    assert rows[1].endswith(",'=1+1,")  # no formula
    assert rows[2].endswith(',"plain, with comma",')


def test_what_breaks_in_the_page_is_told_and_the_loop_and_the_page_go_on(
    camera: LiveCamera,
    analyzer: Analyzer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with served(camera, analyzer, tmp_path, interval_s=0.1) as page:
        monkeypatch.setattr("edge.page.status.health", _full)
        assert page.ask("GET", "/api/status")[0] == 500
        assert caplog.messages == ["the page: OSError: [Errno 28] No space left on device"]
        until(lambda: page.loop.status.counts.get("snapshots", 0) > 2)
        assert page.get("/api/history")["items"]
