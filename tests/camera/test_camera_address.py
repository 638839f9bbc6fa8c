"""What a person gives as a camera: addresses with secrets in them, and what is no camera."""

from __future__ import annotations

import json
import os
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import cv2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.camera import open_source
from edge.camera.sources.address import parse, shown
from edge.camera.sources.opencv import OpenCVCamera
from edge.doctor import video
from edge.errors import CameraError
from tests.camera import run_camera
from tests.conftest import run_module
from tests.support.mjpeg_server import MjpegServer, Raw, Single, Stream, noise
from tests.support.pictures import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

_SECRETS = ("hunter22", "tok3n-99")


def _open(source: str) -> Any:
    return open_source(source, interval_s=1, timeout_s=1)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("rtsp://me:secret@cam.local/live", "rtsp://cam.local/live"),
        ("rtsp://me@cam.local:554/stream1", "rtsp://cam.local:554/stream1"),
        ("RTSP://ME:SECRET@CAM/live", "rtsp://CAM/live"),
        ("http://cam/capture.jpg?user=admin&pwd=x#frag", "http://cam/capture.jpg"),
        ("rtsp://cam/user=admin_password=x_channel=1.sdp", "rtsp://cam/..."),
        ("http://cam/onvif/admin:pw/live", "http://cam/.../live"),
        ("http://cam/cgi-bin/snapshot.cgi?p=1", "http://cam/.../snapshot.cgi"),
        ("rtsp://cam/Streaming/Channels/101", "rtsp://cam/.../..."),
        ("rtsp://cam/live/101", "rtsp://cam/.../..."),
        ("rtsp://cam/live/ch01", "rtsp://cam/.../ch01"),
        ("rtsps://10.0.0.7:7441/AbCdEf123456", "rtsps://10.0.0.7:7441/..."),
        ("http://cam/live/hunter22", "http://cam/.../..."),
        ("rtsp://a:b/c@cam/live", "rtsp://cam/live"),
        ("rtsp://a:b@c/d@cam/live", "rtsp://cam/live"),
        ("rtsp://a:b#c?d@cam/live", "rtsp://cam/live"),
        ("rtsp://a:1/2@10.0.0.7/live", "rtsp://..."),
        ("http://10.0.0.7:8080/x.cgi?mail=me@home.org", "http://10.0.0.7:8080/..."),
        ("http://cam.local/x.cgi?mail=me@home.org", "http://cam.local/..."),
        ("http://a:b@cam.local/x.cgi?mail=me@home.org", "http://cam.local/..."),
        ("http://a:b@[fe80::1%eth0]:81/live", "http://[fe80::1%eth0]:81/live"),
        ("http://a:b@[2001:db8::7]/live", "http://[2001:db8::7]/live"),
        ("http://cam", "http://cam"),
        ("http://cam/", "http://cam"),
        ("http://", "http://..."),
        ("http://a:b@", "http://..."),
        ("http://a:b@/live", "http://..."),
        ("http://a:b@cam:99999/live", "http://..."),
    ],
)
def test_fault_60_an_address_is_shown_as_host_and_a_word_of_its_path(
    source: str, expected: str
) -> None:
    assert shown(source) == expected


# Whatever is typed or pasted; a part of it shorter than four characters is in every address.
_ANYTHING = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=4)
_HOSTS = st.sampled_from(["192.0.2.7", "192.0.2.7:8554", "[2001:db8::7]:81"])


@given(_HOSTS, _ANYTHING, _ANYTHING, _ANYTHING, _ANYTHING)
@example("192.0.2.7", "admin", "8080/live", "a@b.cc/live", "a@b.cc")
def test_fault_60_nothing_of_user_password_query_or_fragment_is_ever_shown(
    host: str, user: str, password: str, query: str, fragment: str
) -> None:
    user = re.sub("[:/?#@]", "_", user)  # these can't stand in a user's name as they are
    text = shown(f"http://{user}:{password}@{host}/capture?{query}#{fragment}")
    assert text in (f"http://{host}/capture", "http://...")


@given(_ANYTHING, _ANYTHING)
def test_fault_60_nothing_of_a_password_in_the_path_is_ever_shown(word: str, key: str) -> None:
    path = f"user={word}_password={key}_channel=1"
    assert shown(f"rtsp://192.0.2.7/{path.replace('/', '').replace('@', '')}.sdp") in (
        "rtsp://192.0.2.7/...",
        "rtsp://192.0.2.7/",
        "rtsp://192.0.2.7",
    )


@given(st.text())
def test_whatever_stands_behind_the_scheme_is_an_address_or_a_camera_error(text: str) -> None:
    if shown(f"http://{text}") == "http://...":
        with pytest.raises(CameraError, match=re.escape("http://...: no host")):
            parse(f"http://{text}")
    else:
        address = parse(f"http://{text}")
        assert address.plain.isascii() or not address.host.isascii()
        assert "#" not in address.path
        assert shown(f"http://{text}").startswith(address.origin) or not address.host


@pytest.mark.parametrize(
    ("source", "user", "password", "full"),
    [
        ("rtsp://a:p@ss/w#r?d%@cam/x", "a", "p@ss/w#r?d%", "rtsp://a:p%40ss%2Fw%23r%3Fd%25@cam/x"),
        ("rtsp://a:p%40ss@cam/x", "a", "p@ss", "rtsp://a:p%40ss@cam/x"),
        ("rtsp://a:100%@cam/x", "a", "100%", "rtsp://a:100%25@cam/x"),
        ("rtsp://a:b:c@cam/x", "a", "b:c", "rtsp://a:b%3Ac@cam/x"),
        ("rtsp://a@cam/x", "a", "", "rtsp://a:@cam/x"),
        ("rtsp://a:ü ö@cam/x y", "a", "ü ö", "rtsp://a:%C3%BC%20%C3%B6@cam/x%20y"),
        ("rtsp://cam/x%20y", None, "", "rtsp://cam/x%20y"),
    ],
)
def test_fault_67_a_password_is_taken_as_it_is_or_percent_encoded_and_sent_encoded_once(
    source: str, user: str | None, password: str, full: str
) -> None:
    address = parse(source)
    assert (address.user, address.password, address.full) == (user, password, full)


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("http://cam.local:8554/admin:Secr3t@ss/live", "http://cam.local:8554"),
        ("http://home.local:1984/a.jpeg?src=rtsp://me:pw@192.168.1.5/s", "http://home.local:1984"),
        ("http://nas:8080/snap?url=http://u:pw@10.0.0.7/cgi", "http://nas:8080"),
        ("http://10.0.0.8:8080/http://u:pw@10.0.0.7/cgi", "http://10.0.0.8:8080"),
        ("http://cam.lan:88/videostream.cgi/me@x.de/live", "http://cam.lan:88"),
        ("http://mycam:81/stream?admin:p@ss", None),
        ("http://admin:8080/x@cam.local/live", None),
        ("http://jo.doe:8080/x@10.0.0.7/live", None),
        ("http://a:b@cam.local/x/me@x.de/live", None),
    ],
)
def test_fault_60_an_at_sign_behind_host_and_port_leads_to_no_other_host(
    source: str, origin: str | None
) -> None:
    if origin is not None:
        address = parse(source)
        assert (address.origin, address.user, address.password) == (origin, None, "")
        assert shown(source).startswith(origin)
        return
    assert shown(source) == "http://..."
    with pytest.raises(CameraError, match=r"no host can be told for sure.*%40.*%2F"):
        parse(source)


@pytest.mark.parametrize(
    ("source", "url", "expected"),
    [
        ("http://a:b@cam/x", "http://cam:80/y", True),
        ("http://a:b@cam/x", "https://cam/y", True),
        ("https://a:b@cam/x", "http://cam/y", False),
        ("http://a:b@cam/x", "http://cam:81/y", False),
        ("http://a:b@cam/x", "http://cam.evil/y", False),
        ("http://a:b@cam/x", "http://cam@evil/y", False),
        ("http://a:b@cam/x", "ftp://[::1", False),
    ],
)
def test_fault_60_a_password_is_for_the_host_and_port_it_was_given_for(
    source: str, url: str, *, expected: bool
) -> None:
    assert parse(source).is_asked(url) is expected


def _everything(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("name", ["capture", "stream", "missing", "denied", "page", "elsewhere"])
@pytest.mark.parametrize("form", [(), ("--json",), ("--check",), ("--check", "--json")])
def test_fault_60_no_output_holds_a_secret_of_the_address(
    name: str, form: tuple[str, ...], tmp_path: Path
) -> None:
    """Standard output and error, status file, day's log, each picture's comment, findings."""
    user, key = _SECRETS
    frames = [
        jpeg[: len(jpeg) // 2] if n == 1 else jpeg
        for n, jpeg in zip(range(9), noise(), strict=False)
    ]
    with MjpegServer(
        capture=Single(iter(frames)),
        stream=Stream(noise()),
        denied=Single(noise(), user=("somebody", "else")),
        page=Raw([b"<html>"], type="text/html"),
        elsewhere=Raw(status=302, type=None, headers={"Location": f"//u:{user}@[::1]:1/?p={key}"}),
    ) as server:
        source = server.url(name, f"{user}:{user}/{key}@x")
        result = run_camera(
            "--count 3 --interval 0.05",
            *form,
            source=f"{source}?user={user}&pwd={key}#{key}",
            out=tmp_path / "out",
            status_file=tmp_path / "status",
        )
    written = _everything(tmp_path)
    if name in ("capture", "stream") and "--check" not in form:
        assert result.returncode == 0
        assert written.count(b"127.0.0.1") > 3
    assert result.stdout + result.stderr
    for secret in _SECRETS:
        assert secret not in result.stdout + result.stderr
        assert secret.encode() not in written


def test_fault_60_an_address_may_stand_in_a_file_that_ps_does_not_show(tmp_path: Path) -> None:
    file = tmp_path / "address"
    with MjpegServer(capture=Single(noise(), user=("admin", "a b/c"))) as server:
        file.write_text(server.url("capture", "admin:a b/c") + "\n")
        result = run_camera("--count 1 --save none", source=f"@{file}")
    assert (result.returncode, result.stdout.count("\n")) == (0, 1)
    gone = run_module("edge.camera", "--source", f"@{tmp_path}/gone")
    assert gone.returncode == 2
    assert f"{tmp_path}/gone" in gone.stderr


@pytest.mark.parametrize("written", ["\ufeff{}\r\n\r\n", "\n{}", "--source\n{}\n\n", "{}"])
def test_fault_60_a_file_of_arguments_may_have_blank_lines_a_mark_and_any_line_ends(
    written: str, tmp_path: Path
) -> None:
    file = tmp_path / "address"
    with MjpegServer(capture=Single(noise(), user=("admin", "a b/c"))) as server:
        file.write_bytes(written.format(server.url("capture", "admin:a b/c")).encode())
        option = () if "--source" in written else ("--source",)
        result = run_module("edge.camera", *option, f"@{file}", "--count", "1", "--save", "none")
    assert (result.returncode, result.stdout.count("\n")) == (0, 1)


def test_fault_60_a_file_of_arguments_may_be_in_any_encoding(tmp_path: Path) -> None:
    file = tmp_path / "address"
    file.write_bytes(b"--source\nrtsp://me:p\xfcss@127.0.0.1:1/live\n")
    result = run_module("edge.camera", f"@{file}", "--count", "1", "--save", "none")
    assert result.returncode == 1
    assert "rtsp://127.0.0.1:1/live: nothing listens there" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("edge.camera", "--interval", "rtsp://hunter22:tok3n-99@cam/live"),
        ("edge.camera", "--save", "rtsp://hunter22:tok3n-99@cam/live"),
        ("edge.camera", "--size", "hunter22:tok3n-99@cam"),
        ("edge.camera", "--s=rtsp://hunter22:tok'3n-99@cam"),
        ("edge.run", "--threads", "rtsp://hunter22:tok3n-99@cam/live"),
        ("edge.run", "x.jpg", "--sorce=rtsp://hunter22:tok3n-99@cam/live"),
        ("edge.run", "--json", "rtsp://hunter22:tok3n-99@cam/live"),
        ("edge.run", "http://cam/live?p=tok3n-99&u=hunter22"),
    ],
)
def test_fault_60_an_address_in_the_wrong_place_is_not_repeated(arguments: tuple[str, ...]) -> None:
    result = run_module(*arguments)
    assert result.returncode == (1 if "--json" in arguments or len(arguments) == 2 else 2) or (
        "--s=" in arguments[1]
    )
    assert result.stderr + result.stdout
    assert not any(secret in result.stderr + result.stdout for secret in _SECRETS)
    if arguments[0] == "edge.run" and result.returncode == 1:
        assert "an address; python -m edge.camera --source takes" in result.stderr + result.stdout


def test_fault_60_ffmpeg_prints_no_address_whatever_it_is_told(tmp_path: Path) -> None:
    result = run_camera(
        "--source rtsp://hunter22:tok3n-99@127.0.0.1:1/live --save none",
        env={**os.environ, "OPENCV_FFMPEG_LOGLEVEL": "56", "OPENCV_FFMPEG_DEBUG": "1"},
    )
    assert "nothing listens there" in result.stderr
    assert not any(secret in result.stderr + result.stdout for secret in _SECRETS)


def test_fault_60_an_address_without_its_option_is_not_repeated() -> None:
    for arguments in (["http://hunter22:tok3n-99@cam/"], ["--surce=http://hunter22:tok3n-99@cam/"]):
        result = run_module("edge.camera", *arguments)
        assert result.returncode == 2
        assert "--s" in result.stderr.splitlines()[-1]
        assert not any(secret in result.stderr for secret in _SECRETS)


@pytest.mark.parametrize(
    "source",
    [
        "rtsp://127.0.0.1:1/user=hunter22_password=tok3n-99_channel=1.sdp",
        "rtsp://hunter22:tok3n-99@127.0.0.1:1/live?tok3n-99",
        "rtmp://127.0.0.1/live/hunter22?tok3n-99",
        "hunter22:tok3n-99@127.0.0.1/live",
        "rtspsrc location=rtsp://hunter22:tok3n-99@cam/live ! decodebin",
        "127.0.0.1:554/live?pwd=tok3n-99",
        "http://hunter22:tok3n-99",
        "192.168.1.20/live/hunter22",
        "hunter22:tok3n-99",
        "cam.local/videostream/hunter22",
        "rtsp.//192.168.1.5/hunter22",
        "//192.168.1.5/hunter22",
        "tcp/192.168.1.5/hunter22",
        "http:///hunter22:tok3n-99@",
    ],
)
def test_fault_60_no_message_about_a_source_that_fails_holds_a_secret(source: str) -> None:
    with pytest.raises(CameraError) as caught:
        _open(source).open()
    assert not any(secret in str(caught.value) for secret in _SECRETS)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("v4l2src ! videoconvert ! appsink", "GStreamer pipeline"),
        ("libcamerasrc", "GStreamer pipeline"),
        ("img_%03d.png", "img_%03d.png: a pattern isn't taken: give the folder"),
        ("pictures/*.jpg", "a pattern isn't taken: give the folder"),
        ("192.168.1.5:8554", "needs its scheme: rtsp://"),
        ("192.168.1.5", "needs its scheme: rtsp://"),
        ("cam.local:554/live", "needs its scheme: rtsp://"),
        ("[::1]:554", "needs its scheme: rtsp://"),
        ("udp://239.0.0.1:1234", "udp://239.0.0.1:1234: no camera's address"),
        ("rtmp://cam/live", "rtmp://cam/live: no camera's address"),
        ("file:///home/me/film.mp4", "no camera's address"),
        ("csi", "a Raspberry Pi's own is picamera2"),
        ("picamera", "a Raspberry Pi's own is picamera2"),
        ("usb", "usb: no camera, file or folder of this name"),
        ("-1", "-1: no camera"),
        ("", "no camera"),
        ("flim.mp4", "flim.mp4: no camera, file or folder"),
    ],
)
def test_fault_67_a_source_that_is_no_camera_is_answered_with_what_is_taken(
    source: str, expected: str
) -> None:
    with pytest.raises(CameraError) as caught:
        _open(source)
    text = str(caught.value)
    assert expected in text
    assert text.isprintable()
    for taken in ("/dev/video0", "/dev/v4l/by-id/", "rtsp://", "http://", "picamera2", "folder"):
        assert taken in text


@pytest.mark.parametrize(
    ("source", "fix"), [("csi://0", "--source picamera2"), ("rtspx://cam:7441/x", "rtsps://")]
)
def test_fault_67_an_address_of_another_program_is_answered_with_ours(
    source: str, fix: str
) -> None:
    with pytest.raises(CameraError, match=f"no camera's address: use {fix}$"):
        _open(source)


def test_a_picture_as_the_source_is_answered_with_its_folder_or_edge_run() -> None:
    with pytest.raises(CameraError, match=r"a picture, not a camera.*edge\.run.*folder"):
        _open(str(SAMPLES[0]))


def test_a_source_that_is_no_camera_is_a_finding_of_check() -> None:
    result = run_camera("--check --json --source usb --save none")
    findings = json.loads(result.stdout)["findings"]
    assert (result.returncode, result.stderr) == (1, "")
    assert [each["level"] for each in findings] == ["failed", "ok", "ok"]
    assert "picamera2" in findings[0]["fix"]


def test_a_device_is_named_by_number_or_path() -> None:
    assert _open("3").name == "/dev/video3"
    assert _open("/dev/video3").name == "/dev/video3"
    assert _open("/dev/v4l/by-id/usb-x-video-index0").name == "/dev/v4l/by-id/usb-x-video-index0"


def test_fault_67_a_usb_camera_that_changed_its_number_is_answered_with_names_that_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    webcam = "/dev/v4l/by-id/usb-046d_C270-video-index0"
    there = [
        video.Camera("/dev/video2", "C270", csi=False, lasting=webcam),
        video.Camera("/dev/video3", "unicam", csi=True, lasting=None),
    ]
    monkeypatch.setattr(video, "cameras", lambda: there)
    with pytest.raises(
        CameraError, match=rf"no such camera: .*cameras: {re.escape(webcam)}, picamera2$"
    ):
        OpenCVCamera("/dev/video97").open()


def test_a_link_to_a_device_is_followed_to_it_at_each_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def capture(path: str, _backend: int) -> Any:
        opened.append(path)
        return SimpleNamespace(isOpened=lambda: True, release=lambda: None)

    monkeypatch.setattr(cv2, "VideoCapture", capture)
    link = tmp_path / "by-id"
    camera = OpenCVCamera(str(link))
    for target in ("/dev/null", "/dev/zero"):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        camera.open()
        camera.close()
    assert opened == ["/dev/null", "/dev/zero"]
    assert camera.name == str(link)


def test_fault_68_a_csi_camera_opened_as_a_device_is_answered_with_picamera2(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(video, "is_csi", lambda device: device == "/dev/null")
    with pytest.raises(CameraError, match=r"a CSI camera.*: use --source picamera2"):
        OpenCVCamera("/dev/null").open()


def test_fault_59_a_devices_frame_that_opencv_cannot_decode_is_damaged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    camera = OpenCVCamera("/dev/video0")
    camera._capture = SimpleNamespace(retrieve=lambda: (False, None))  # type: ignore[assignment]
    with pytest.raises(ValueError, match="damaged or cut short"):
        camera.retrieve()
