"""What a picture or a model may ask of the machine: its memory, its time, the length of a line."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from unittest import mock

import cv2
import numpy as np
import pytest

from edge import Analyzer, ModelError, PictureError, annotate, decode
from edge.drawing import save_annotated
from edge.errors import OutputError, shown
from edge.model.contract import parse_contract
from edge.model.file import MAX_CONTRACT_BYTES, pack, unpack
from edge.parallel import side_by_side
from edge.picture.limits import MAX_PIXELS, MAX_SCANNED_PIXELS
from tests.support.pictures import MODELS, ROOT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def run_python(code: str, *arguments: str) -> str:
    # A command that a test ran in this process has set it for all of them.
    env = {key: value for key, value in os.environ.items() if key != "OPENCV_IO_MAX_IMAGE_PIXELS"}
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


# A PNG whose header says 10,000 x 10,000, handed to OpenCV behind the package's back.
PAST_THE_HEADER_CHECK = """
import struct, sys, zlib
import edge
{first}
import cv2, numpy as np
chunk = lambda kind, body: struct.pack(">L", len(body)) + kind + body + struct.pack(
    ">L", zlib.crc32(kind + body))
header = struct.pack(">2L5B", 10_000, 10_000, 8, 0, 0, 0, 0)
rows = zlib.compress(bytes(10_001 * 10_000))
chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
data = b"\\x89PNG\\r\\n\\x1a\\n" + b"".join(chunk(*each) for each in chunks)
try:
    print(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape)
except cv2.error as error:
    print("refused", "CV_IO_MAX_IMAGE_PIXELS" in str(error))
"""


def test_a_command_lowers_opencvs_own_limit_and_a_library_leaves_it() -> None:
    """The second line of defence."""
    command = "from edge.cli import command; command.run('x', lambda: 0)"
    assert run_python(PAST_THE_HEADER_CHECK.format(first=command)) == "refused True\n"
    library = "edge.Analyzer"
    assert run_python(PAST_THE_HEADER_CHECK.format(first=library)) == "(10000, 10000, 3)\n"


def test_the_limit_is_set_before_a_command_loads_opencv(tmp_path: Path) -> None:
    """As a user starts it: what OpenCV finds in the environment while it is loaded."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "class Spy:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'cv2':\n"
        "            print(os.environ.get('OPENCV_IO_MAX_IMAGE_PIXELS'), file=sys.stderr)\n"
        "sys.meta_path.insert(0, Spy())\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "edge.run", str(SAMPLES[0])],
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(MAX_PIXELS) in result.stderr.split()
    assert "None" not in result.stderr.split()


# The child's limit is on address space; what it has at the start depends on the libraries.
TIGHT = """
import resource, sys
import cv2, numpy as np
cv2.setNumThreads(1)
from edge import Analyzer, PictureError, decode
analyzer = Analyzer(threads=1)
picture = cv2.imencode(sys.argv[1], np.zeros((6000, 6000, 3), np.uint8))[1].tobytes()
image = np.zeros((6000, 6000, 3), np.uint8)
with open("/proc/self/statm") as file:
    pages = int(file.read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, [pages * resource.getpagesize() + int(sys.argv[2])] * 2)
for step in (lambda: decode(picture, "big"), lambda: analyzer.analyze(image)):
    try:
        print(type(step()).__name__)
    except PictureError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS and /proc")
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_too_large_for_the_free_memory_is_an_error_that_says_so(suffix: str) -> None:
    """36 megapixels: 108 MB decoded, gray, blurred and masked another 108."""
    lacks = "too large for the memory that is free"
    assert run_python(TIGHT, suffix, str(20 << 20)).splitlines() == [
        f"big: {lacks}",
        f"picture: {lacks}",
    ]
    assert run_python(TIGHT, suffix, str(900 << 20)).splitlines() == ["Picture", "Analysis"]


def test_what_opencv_cant_work_on_is_an_error_of_ours(
    scene: NDArray[np.uint8], int8_analyzer: Analyzer, tmp_path: Path
) -> None:
    analysis = int8_analyzer.analyze(scene)
    with mock.patch.object(cv2, "GaussianBlur", side_effect=cv2.error("two\nlines")):
        with pytest.raises(PictureError, match="OpenCV can't work on it: two lines"):
            int8_analyzer.analyze(scene)
        (result,) = int8_analyzer.analyze_many([scene])
        assert isinstance(result[1], PictureError)
    for error in (cv2.error("no"), MemoryError("no")):
        with (
            mock.patch.object(cv2, "imencode", side_effect=error),
            pytest.raises(OutputError, match=r"out\.jpg: can't be drawn: no"),
        ):
            save_annotated(str(tmp_path / "out.jpg"), scene, analysis)
    with (
        mock.patch.object(cv2, "imencode", return_value=(False, ())),
        pytest.raises(OutputError, match=r"out\.jpg: can't be made a JPEG"),
    ):
        save_annotated(str(tmp_path / "out.jpg"), scene, analysis)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(1, 1_000_000), (1_000_000, 1), (1, 30_000), (20_000, 100)])
def test_an_annotated_strip_is_small_enough_to_make_and_to_write(
    shape: tuple[int, int], int8_analyzer: Analyzer
) -> None:
    """A caption as wide as a strip of a million pixels would take 456 GB."""
    image = np.full((*shape, 3), 200, np.uint8)
    drawn = annotate(image, int8_analyzer.analyze(image))
    assert max(drawn.shape[:2]) < 20_000
    assert drawn.nbytes < 200_000_000
    assert cv2.imencode(".jpg", drawn)[0]


def test_without_a_further_thread_the_two_calls_still_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert side_by_side(lambda: 1, lambda: 2) == (1, 2)


def with_size(data: bytes, width: int, height: int, marker: bytes = b"\xff\xc2") -> bytes:
    """Return a JPEG whose header claims another size; 0xC2 is a progressive one's."""
    changed = bytearray(data)
    frame = data.index(marker)
    changed[frame + 5 : frame + 9] = struct.pack(">2H", height, width)
    return bytes(changed)


def test_fault_09_scans_times_pixels_are_bounded_before_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A small file that asks for 30 passes over 64 megapixels; as many over fewer are taken."""
    blank = np.zeros((500, 500, 3), np.uint8)
    small = cv2.imencode(".jpg", blank, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    data = with_size(small, 8000, 8000)
    # As large as a picture of that size has to be.
    data = data[:2] + (b"\xff\xfe\xff\xff" + bytes(65533)) + data[2:]
    last = data.rindex(b"\xff\xda")
    slow = data[:last] + data[last:-2] * 21 + data[-2:]
    scans = slow.count(b"\xff\xda")
    assert scans * 64_000_000 > MAX_SCANNED_PIXELS
    real = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(PictureError, match=rf"8000 x 8000 in {scans} scans would take too long"):
        decode(slow, "slow.jpg")
    monkeypatch.setattr(cv2, "imdecode", real)
    assert decode(with_size(slow, 500, 500), "smaller.jpg").size_wh == (500, 500)


@pytest.mark.parametrize("marker", [b"\xff\xc0", b"\xff\xc2"])
def test_fault_09_a_jpeg_too_short_for_its_pixels_is_refused_before_decoding(
    marker: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """519 bytes that would have cost a second and 200 MB, filled with gray."""
    progressive = int(marker == b"\xff\xc2")
    blank = np.zeros((16, 16, 3), np.uint8)
    data = cv2.imencode(".jpg", blank, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(PictureError, match=rf"{len(data)} bytes can't hold the 8000 x 8000 pixels"):
        decode(with_size(data, 8000, 8000, marker), "short.jpg")


@pytest.mark.parametrize("progressive", [0, 1])
@pytest.mark.parametrize("gray", [False, True])
def test_the_emptiest_whole_jpeg_is_long_enough_for_its_pixels(
    progressive: int,
    gray: bool,  # noqa: FBT001
) -> None:
    """The bound is the standard's, with a margin of four."""
    shape = (4000, 4000) if gray else (4000, 4000, 3)
    how = [
        cv2.IMWRITE_JPEG_PROGRESSIVE,
        progressive,
        cv2.IMWRITE_JPEG_QUALITY,
        1,
        cv2.IMWRITE_JPEG_OPTIMIZE,
        1,
    ]
    data = cv2.imencode(".jpg", np.full(shape, 128, np.uint8), how)[1].tobytes()
    assert len(data) * 2048 > 4 * 4000 * 4000
    assert decode(data).size_wh == (4000, 4000)


@pytest.fixture(scope="module")
def parts() -> tuple[bytes, dict[str, Any]]:
    return unpack(MODELS["int8"].read_bytes(), "model")


@pytest.mark.parametrize("text", ["a\nb", "\x1b[2J", "\ud800", "x" * 201, "", "\u202ebenign"])
@pytest.mark.parametrize("key", ["name", "variant", "labels"])
def test_a_contracts_texts_are_short_printable_lines(
    key: str, text: str, parts: tuple[bytes, dict[str, Any]]
) -> None:
    """They go to terminals, logs and pictures: a label must not clear the screen or turn round."""
    document = {**parts[1], key: ["benign", text] if key == "labels" else text}
    with pytest.raises(ModelError, match=f"{key} must be") as caught:
        parse_contract(document, "model")
    assert str(caught.value).isprintable()


def test_an_error_shows_no_more_of_a_value_than_a_line() -> None:
    for value in ("x" * 10**6, list(range(10**6)), {"a": "x" * 10**6}, 10**4000):
        assert len(shown(value)) <= 80
    assert shown("RGB") == "'RGB'"


def test_a_contract_over_the_limit_is_refused_before_it_is_parsed(
    parts: tuple[bytes, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {**parts[1], "padding": "x" * MAX_CONTRACT_BYTES}
    data = pack(parts[0], json.dumps(document).encode())
    monkeypatch.setattr(json, "loads", lambda _: pytest.fail("it was parsed"))
    with pytest.raises(ModelError, match=f"larger than the limit of {MAX_CONTRACT_BYTES} bytes"):
        unpack(data, "model")
