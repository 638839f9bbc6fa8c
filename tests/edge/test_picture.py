"""A picture is decoded whole and upright, or refused with a reason: FAULTS 1 to 15."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import Analyzer, PictureError, decode, read_picture
from edge.files import read_bounded
from edge.picture.decode import check_image, read_bytes
from tests.support.pictures import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


def png(width: int, height: int, rows: bytes, colour_type: int = 0, extra: bytes = b"") -> bytes:
    header = struct.pack(">2L5B", width, height, 8, colour_type, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + extra + png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + png_chunk(b"IEND", b"")


def jpeg(image: NDArray[np.uint8], *parameters: int) -> bytes:
    return cv2.imencode(".jpg", image, parameters)[1].tobytes()


def test_fault_01_a_missing_file_is_named(tmp_path: Path) -> None:
    """FAULTS 1."""
    with pytest.raises(PictureError, match=r"nowhere\.jpg: can't be read: No such file"):
        read_picture(tmp_path / "nowhere.jpg")


def test_fault_01_a_folder_is_no_picture(tmp_path: Path) -> None:
    """FAULTS 1."""
    with pytest.raises(PictureError, match="is a folder"):
        read_picture(tmp_path)


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), OSError(5, "I/O error")]
)
def test_fault_01_a_file_that_cant_be_read_is_named_with_the_reason(
    error: OSError, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 1: what the system answers, since root may read everything."""

    def refuse(*_: object) -> int:
        raise error

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PictureError, match=rf"{sample.name}: can't be read: {error.strerror}"):
        read_picture(sample)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html></html>", "HTML or XML"),
        (b"\n  <html>", "HTML or XML"),
        (bytes(1000), "not a JPEG or PNG"),
        (b"\xff\xd8\xff", "header is not whole"),
        (b"\x89PNG\r\n\x1a\n", "header is not whole"),
    ],
)
def test_fault_02_what_is_no_picture_is_refused_by_its_kind(data: bytes, reason: str) -> None:
    """FAULTS 2."""
    with pytest.raises(PictureError, match=rf"thing\.jpg: .*{reason}"):
        decode(data, "thing.jpg")


@pytest.mark.parametrize("suffix", [".tiff", ".gif", ".bmp", ".webp", ".hdr", ".ppm", ".jp2"])
def test_fault_10_what_opencv_could_read_but_is_no_jpeg_or_png_is_refused(
    suffix: str, scene: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 10: real files; OpenCV's other decoders see none of them."""
    image = scene.astype(np.float32) if suffix == ".hdr" else scene
    data = cv2.imencode(suffix, image)[1].tobytes()
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(PictureError, match="not a JPEG or PNG"):
        decode(data, "picture.jpg")


@pytest.mark.parametrize(
    ("data", "kind"), [(b"II*\x00", "TIFF"), (b"GIF89a", "GIF"), (b"v/1\x01", "OpenEXR")]
)
def test_fault_10_the_error_names_the_kind(data: bytes, kind: str) -> None:
    """FAULTS 10."""
    with pytest.raises(PictureError, match=f"{kind} picture, not a JPEG or PNG"):
        decode(data + bytes(50), "picture.jpg")


@pytest.mark.parametrize("path", SAMPLES[:3], ids=lambda path: path.stem)
def test_fault_03_a_cut_jpeg_is_refused(path: Path) -> None:
    """FAULTS 3: at 700 bytes, at half, and without its last two bytes."""
    data = path.read_bytes()
    for length in (700, len(data) // 2, len(data) - 2):
        with pytest.raises(PictureError):
            decode(data[:length], path.name)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_fault_04_a_cut_jpeg_with_its_end_mark_put_back_is_flagged(
    path: Path, int8_analyzer: Analyzer
) -> None:
    """FAULTS 4: decoders fill what is missing with one colour.  None of it is passed as whole."""
    data = path.read_bytes()
    for share in (0.3, 0.5, 0.8):
        try:
            picture = decode(data[: int(len(data) * share)] + b"\xff\xd9", "cut.jpg")
        except PictureError as error:
            assert "damaged or cut short" in str(error)  # noqa: PT017 - refusing it is as good
        else:
            assert any("may be damaged" in warning for warning in picture.warnings)
            analysis = int8_analyzer.analyze(picture)
            assert analysis.warnings == picture.warnings
            assert 0.0 <= analysis.probability <= 1.0


def test_fault_04_a_damaged_scan_gives_a_finite_score(
    sample: Path, int8_analyzer: Analyzer
) -> None:
    """FAULTS 4: 200 bytes zeroed, anywhere in the scan."""
    whole = sample.read_bytes()
    scan, answers = whole.index(b"\xff\xda") + 14, 0
    for start in range(scan, len(whole) - 202, (len(whole) - scan) // 20):
        damaged = whole[:start] + bytes(200) + whole[start + 200 :]
        try:
            picture = decode(damaged, "damaged.jpg")
        except PictureError as error:
            assert "damaged or cut short" in str(error)  # noqa: PT017
        else:
            answers += 1
            assert 0.0 <= int8_analyzer.analyze(picture).probability <= 1.0
    assert answers, "the decoder refused all, so nothing was tested"


def test_whole_pictures_are_not_flagged() -> None:
    for path in SAMPLES:
        # Black bars at the bottom, as ISIC_0000169 has, may well be flagged; whole ones not.
        if path.stem != "ISIC_0000169":
            assert read_picture(path).warnings == ()


def test_fault_05_a_cut_png_and_one_without_its_end_are_refused(scene: NDArray[np.uint8]) -> None:
    """FAULTS 5."""
    data = cv2.imencode(".png", scene)[1].tobytes()
    for length in (len(data) - 12, len(data) - 1, len(data) // 2, 60):
        with pytest.raises(PictureError):
            decode(data[:length], "cut.png")


def test_fault_06_a_picture_that_unpacks_to_gigabytes_is_refused_before_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """FAULTS 6: OpenCV must not even see it."""
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    bomb = png(20000, 20000, bytes(20001 * 20000))
    assert len(bomb) < 400_000
    with pytest.raises(PictureError, match="20000 x 20000"):
        decode(bomb, "bomb.png")


def test_fault_07_a_png_of_impossible_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULTS 7: from its header, and by an error of ours."""
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    for width, height in ((40000, 40000), (0, 10), (10, 0), (2**31, 2**31)):
        with pytest.raises(PictureError, match=f"{width} x {height}"):
            decode(png(width, height, b""), "odd.png")


def test_fault_07_a_jpeg_of_40000_by_40000_is_refused(scene: NDArray[np.uint8]) -> None:
    """FAULTS 7."""
    data = bytearray(jpeg(scene))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">2H", 40000, 40000)
    with pytest.raises(PictureError, match="40000 x 40000"):
        decode(bytes(data), "huge.jpg")


def test_fault_08_no_more_than_the_cap_is_read(tmp_path: Path) -> None:
    """FAULTS 8."""
    path = tmp_path / "large.jpg"
    path.write_bytes(bytes(1001))
    assert len(read_bytes(path, max_bytes=1001)) == 1001
    with pytest.raises(PictureError, match="limit of 1000 bytes"):
        read_bytes(path, max_bytes=1000)

    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            self.taken += size
            return bytes(size)

    endless = Endless()
    assert read_bounded(endless, 5_000_000) is None  # type: ignore[arg-type]
    assert endless.taken == 5_000_001


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_fault_08_a_fifo_and_an_endless_device_are_refused_at_once(tmp_path: Path) -> None:
    """FAULTS 8: a FIFO without a writer must not hang."""
    fifo = tmp_path / "fifo.jpg"
    os.mkfifo(fifo)
    for path in (fifo, Path("/dev/zero")):
        with pytest.raises(PictureError, match="not an ordinary file"):
            read_picture(path)


def test_fault_09_a_jpeg_of_very_many_scans_is_refused(scene: NDArray[np.uint8]) -> None:
    """FAULTS 9: each scan costs a pass over the whole picture."""
    data = jpeg(scene, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert decode(data, "progressive.jpg").image_bgr.shape == scene.shape
    start = data.rindex(b"\xff\xda")
    with pytest.raises(PictureError, match="scans"):
        decode(data[:start] + data[start:-2] * 200 + data[-2:], "scans.jpg")


def test_fault_10_a_jpeg_by_another_name_is_decoded(tmp_path: Path, sample: Path) -> None:
    """FAULTS 10."""
    path = tmp_path / "really-a-jpeg.png"
    path.write_bytes(sample.read_bytes())
    assert (read_picture(path).image_bgr == read_picture(sample).image_bgr).all()


def exif(orientation: int) -> bytes:
    entry = struct.pack(">2HLHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM\x00*\x00\x00\x00\x08" + struct.pack(">H", 1) + entry + bytes(4)
    body = b"Exif\x00\x00" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


# Exif 2.32, tag 0x0112: how the stored picture must be turned to stand upright.
UPRIGHT: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_fault_11_every_exif_orientation_gives_the_upright_picture(
    orientation: int, scene: NDArray[np.uint8]
) -> None:
    """FAULTS 11: the same pixels as the stored ones, turned by the standard's rule."""
    data = jpeg(scene, cv2.IMWRITE_JPEG_QUALITY, 95)
    stored = decode(data, "stored.jpg").image_bgr
    turned = decode(data[:2] + exif(orientation) + data[2:], "turned.jpg").image_bgr
    assert (turned == UPRIGHT[orientation](stored)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_fault_11_every_exif_orientation_gives_the_same_boxes_and_score(
    orientation: int, int8_analyzer: Analyzer
) -> None:
    """FAULTS 11: one upright picture, stored in each of the eight ways.

    Of blocks of 8 x 8 pixels in one gray each, with 4:4:4 sampling, turned they are the same JPEG
    blocks, so nothing of the decoded picture may differ.
    """
    mosaic = np.full((24, 40), 200, np.uint8)
    mosaic[5:15, 10:22] = 60
    mosaic[17:20, 28:36] = 90
    upright = mosaic.repeat(8, axis=0).repeat(8, axis=1)[..., None].repeat(3, axis=2)
    # The way back of a quarter turn is the other one; the others are their own.
    stored = UPRIGHT[{6: 8, 8: 6}.get(orientation, orientation)](upright)
    encoded = jpeg(
        np.ascontiguousarray(stored),
        cv2.IMWRITE_JPEG_QUALITY,
        100,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        0x111111,
    )
    picture = decode(encoded[:2] + exif(orientation) + encoded[2:], "turned.jpg")
    assert (picture.image_bgr == upright).all()
    expected, found = int8_analyzer.analyze(upright), int8_analyzer.analyze(picture)
    assert len(expected.regions) == 2
    assert found.regions == expected.regions
    assert found.probability == expected.probability


def test_fault_12_gray_16_bit_palette_and_alpha_become_bgr_bytes(
    save_picture: Callable[..., Path],
) -> None:
    """FAULTS 12: golden pixels, written by hand."""
    gray = save_picture(np.array([[0, 100, 255]], np.uint8), "gray.png")
    assert read_picture(gray).image_bgr.tolist() == [[[0] * 3, [100] * 3, [255] * 3]]
    deep = save_picture(np.array([[[0x1234, 0x8000, 0xFFFF]]], np.uint16), "deep.png")
    assert read_picture(deep).image_bgr.tolist() == [[[0x12, 0x80, 0xFF]]]
    clear = save_picture(np.array([[[10, 20, 30, 0], [40, 50, 60, 255]]], np.uint8), "alpha.png")
    assert read_picture(clear).image_bgr.tolist() == [[[10, 20, 30], [40, 50, 60]]]
    palette = png_chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255]))
    indexed = png(3, 1, bytes([0, 0, 1, 2]), colour_type=3, extra=palette)
    assert decode(indexed).image_bgr.tolist() == [[[0, 0, 255], [0, 255, 0], [255, 0, 0]]]


def test_fault_12_a_cmyk_jpeg_becomes_bgr_bytes() -> None:
    """FAULTS 12: one 8 x 8 block of four components, each its DC value only, assembled by hand.

    Adobe's inverted CMYK: a stored 255 is no ink.  C, M, Y, K of 255, 128, 128, 255 is white
    paper with half magenta and half yellow.
    """
    data = cmyk_jpeg((127, 0, 0, 127))
    picture = decode(data, "cmyk.jpg").image_bgr
    assert picture.shape == (8, 8, 3)
    blue, green, red = picture[4, 4].tolist()
    assert red == pytest.approx(255, abs=3)
    assert green == pytest.approx(128, abs=3)
    assert blue == pytest.approx(128, abs=3)


def cmyk_jpeg(levels: tuple[int, int, int, int]) -> bytes:
    """Return a baseline JPEG, 8 x 8, four components; ``levels`` are samples less 128."""

    def segment(marker: int, body: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body

    # A DC table of 12 categories, all of 4 bits, and an AC table with only end-of-block (0).
    dc = bytes([0x00, 0, 0, 0, 12, *[0] * 12, *range(12)])
    ac = bytes([0x10, 1, *[0] * 15, 0])
    bits = ""
    for level in levels:
        value = level * 8  # a block of one value has 8 times it as its DC; quantiser step 1
        size = abs(value).bit_length()
        amplitude = value if value >= 0 else value + (1 << size) - 1
        bits += f"{size:04b}" + (f"{amplitude:0{size}b}" if size else "") + "0"
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
    components = b"".join(bytes([number, 0x11, 0]) for number in range(1, 5))
    return (
        b"\xff\xd8"
        + segment(0xEE, b"Adobe" + struct.pack(">3HB", 100, 0, 0, 0))
        + segment(0xDB, bytes([0, *[1] * 64]))
        + segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 4) + components)
        + segment(0xC4, dc)
        + segment(0xC4, ac)
        + segment(0xDA, bytes([4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]))
        + scan
        + b"\xff\xd9"
    )


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("shape", [(1, 1), (700, 500)])
def test_fault_13_a_blank_picture_has_an_answer_and_no_region(
    value: int, shape: tuple[int, int], int8_analyzer: Analyzer
) -> None:
    """FAULTS 13."""
    analysis = int8_analyzer.analyze(np.full((*shape, 3), value, np.uint8))
    assert analysis.regions == ()
    assert 0.0 <= analysis.probability <= 1.0


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((5, 5, 3), np.float32),
        np.full((5, 5, 3), np.nan),
        np.zeros((5, 5), np.uint8),
        np.zeros((5, 5, 4), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((1, 5, 5, 3), np.uint8),
        [[1, 2, 3]],
        None,
    ],
)
def test_fault_14_what_is_no_picture_array_is_refused(
    image: object, int8_analyzer: Analyzer
) -> None:
    """FAULTS 14: a ValueError that states expected and actual."""
    with pytest.raises(ValueError, match=r"expected .*got"):
        int8_analyzer.analyze(image)  # type: ignore[arg-type]


def test_fault_14_read_only_and_strided_arrays_are_taken(
    scene: NDArray[np.uint8], int8_analyzer: Analyzer
) -> None:
    """FAULTS 14: neither changed nor refused."""
    expected = int8_analyzer.analyze(scene).probability
    strided = np.repeat(scene, 2, axis=1)[:, ::2]
    assert not strided.flags.c_contiguous
    frozen = scene.copy()
    frozen.flags.writeable = False
    flipped = np.ascontiguousarray(scene[:, ::-1])[:, ::-1]
    for image in (strided, frozen, flipped):
        analysis = int8_analyzer.analyze(image)
        assert analysis.probability == expected
    assert check_image(frozen) is frozen, "a fitting array is passed on without a copy"


@settings(max_examples=200)
@given(st.data())
def test_any_damage_gives_a_picture_or_a_picture_error(data: st.DataObject) -> None:
    """Never a crash, a raw cv2.error or another exception."""
    source = data.draw(st.sampled_from([jpeg(_SCENE), _SCENE_PNG, cmyk_jpeg((5, -90, 17, 100))]))
    damaged = bytearray(source)
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    for content in (bytes(damaged), bytes(damaged[:cut]), bytes(damaged[cut:])):
        try:
            image = decode(content, "fuzzed").image_bgr
        except PictureError as error:
            assert str(error).startswith("fuzzed: ")  # noqa: PT017
        else:
            assert image.dtype == np.uint8
            assert image.ndim == 3


_SCENE = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)
_SCENE_PNG = cv2.imencode(".png", _SCENE)[1].tobytes()
