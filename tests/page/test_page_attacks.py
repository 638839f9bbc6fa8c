"""What is tried against the page, and what becomes of it: each attack of SECURITY.md has a test."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edge import Analyzer
from edge.analyzer import read_picture
from edge.page import app, connection
from edge.picture.limits import MAX_BYTES
from tests.conftest import until
from tests.support.page import LiveCamera, Served, served
from tests.support.pictures import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVIL = "http://evil.example"
SECRETS = (b"root:", b"import ", b"[project]")
"""What is in files that a path could lead to."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    scene = read_picture(SAMPLES[0]).image_bgr[:200, :300]
    folder = tmp_path_factory.mktemp("snapshots")
    with served(LiveCamera(scene), Analyzer(threads=1), folder, names=["derm.example"]) as page:
        yield page


@pytest.fixture
def locked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[Served, str]]:
    """A page that asks for a token, and the token."""
    scene = np.full((60, 80, 3), 90, np.uint8)
    with served(
        LiveCamera(scene), Analyzer(threads=1), tmp_path / "s", token_file=str(tmp_path / "token")
    ) as page:
        match = re.search(r"/login#(\S+)", capsys.readouterr().err)
        assert match
        yield page, match[1]


def connect(page: Served, sent: bytes = b"") -> socket.socket:
    client = socket.create_connection(page.address, timeout=120)
    client.sendall(sent)
    return client


def is_closed(client: socket.socket) -> bool:
    """Read all that comes, until the other side ends it; fail where it doesn't."""
    try:
        while client.recv(65536):
            pass
    except ConnectionError:
        return True
    return True


def raw(page: Served, request: str) -> bytes:
    """Send a request as it is written, and return all that comes until the connection's end."""
    with connect(page, request.replace("\n", "\r\n").encode()) as client:
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "localhost.evil.example", "", "127.0.0.1.evil.example"],
)
def test_dns_rebinding_a_name_that_isnt_ours_is_refused(page: Served, host: str) -> None:
    status, _, body = page.ask("GET", "/", Host=host)
    assert (status, b"--page-name" in body) == (421, True)
    assert page.ask("POST", "/api/capture", Host=host)[0] == 421


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8080", "192.0.2.7", "derm.example"]
)
def test_dns_rebinding_our_own_names_and_any_address_are_let_in(page: Served, host: str) -> None:
    assert page.ask("GET", "/api/status", Host=host)[0] == 200


def test_dns_rebinding_no_host_or_two_are_refused(page: Served) -> None:
    assert b" 421 " in raw(page, "GET / HTTP/1.0\n\n")
    assert b" 400 " in raw(page, "GET / HTTP/1.1\nHost: 127.0.0.1\nHost: localhost\n\n")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_cross_site_another_page_can_change_nothing(page: Served, headers: dict[str, str]) -> None:
    paths = ("/api/capture", "/api/upload", "/api/captures/x/keep", "/api/history/x.jpg/delete")
    for path in (*paths, "/login"):
        assert page.ask("POST", path, b"{}", **headers)[0] == 403


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"]
)
def test_cross_site_a_form_can_change_nothing(page: Served, kind: str) -> None:
    assert page.ask("POST", "/api/capture", b"a=b", Content_Type=kind)[0] == 415


def test_cross_site_another_page_can_show_nothing_of_ours(page: Served) -> None:
    assert page.ask("GET", "/api/live", Sec_Fetch_Site="cross-site")[0] == 403
    _, headers, _ = page.ask("GET", "/", Sec_Fetch_Site="cross-site")  # a link may lead here
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_a_page_of_ours_and_a_button_may_capture(page: Served) -> None:
    own = f"http://127.0.0.1:{page.address[1]}"
    assert "id" in page.post("/api/capture", Origin=own, Sec_Fetch_Site="same-origin")
    assert page.ask("POST", "/api/capture")[0] == 200  # curl -X POST


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/static/%5c..%5capp.py",
        "/api/history/../../../../etc/passwd",
        "/api/history/..%2f..%2f..%2f..%2fetc%2fpasswd.jpg",
        "/api/history/%2fetc%2fpasswd.jpg",
        "/api/history/thumb/..%2f..%2fetc%2fpasswd.jpg",
        "/api/history/passwd%00.jpg",
        "/api/history/days/..%2f..%2fetc.zip",
        "/api/captures/..%2f..%2fetc%2fpasswd.jpg",
        "/api/words?lang=../../../pyproject",
        "/%c0%ae%c0%ae/etc/passwd",
    ],
)
def test_traversal_no_path_leads_out(page: Served, path: str) -> None:
    answer = raw(page, f"GET {path} HTTP/1.1\nHost: localhost\nConnection: close\n\n")
    assert not any(secret in answer for secret in SECRETS)
    assert re.match(rb"HTTP/1.1 (404|400)", answer) or "words" in path


def test_traversal_nothing_but_pictures_of_ours_is_deleted(page: Served, tmp_path: Path) -> None:
    target = tmp_path / "a.jpg"
    target.touch()
    name = str(target).replace("/", "%2f")
    for path in (name, f"..%2f..{name}", ".lock.jpg", "snapshots-20260101.jsonl"):
        assert page.ask("POST", f"/api/history/{path}/delete")[0] == 404
    assert target.exists()


def test_oversized_an_upload_that_is_too_large_is_refused_before_it_comes(page: Served) -> None:
    for length, status in ((MAX_BYTES + 1, b" 413 "), ("9" * 400, b" 4"), (-1, b" 400 ")):
        head = "POST /api/upload HTTP/1.1\nHost: localhost\nContent-Type: image/jpeg\n"
        assert status in raw(page, f"{head}Content-Length: {length}\n\n")


def test_endless_an_upload_without_a_length_is_refused(page: Served) -> None:
    head = "POST /api/upload HTTP/1.1\nHost: localhost\nContent-Type: image/jpeg\n"
    assert b" 411 " in raw(page, f"{head}Transfer-Encoding: chunked\n\n")
    assert b" 400 " in raw(page, "GET / HTTP/1.1\nHost: localhost\nContent-Length: 9\n\n")
    assert b" 413 " in raw(
        page,
        "POST /api/captures/x/keep HTTP/1.1\nHost: localhost\nContent-Length: 99999\n\n",
    )


def test_slow_an_upload_that_trickles_is_ended_and_two_of_them_are_the_most(
    page: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = "POST /api/upload HTTP/1.1\nHost: localhost\nContent-Type: image/jpeg\n"
    slow = f"{head}Content-Length: 1000\n\nabc".replace("\n", "\r\n").encode()

    def third() -> int:
        return page.ask("POST", "/api/upload", b"x", Content_Type="image/jpeg")[0]

    with connect(page, slow), connect(page, slow):
        until(lambda: third() == 503)
    until(lambda: third() == 422)
    monkeypatch.setattr(app, "UPLOAD_S", 0.3)
    with connect(page, slow) as client:
        assert b" 408 " in client.recv(65536)
        assert is_closed(client)
    assert third() == 422


def test_a_picture_that_would_need_gigabytes_is_refused_as_everywhere(page: Served) -> None:
    bomb = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    bomb = bomb[:16] + (40_000).to_bytes(4, "big") * 2 + bomb[24:]
    status, _, body = page.ask("POST", "/api/upload", bomb, Content_Type="image/png")
    assert status == 422
    assert json.loads(body)["error"]


def test_half_open_two_hundred_connections_keep_nobody_out(page: Served) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(page)) for _ in range(100)]
        begun = [stack.enter_context(connect(page, b"GET / HTTP/1.1\r\nX")) for _ in range(100)]
        assert page.ask("GET", "/api/status")[0] == 200
        assert all(is_closed(client) for client in silent)  # the oldest went for the newest
        assert len(connection.Connection._waiting) <= 50
        assert begun
    assert page.ask("GET", "/api/status")[0] == 200


def trickle(client: socket.socket) -> None:
    client.sendall(b"GET / HTTP/1.1\r\n")
    for _ in range(200):
        client.sendall(b"X-a: b\r\n")
        time.sleep(0.05)


def test_slowloris_a_header_that_trickles_is_ended(
    page: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "HEADER_S", 0.5)
    with connect(page, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
        client.recv(65536)  # answered once, and then
        with pytest.raises(ConnectionError):
            trickle(client)
    with connect(page) as silent:
        assert is_closed(silent)


def test_slow_one_who_looks_and_takes_nothing_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "STALLED_S", 0.3)
    noise = np.random.default_rng(0).integers(0, 255, (600, 800, 3), dtype=np.uint8)
    with (
        served(LiveCamera(noise), Analyzer(threads=1), tmp_path, interval_s=1e9) as page,
        connect(page, b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n") as client,
    ):
        assert client.recv(1)  # of the answer: it looks
        until(lambda: page.live.lookers == 0)


@pytest.mark.parametrize(
    "flood", ["X: y\n" * 10_000, f"X: {'y' * 100_000}\n", f"Cookie: {'a=b;' * 50_000}\n"]
)
def test_a_flood_of_headers_is_refused(page: Served, flood: str) -> None:
    with connect(page) as client:
        try:
            client.sendall(f"GET / HTTP/1.1\nHost: localhost\n{flood}\n".encode())
            answer = client.recv(65536)
        except ConnectionError:
            answer = b""
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert page.ask("GET", "/api/status")[0] == 200


def test_a_token_is_asked_for_wherever_something_is_to_be_seen(
    locked: tuple[Served, str],
) -> None:
    page, token = locked
    for path in ("/api/live", "/api/events", "/api/status", "/api/history", "/api/doctor"):
        assert page.ask("GET", path)[0] == 401
        assert page.ask("GET", path, Cookie="lesion_edge=x")[0] == 401
    for path in (
        "/api/capture",
        "/api/upload",
        "/api/captures/x/keep",
        "/api/history/x.jpg/delete",
    ):
        assert page.ask("POST", path)[0] == 401
    status, headers, _ = page.ask("GET", "/")
    assert (status, headers["location"]) == (303, "/login")
    assert page.ask("GET", "/login")[0] == 200
    assert page.ask("POST", "/api/capture", Authorization=f"Bearer {token}")[0] == 200


def test_a_token_is_kept_hashed_and_its_cookie_is_no_script_s_and_no_other_page_s(
    locked: tuple[Served, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, token = locked
    status, headers, _ = page.ask("POST", "/login", json.dumps({"token": token}).encode())
    cookie, *attributes = headers["set-cookie"].split("; ")
    assert status == 200
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(attributes)
    assert token not in cookie
    assert page.ask("GET", "/api/status", Cookie=cookie)[0] == 200
    kept = (tmp_path / "token").read_text()
    assert token not in kept
    assert cookie.partition("=")[2] not in kept
    # The next start asks for the same token, and doesn't print it.
    with served(
        LiveCamera(np.full((60, 80, 3), 90, np.uint8)),
        Analyzer(threads=1),
        tmp_path / "other",
        token_file=str(tmp_path / "token"),
    ) as again:
        assert "#" not in capsys.readouterr().err
        assert again.ask("GET", "/api/status", Cookie=cookie)[0] == 200


def test_behind_a_proxy_nobody_is_let_in_without_a_token(page: Served) -> None:
    for header in ("X_Forwarded_For", "Forwarded", "X_Real_IP"):
        status, _, body = page.ask("GET", "/", None, **{header: "192.0.2.7"})
        assert (status, b"--page-token" in body) == (403, True)


def test_guessing_a_token_is_limited_by_address(locked: tuple[Served, str]) -> None:
    page, token = locked

    def attempt(guess: str, source: str = "127.0.0.1") -> int:
        client = http.client.HTTPConnection(*page.address, source_address=(source, 0), timeout=120)
        body = json.dumps({"token": guess})
        client.request("POST", "/login", body, {"Content-Type": "application/json"})
        status = client.getresponse().status
        client.close()
        return status

    assert [attempt(f"guess {n}") for n in range(10)] == [401] * 10
    assert attempt(token) == 429
    assert page.ask("POST", "/api/capture", Authorization=f"Bearer {token}")[0] == 429
    assert attempt(token, "127.0.0.2") == 200


HTML = "<img src=x onerror=alert(1)>"


def test_html_in_names_and_notes_stays_text(page: Served) -> None:
    name = HTML.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")
    status, headers, body = page.ask(
        "POST", "/api/upload", SAMPLES[0].read_bytes(), Content_Type="image/jpeg", X_Name=name
    )
    uploaded = json.loads(body)
    assert (status, uploaded["image"]) == (200, HTML)
    assert headers["content-type"] == "application/json"
    assert headers["x-content-type-options"] == "nosniff"
    kept = page.post(
        f"/api/captures/{uploaded['id']}/keep", {"note": HTML, "place": f"{HTML}\r\n\0\x1b[31m"}
    )
    item = page.get("/api/history")["items"][0]
    assert (item["name"], item["note"]) == (kept["name"], HTML)
    assert item["place"].isprintable()
    missing = page.ask("GET", f"/api/history/{name}.jpg")
    assert missing[1]["content-type"] == "application/json"
