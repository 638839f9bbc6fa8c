"""Cameras reached by HTTP as they are: cut pictures, odd streams, single JPEGs, wrong answers."""

from __future__ import annotations

import itertools
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edge import decode
from edge.camera import Settings, SnapshotLoop
from edge.camera.settings import Patience
from edge.camera.sources.address import parse, shown
from edge.camera.sources.http import HttpCamera
from edge.camera.sources.opencv import OpenCVCamera
from edge.camera.sources.rtsp import explain_rtsp
from edge.errors import CameraError
from tests.camera import run_camera
from tests.conftest import until
from tests.support.mjpeg_server import NONCE, MjpegServer, Raw, Single, Stream, noise, smooth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge import Analyzer

pytestmark = pytest.mark.slow

_PASSWORD = "p@ss/w#r?d%:x"  # noqa: S105
_USER = ("admin", _PASSWORD)
_PATIENCE = Patience(open_s=60, read_s=30, retry_s=0.05, retry_most_s=0.1, give_up_s=60)


def _cut(jpeg: bytes) -> bytes:
    return jpeg[: len(jpeg) * 6 // 10]


def _states(url: str, analyzer: Analyzer, count: int = 3, interval_s: float = 0.05) -> list[str]:
    settings = Settings(interval_s=interval_s, count=count, patience=_PATIENCE)
    loop = SnapshotLoop(HttpCamera(url, timeout_s=30), analyzer, settings)
    return [snapshot.frame_state for snapshot in loop]


def _try(url: str) -> None:
    camera = HttpCamera(url, timeout_s=30)
    camera.open()
    camera.close()


def _parts(head: str, tail: str = "\r\n") -> Stream:
    return Stream(noise(), head=head, tail=tail)


def test_fault_59_a_cut_jpeg_in_a_stream_is_damaged_and_never_analysed(tmp_path: Path) -> None:
    frames = (_cut(jpeg) for jpeg in noise())
    with MjpegServer(stream=Stream(frames)) as server:
        result = run_camera(
            "--interval 0.1 --count 5 --json",
            source=server.url(),
            out=tmp_path,
            status_file=tmp_path / "status.json",
        )
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0
    assert [line["frame_state"] for line in lines] == ["damaged"] * 5
    assert not any({"label", "probability", "saved"} & set(line) for line in lines)
    assert all("damaged or cut short" in line["damage"] for line in lines)
    assert list(tmp_path.glob("*.jpg")) == []
    status = json.loads((tmp_path / "status.json").read_text())
    assert status["counts"]["damaged"] == 5
    assert status["camera"]["failures"] == 1  # three in a row: opened anew
    assert result.stderr.count("a damaged frame, not analysed") == 1
    assert result.stderr.count("camera lost: damaged frames") == 1


def test_fault_59_a_damaged_frame_between_good_ones_costs_itself_only(
    int8_analyzer: Analyzer,
) -> None:
    pictures = noise()
    frames = [next(pictures), _cut(next(pictures)), next(pictures), b"\xff\xd8\xff no picture"]
    with MjpegServer(capture=Single(frames)) as server:
        states = _states(server.url("capture"), int8_analyzer, 4)
    assert states == ["ok", "damaged", "ok", "damaged"]


def test_fault_59_a_frame_passes_the_same_limits_as_a_file(int8_analyzer: Analyzer) -> None:
    jpeg = bytearray(next(noise()))
    at = jpeg.find(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"  # 65500 x 65500
    with MjpegServer(capture=Single(itertools.repeat(bytes(jpeg)))) as server:
        assert _states(server.url("capture"), int8_analyzer, 2) == ["damaged"] * 2


def test_a_frame_is_turned_upright_by_exif_as_a_file_is() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :30] = 200
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    # Exif 2.3, 4.6.4: orientation (0x0112) 6
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]
    with MjpegServer(capture=Single([turned])) as server:
        camera = HttpCamera(server.url("capture"))
        camera.open()
        assert camera.grab()
        frame = camera.retrieve()
        camera.close()
    assert frame is not None
    assert frame.shape == (60, 40, 3)
    assert (frame == decode(turned).image_bgr).all()


_HEAD = "--frame\r\nContent-Type: image/jpeg\r\n"
_ODD = {
    "as it should be": Stream(noise()),
    "no first boundary": _parts(
        "Content-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n", "\r\n--frame\r\n"
    ),
    "no length": _parts("--frame\r\nContent-Type: image/jpeg\r\n\r\n"),
    "image/jpg": _parts("--frame\r\nContent-Type: image/jpg\r\nContent-Length: {length}\r\n\r\n"),
    "LF only": _parts("--frame\nContent-Type: image/jpeg\nContent-Length: {length}\n\n", "\n"),
    "LF only, no length": _parts("--frame\nContent-Type: image/jpeg\n\n", "\n"),
    "another boundary than announced": _parts("--other\r\nContent-Type: image/jpeg\r\n\r\n"),
    "no header": _parts("--frame\r\n\r\n"),
    "empty lines before the picture": _parts("--frame\r\nContent-Type: image/jpeg\r\n\r\n\r\n\r\n"),
    "small letters": _parts(
        "--frame\r\ncontent-type:image/jpeg\r\ncontent-length:{length}\r\n\r\n"
    ),
    "one JPEG behind the other": _parts("", ""),
    "a text between": _parts(
        "--frame\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello\r\n"
        "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n"
    ),
    "a length of 0": _parts(f"{_HEAD}Content-Length: 0\r\n\r\n"),
    "no pause": Stream(noise(), every_s=0),
    "a length that is too small": _parts(f"{_HEAD}Content-Length: 2000\r\n\r\n"),
    "a length that is too large": _parts(f"{_HEAD}Content-Length: 99999\r\n\r\n"),
}


@pytest.mark.parametrize("name", _ODD)
def test_fault_66_an_odd_stream_gives_its_pictures_whole(
    name: str, int8_analyzer: Analyzer
) -> None:
    with MjpegServer(stream=_ODD[name]) as server:
        assert _states(server.url(), int8_analyzer) == ["ok"] * 3


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/x-mixed-replace; boundary=--frame",
        'multipart/x-mixed-replace; boundary="frame"',
        "multipart/x-mixed-replace;boundary=frame;charset=utf-8",
        "multipart/x-mixed-replace",
        "multipart/mixed; boundary=other",
        "application/octet-stream",
        None,
    ],
)
def test_fault_66_a_stream_is_known_by_what_it_says_or_by_its_bytes(
    kind: str | None, int8_analyzer: Analyzer
) -> None:
    with MjpegServer(stream=Stream(noise(), type=kind)) as server:
        assert _states(server.url(), int8_analyzer) == ["ok"] * 3
    assert server.requests["stream"] == 1


def test_fault_66_a_chunked_stream_gives_its_pictures_whole(int8_analyzer: Analyzer) -> None:
    def chunks() -> Iterator[bytes]:
        for jpeg in noise():
            data = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg + b"\r\n"
            for part in (data[:700], data[700:]):
                yield b"%x\r\n%s\r\n" % (len(part), part)
            time.sleep(0.02)

    answer = Raw(chunks(), headers={"Transfer-Encoding": "chunked"})
    with MjpegServer(stream=answer) as server:
        assert _states(server.url(), int8_analyzer) == ["ok"] * 3


@pytest.mark.parametrize(
    "kind",
    [
        *("image/jpeg", "image/jpg", "application/octet-stream", None, "image/jpe", "image/x-jpeg"),
        *("application/jpeg", "application/force-download", "text/plain", "text/html"),
    ],
)
def test_fault_66_a_single_jpeg_is_fetched_once_a_snapshot(
    kind: str | None, int8_analyzer: Analyzer
) -> None:
    with MjpegServer(capture=Single(noise(), type=kind)) as server:
        assert _states(server.url("capture"), int8_analyzer, 4) == ["ok"] * 4
    assert server.requests["capture"] == 4


def test_fault_66_a_multipart_answer_of_one_part_is_a_single_picture(
    int8_analyzer: Analyzer,
) -> None:
    class One(Single):
        def body(self) -> Iterator[bytes]:
            (picture,) = super().body()
            yield b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + picture
            yield b"\r\n--frame--\r\n"

    with MjpegServer(stream=One(noise(), type="multipart/mixed; boundary=frame")) as server:
        assert _states(server.url(), int8_analyzer) == ["ok"] * 3
    assert server.requests["stream"] == 3


def test_fault_66_a_stream_that_ends_every_few_pictures_is_connected_to_once_a_snapshot(
    int8_analyzer: Analyzer,
) -> None:
    class Short(Single):
        def body(self) -> Iterator[bytes]:
            for _ in range(5):
                yield b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + next(self._pictures)

    with MjpegServer(stream=Short(noise(), type="multipart/mixed; boundary=frame")) as server:
        settings = Settings(interval_s=0.2, count=4, warmup=0, patience=_PATIENCE)
        loop = SnapshotLoop(HttpCamera(server.url(), timeout_s=4), int8_analyzer, settings)
        assert [snapshot.frame_state for snapshot in loop] == ["ok"] * 4
        assert server.requests["stream"] <= 1 + 4
        assert _states(server.url(), int8_analyzer) == ["ok"] * 3
    assert loop.status.failures == 0


@pytest.mark.parametrize("head", [f"{_HEAD}Content-Length: {{length}}\r\n\r\n", f"{_HEAD}\r\n"])
def test_fault_66_a_frame_every_two_seconds_is_not_stale_and_warms_up_in_time(
    head: str, int8_analyzer: Analyzer
) -> None:
    with MjpegServer(stream=Stream(noise(), head=head, every_s=1.2)) as server:
        patience = Patience(open_s=9, read_s=3)
        settings = Settings(interval_s=1, max_age_s=1, count=3, patience=patience)
        loop = SnapshotLoop(HttpCamera(server.url(), timeout_s=3), int8_analyzer, settings)
        assert [snapshot.frame_state for snapshot in loop] == ["ok"] * 3
    assert loop.status.failures == 0


@pytest.mark.parametrize("tail", ["", "TIME=12:00:00;" + "\0" * 200])
def test_fault_66_a_picture_that_comes_slowly_or_with_bytes_behind_it_is_not_stale(
    tail: str, int8_analyzer: Analyzer
) -> None:
    class Slow(Raw):
        def body(self) -> Iterator[bytes]:
            for jpeg in noise():
                yield b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg[:3000]
                time.sleep(0.8)
                yield jpeg[3000:]
                yield f"{tail}\r\n".encode()
                time.sleep(0.8)

    with MjpegServer(stream=Slow()) as server:
        settings = Settings(interval_s=0.1, max_age_s=0.75, count=2, warmup=0, patience=_PATIENCE)
        loop = SnapshotLoop(HttpCamera(server.url()), int8_analyzer, settings)
        assert [snapshot.frame_state for snapshot in loop] == ["ok"] * 2


def test_fault_66_a_picture_that_pauses_behind_its_thumbnail_is_waited_for(
    int8_analyzer: Analyzer,
) -> None:
    class Pausing(Single):
        def body(self) -> Iterator[bytes]:
            jpeg = next(self._pictures)
            exif = b"Exif\0\0" + jpeg  # with an end marker of its own
            yield jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
            time.sleep(0.3)
            yield jpeg[2:]

    with MjpegServer(capture=Pausing(noise())) as server:
        assert _states(server.url("capture"), int8_analyzer) == ["ok"] * 3


def test_the_newest_picture_wins_where_several_have_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.camera.sources.http._DRAIN_S", 60.0)  # on a slow machine, too
    numbered = [
        data[:2] + b"\xff\xfe\0\x05%03d" % n + data[2:]  # a comment
        for n, data in enumerate(itertools.islice(noise(), 3))
    ]
    # What the receiver's buffer takes at once has come when it is sent; more comes while it reads.
    assert sum(map(len, numbered)) < 60_000
    sent = threading.Event()

    def all_of_them() -> Iterator[bytes]:
        yield from numbered
        sent.set()

    with MjpegServer(stream=Stream(all_of_them(), every_s=0)) as server:
        camera = HttpCamera(server.url())
        camera.open()
        assert sent.wait(60)
        assert camera.grab()
        assert camera._data is not None
        assert camera._data[6:9] == b"002"
        camera.close()


def test_a_stream_of_garbage_is_given_up_in_time_and_holds_little_memory() -> None:
    with MjpegServer(stream=Raw(itertools.repeat(b"\x00garbage\n" * 5000))) as server:
        camera = HttpCamera(server.url(), timeout_s=1)
        with pytest.raises(
            CameraError, match=r"no whole picture came within 1 s: .*--read-timeout"
        ):
            camera.open()
        assert camera._stream is None


def test_a_picture_that_never_ends_is_refused_at_the_limit() -> None:
    endless = itertools.chain([b"\xff\xd8\xff\xe0"], itertools.repeat(bytes(1 << 20)))
    with MjpegServer(stream=Raw(endless)) as server:
        camera = HttpCamera(server.url(), timeout_s=60)
        with pytest.raises(CameraError, match=r"127.0.0.1:\d+/stream: a picture larger than"):
            camera.open()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Raw(status=404, type=None), r"nothing at this address \(404\): look up the path"),
        (Raw(status=503, type=None), r"can't serve just now \(503\): close other programs"),
        (Raw(status=403, type=None), r"asks for a user and a password \(403\)"),
        (Raw([b"<html>"], type="text/html; charset=utf-8"), "a web page, not a picture: give"),
        (Raw([b" <!DOCTYPE html><html>"], type=None), "a web page, not a picture: give"),
        (
            Raw([b"{}"], type="application/json"),
            "application/json, not a JPEG or PNG picture: give",
        ),
        (Raw([], type="image/jpeg"), "holds no JPEG or PNG picture: give"),
        (Single(noise(), user=_USER), r"asks for a user and a password \(401\).*USER:PASSWORD@"),
        (Raw(status=302, type=None, headers={"Location": "file:///etc/passwd"}), "status 302"),
        (Raw(status=418, type=None), "status 418"),
        (Raw(status=204, type=None), "the answer is empty: start the camera again"),
        (Raw(type="image/jpeg", headers={"Content-Length": "0"}), "the answer is empty"),
        (Raw([b"<html>login"], type="image/jpeg"), "a web page, not a picture: give"),
        (Raw([b'[{"rspCode":-6}]'], type="text/html"), "it asks for a login.*: check the user"),
        (
            Raw([b"<CGI_Result><result>-2</result></CGI_Result>"], type="text/plain"),
            "it asks for a login.*: check the user",
        ),
        (
            Raw(status=302, type=None, headers={"Location": "rtsp://a:b@10.0.0.7/live?k"}),
            "sent on to rtsp://10.0.0.7/live: give that address, with user and password, as --sou",
        ),
        (
            Raw(status=302, type=None, headers={"Location": "http://127.0.0.1:1/s3cr3t"}),
            r"sent on to http://127.0.0.1:1/\.\.\.: nothing listens there.*is 1 its port",
        ),
        (Raw([b"x"], type="image/heic"), "image/heic, not a JPEG or PNG picture: give"),
    ],
)
def test_fault_67_each_wrong_answer_is_told_with_its_own_fix(answer: Raw, expected: str) -> None:
    with MjpegServer(stream=answer) as server, pytest.raises(CameraError, match=expected):
        HttpCamera(server.url()).open()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("scheme", "challenge"),
    [
        ("Basic", "Basic"),
        ("Basic", "Basic realm=camera"),
        ("Basic", 'NTLM, Basic realm="camera"'),
        ("Digest MD5", f'Digest realm="camera", nonce="{NONCE}", qop="auth-int, auth"'),
        ("Digest MD5", f'Digest realm=camera,nonce={NONCE},qop="auth,auth-int",algorithm=MD5'),
    ],
)
def test_fault_67_a_password_is_asked_for_as_cameras_do(scheme: str, challenge: str) -> None:
    answer = Single(noise(), user=_USER, scheme=scheme, challenge=challenge)
    with MjpegServer(capture=answer) as server:
        _try(server.url("capture", f"admin:{_PASSWORD}"))


@pytest.mark.parametrize(
    ("challenge", "kind"),
    [
        ("NTLM", "NTLM"),
        ("Bearer abc", "Bearer"),
        ('Digest realm="x", nonce="y", qop="auth-int"', "Digest"),
        ('Digest realm="x", nonce="y", algorithm=SHA-512-256', "Digest"),
    ],
)
def test_fault_67_a_kind_of_login_that_is_not_known_is_named(challenge: str, kind: str) -> None:
    answer = Single(noise(), user=_USER, challenge=challenge)
    expected = rf"kind of login that isn't known \({kind}\): choose Basic"
    with MjpegServer(capture=answer) as server, pytest.raises(CameraError, match=expected):
        HttpCamera(server.url("capture", f"admin:{_PASSWORD}")).open()


@pytest.mark.parametrize("scheme", ["Basic", "Digest MD5", "Digest MD5-sess", "Digest SHA-256"])
@pytest.mark.parametrize("written", [_PASSWORD, "p%40ss%2Fw%23r%3Fd%25%3Ax"])
def test_fault_67_a_password_with_any_sign_in_it_works_and_a_wrong_one_is_tried_once(
    scheme: str, written: str
) -> None:
    with MjpegServer(capture=Single(noise(), user=_USER, scheme=scheme)) as server:
        _try(server.url("capture", f"admin:{written}"))
        assert server.requests["capture"] == 2
        with pytest.raises(CameraError, match=r"refuses this user and password \(401\)"):
            HttpCamera(server.url("capture", "admin:wrong")).open()
        assert server.requests["capture"] == 4


def test_a_password_is_not_sent_on_to_another_host() -> None:
    with MjpegServer(capture=Single(noise(), user=_USER)) as other:
        moved = Raw(status=302, type=None, headers={"Location": other.url("capture")})
        expected = f"sent on to {other.url('capture')}: .* asks for"
        with MjpegServer(stream=moved) as server, pytest.raises(CameraError, match=expected):
            HttpCamera(server.url(user=f"admin:{_PASSWORD}")).open()
        assert not any("Authorization" in headers for headers in other.headers)


def test_a_redirect_on_the_same_camera_is_followed() -> None:
    with MjpegServer(capture=Single(noise(), user=_USER)) as server:
        server.answers["stream"] = Raw(status=302, type=None, headers={"Location": "/capture"})
        _try(server.url(user=f"admin:{_PASSWORD}"))


def _serving(answer: Callable[[socket.socket], None]) -> int:
    """Answer each connection on a port of its own; return the port."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = server.accept()
            with connection:
                answer(connection)

    threading.Thread(target=serve, daemon=True).start()
    port: int = server.getsockname()[1]
    return port


def _saying(data: bytes) -> int:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(data)

    return _serving(answer)


def test_fault_67_no_connection_and_no_http_are_told_apart() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(CameraError, match=f"refused: .*is {port} its port"):
        HttpCamera(f"http://127.0.0.1:{port}/stream").open()
    with pytest.raises(CameraError, match="unknown host: check the name"):
        HttpCamera("http://no-such-camera.invalid/stream").open()
    with pytest.raises(CameraError, match="doesn't speak HTTP"):
        HttpCamera(f"http://127.0.0.1:{_saying(b'SSH-2.0-x' + bytes([13, 10]))}/").open()
    with pytest.raises(CameraError, match="cut off"):
        HttpCamera(f"http://127.0.0.1:{_saying(b'')}/").open()
    port = _serving(lambda _: time.sleep(2))
    with pytest.raises(CameraError, match=r"no answer in time: .*--read-timeout"):
        HttpCamera(f"http://127.0.0.1:{port}/", timeout_s=0.3).open()
    with MjpegServer(stream=Stream(noise())) as server, pytest.raises(CameraError, match="no TLS"):
        HttpCamera(server.url().replace("http:", "https:")).open()


def _make_tls(folder: Path, *more: str) -> tuple[ssl.SSLContext, Path]:
    """Return what a server with a new certificate of its own speaks, and the certificate."""
    key, certificate = folder / "key.pem", folder / "camera.pem"
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-keyout", key, "-out", certificate, "-subj", "/CN=camera"),
                *more,
            ],
            capture_output=True,
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl isn't installed here")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    return tls, certificate


def test_fault_67_an_rtsps_camera_tells_why_and_gets_no_password_unless_it_is_known(
    tmp_path: Path,
) -> None:
    tls, _ = _make_tls(tmp_path)
    asked: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), tls.wrap_socket(connection, server_side=True) as secure:
            asked.append(secure.recv(4096))
            secure.sendall(b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n")

    source = f"rtsps://admin:hunter22@127.0.0.1:{_serving(answer)}/live"
    error = explain_rtsp(shown(source), parse(source), 30.0)
    assert "nothing at this address (404)" in str(error)
    assert asked[0].startswith(b"DESCRIBE ")
    assert b"Authorization" not in asked[0]
    assert b"hunter22" not in asked[0]
    plain = f"rtsps://127.0.0.1:{_saying(b'RTSP/1.0 400 Bad Request')}/live"
    assert "no TLS there: try rtsp://" in str(explain_rtsp(plain, parse(plain), 30.0))


def test_fault_67_a_certificate_without_the_cameras_name_is_trusted_where_it_is_that_very_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, certificate = _make_tls(tmp_path)
    (tmp_path / "other").mkdir()
    _, other = _make_tls(tmp_path / "other")
    with MjpegServer(capture=Single(noise()), tls=tls) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(other))
        with pytest.raises(CameraError, match="not trusted"):
            HttpCamera(server.url("capture")).open()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        _try(server.url("capture"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
        with pytest.raises(CameraError, match=r"SSL_CERT_FILE names a file .* there \(.*gone.pem"):
            HttpCamera(server.url("capture")).open()


def test_fault_67_a_certificate_that_is_not_trusted_names_the_way_to_trust_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls, certificate = _make_tls(tmp_path, "-addext", "subjectAltName=IP:127.0.0.1")
    with MjpegServer(capture=Single(noise()), tls=tls) as server:
        with pytest.raises(CameraError, match=r"not trusted .*clock right.*SSL_CERT_FILE"):
            HttpCamera(server.url("capture")).open()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        _try(server.url("capture"))


@pytest.mark.parametrize(
    ("reply", "user", "expected"),
    [
        ("401 No\r\nWWW-Authenticate: Digest realm=x, nonce=y", "", r"asks for a user .*\(401\)"),
        ("401 No\r\nWWW-Authenticate: Digest realm=x, nonce=y", "a:b@", r"refuses this .*\(401\)"),
        ("401 No\r\nWWW-Authenticate: Basic realm=x", "a:b@", r"refuses this user .*\(401\)"),
        ("404 Not Found", "", r"nothing at this address \(404\)"),
        ("454 Session Not Found", "", r"nothing at this address \(454\)"),
        ("503 Service Unavailable", "", r"can't serve just now \(503\)"),
    ],
)
def test_fault_67_what_an_rtsp_server_answers_is_asked_for_where_opencv_does_not_tell(
    reply: str, user: str, expected: str
) -> None:
    def answer(connection: socket.socket) -> None:
        while request := connection.recv(4096):
            number = request.split(b"CSeq: ")[1].split(b"\r\n")[0].decode()
            connection.sendall(f"RTSP/1.0 {reply}\r\nCSeq: {number}\r\n\r\n".encode())

    port = _serving(answer)
    with pytest.raises(CameraError, match=expected):
        OpenCVCamera(f"rtsp://{user}127.0.0.1:{port}/live", timeout_s=30).open()


def test_fault_67_an_rtsp_camera_that_is_not_there_is_told_from_one_that_is_no_rtsp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(CameraError, match="refused"):
        OpenCVCamera(f"rtsp://127.0.0.1:{port}/live", timeout_s=30).open()
    port = _saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(CameraError, match="doesn't speak RTSP"):
        OpenCVCamera(f"rtsp://127.0.0.1:{port}/live", timeout_s=30).open()


def test_a_stream_that_is_no_jpeg_is_left_to_ffmpeg(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (160, 120))
    for jpeg in itertools.islice(noise(), 5):
        writer.write(decode(jpeg).image_bgr)
    writer.release()
    answer = Raw(
        [path.read_bytes()],
        type="video/x-msvideo",
        headers={"Content-Length": str(path.stat().st_size)},
        user=("admin", "a@b/c"),
    )
    with MjpegServer(film=answer) as server:
        camera = HttpCamera(server.url("film", "admin:a@b/c"))
        camera.open()
        assert camera.grab()
        frame = camera.retrieve()
        camera.close()
    assert frame is not None
    assert frame.shape == (120, 160, 3)


def test_nothing_is_decoded_between_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    monkeypatch.setattr("edge.camera.sources.http.decode", lambda *_: decoded.append(1))
    with MjpegServer(stream=Stream(itertools.cycle(smooth(320, 240)))) as server:
        camera = HttpCamera(server.url())
        camera.open()
        for _ in range(20):
            assert camera.grab()
        camera.close()
    assert decoded == []


def test_an_rtsp_failure_names_neither_user_nor_password() -> None:
    address = parse("rtsp://admin:hunter22@127.0.0.1:1/live")
    error = explain_rtsp(shown("rtsp://admin:hunter22@127.0.0.1:1/live"), address, 1.0)
    assert "hunter22" not in str(error)
    assert "admin" not in str(error)


def test_what_seems_odd_about_a_frame_is_a_warning_as_of_a_file() -> None:
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 4), dtype=np.uint8)
    data = cv2.imencode(".png", image)[1].tobytes()
    with MjpegServer(capture=Single([data] * 9, type="image/png")) as server:
        result = run_camera("--count 1 --save none", source=server.url("capture"))
    assert "; warning: transparent pixels count" in result.stdout


def test_fault_36_connections_that_come_and_go_leave_no_descriptors() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    with MjpegServer(stream=Stream(noise()), capture=Single(noise())) as server:
        before = descriptors()
        for name in ("stream", "capture", "missing") * 10:
            camera = HttpCamera(server.url(name))
            with suppress(CameraError):
                camera.open()
                camera.grab()
            camera.close()
        # The server's own threads, of this process, close theirs in their own time.
        until(lambda: descriptors() <= before)
