"""A header is read along the picture's own structure, and as far as its end: FAULTS 61 to 63.

What a picture decodes to with bytes around its parts is what OpenCV decodes it to without them.
"""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import PictureError, decode
from edge.picture.header import read_header
from edge.picture.limits import MAX_PARTS

from .test_picture import UPRIGHT, cmyk_jpeg, exif, jpeg, png, png_chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

RNG = np.random.default_rng(61)
SCENE = cv2.GaussianBlur(RNG.integers(0, 256, (48, 64, 3), np.uint8), (5, 5), 0)
PLAIN = jpeg(SCENE)  # type: ignore[arg-type] # OpenCV's types don't say uint8
PROGRESSIVE = jpeg(SCENE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)  # type: ignore[arg-type]
RESTARTS = jpeg(SCENE, cv2.IMWRITE_JPEG_RST_INTERVAL, 2)  # type: ignore[arg-type]
JPEGS = {"plain": PLAIN, "progressive": PROGRESSIVE, "restarts": RESTARTS}
PNG = cv2.imencode(".png", SCENE)[1].tobytes()
PNG_HEADER_END = 33  # signature 8, IHDR 12 + 13
IEND = b"\x00\x00\x00\x00IEND\xaeB`\x82"


def pixels(data: bytes) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image  # type: ignore[return-value]


def boundaries(data: bytes) -> list[int]:
    """Return where the segments up to the first scan begin, and where the end marker stands."""
    found, position = [], 2
    while data[position + 1] != 0xDA:
        found.append(position)
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return [*found, position, len(data) - 2]


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def assert_same(data: bytes, original: bytes) -> None:
    picture = decode(data, "odd.jpg")
    assert (picture.image_bgr == pixels(original)).all()
    assert picture.warnings == ()


VIDEO = b"\x00\x00\x00\x18ftypmp42" + bytes(8) + b"mdat" + b"\xff\xda\x00\x08" * 500 + b"\xff\xd9"


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize(
    "behind",
    [VIDEO, bytes(4096), PLAIN, b"SEFH" + bytes(20), b"\r\n", b"\xff", b"\xff\xda" * 200],
    ids=["video", "zeros", "second picture", "maker's block", "line end", "ff", "scans"],
)
def test_fault_61_what_stands_behind_a_jpeg_changes_nothing(kind: str, behind: bytes) -> None:
    """FAULTS 61: motion photos, MPO, files padded to the size of a block."""
    assert_same(JPEGS[kind] + behind, JPEGS[kind])


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize(
    "between", [bytes(4), b"\xff" * 30, b"abc", b"\x00\xff\x00\r\n", b"\xff\xd0"]
)
def test_fault_61_bytes_between_segments_change_nothing(kind: str, between: bytes) -> None:
    """FAULTS 61: some cameras write them, and fill bytes are in the standard (T.81, B.1.1.2)."""
    data = JPEGS[kind]
    for place in boundaries(data):
        # The first two bytes behind the start are looked at by OpenCV to know a JPEG.
        if place > 2 or between.startswith(b"\xff"):
            assert_same(data[:place] + between + data[place:], data)


def test_fault_61_a_turned_picture_with_bytes_between_is_upright() -> None:
    """FAULTS 61."""
    data = PLAIN[:2] + exif(6) + bytes(3) + PLAIN[2:]
    assert (decode(data).image_bgr == UPRIGHT[6](pixels(PLAIN))).all()


def test_fault_61_a_thumbnail_inside_counts_for_nothing() -> None:
    """FAULTS 61: neither its size, nor its scans, nor its end."""
    thumbnail = jpeg(np.zeros((9, 9, 3), np.uint8)) + b"\xff\xda" * 150
    data = PLAIN[:2] + segment(0xE1, b"Exif\x00\x00" + thumbnail) + PLAIN[2:]
    assert_same(data, PLAIN)
    assert decode(data).size_wh == (64, 48)
    for end in (len(data) - 2, len(data) - 1, len(data) - 100, 2 + 10 + len(thumbnail)):
        with pytest.raises(PictureError):
            decode(data[:end])


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("behind", [VIDEO, bytes(8192), b""], ids=["video", "zeros", "nothing"])
def test_fault_03_a_jpeg_cut_anywhere_is_refused_whatever_follows(kind: str, behind: bytes) -> None:
    """FAULTS 3: a motion photo cut in its picture; a file whose last blocks were never written."""
    data = JPEGS[kind]
    for end in range(3, len(data) - 1, 7):
        with pytest.raises(PictureError):
            decode(data[:end] + behind.replace(b"\xff\xd9", b""), "cut.jpg")
    with pytest.raises(PictureError, match=r"cut short|scans"):
        decode(data[:-2] + behind.replace(b"\xff\xd9", b""), "cut.jpg")


@pytest.mark.parametrize("kind", JPEGS)
def test_fault_03_a_scan_that_goes_on_as_another_file_is_refused(kind: str) -> None:
    """FAULTS 3: as a card leaves it whose blocks were mixed up.  Its end is another file's."""
    data = JPEGS[kind]
    half = len(data) // 2
    for other in (PLAIN, b"ab\xff\x10cd" * 40 + b"\xff\xd9"):
        with pytest.raises(PictureError):
            decode(data[:half] + other, "mixed.jpg")


def test_fault_61_the_frame_header_that_counts_is_the_decoders() -> None:
    """FAULTS 61: a second one before the scan is refused, one behind it isn't looked at."""
    frame = PLAIN.index(b"\xff\xc0")
    other = PLAIN[frame : frame + 5] + struct.pack(">2H", 9000, 7000) + PLAIN[frame + 9 :][:10]
    with pytest.raises(PictureError):
        decode(PLAIN[:frame] + PLAIN[frame : frame + 19] + PLAIN[frame:])
    with pytest.raises(PictureError, match="7000 x 9000"):
        decode(PLAIN[:frame] + other + PLAIN[frame:], "two.jpg")
    assert_same(PLAIN[:-2] + other + PLAIN[-2:], PLAIN)


def test_fault_61_bytes_before_a_jpeg_are_told_with_how_to_take_them_off() -> None:
    """FAULTS 61: OpenCV can't decode it so."""
    before = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n"
    with pytest.raises(
        PictureError, match=rf"{len(before)} foreign bytes before it.*tail -c \+(\d+)"
    ) as caught:
        decode(before + PLAIN, "saved.jpg")
    start = int(str(caught.value).split("tail -c +")[1].split()[0])
    assert (before + PLAIN)[start - 1 :] == PLAIN  # tail counts from 1


@settings(max_examples=300)
@given(st.sampled_from([*JPEGS.values(), PNG]), st.binary(max_size=300))
def test_anything_behind_a_picture_leaves_its_pixels(data: bytes, behind: bytes) -> None:
    assert (decode(data + behind).image_bgr == pixels(data)).all()


@settings(max_examples=300)
@given(st.sampled_from([*JPEGS.values()]), st.binary(min_size=1, max_size=30), st.data())
def test_anything_between_segments_leaves_the_pixels_or_is_refused(
    original: bytes, between: bytes, data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(boundaries(original)))
    try:
        image = decode(original[:place] + between + original[place:], "odd.jpg").image_bgr
    except PictureError as error:
        assert str(error).startswith("odd.jpg: ")  # noqa: PT017
    else:
        assert (image == pixels(original)).all()


CHUNKS = {
    "text": png_chunk(b"tEXt", b"a\x00" + b"x" * (10 << 20)),
    "many texts": png_chunk(b"tEXt", b"a\x00x") * 3000,
    "private": png_chunk(b"prVt", IEND * 3),
}


@pytest.mark.parametrize("chunk", CHUNKS)
def test_fault_61_chunks_of_any_size_are_passed_over(chunk: str) -> None:
    """FAULTS 61: also behind the pixels, so that the end isn't where a small file has it."""
    for place in (PNG_HEADER_END, len(PNG) - 12):
        data = PNG[:place] + CHUNKS[chunk] + PNG[place:]
        assert (decode(data).image_bgr == SCENE).all()


@pytest.mark.parametrize(
    "behind",
    [bytes(5000), b"\xff\xd8\xff" + b"x" * 9000, IEND, PNG],
    ids=["zeros", "a jpeg", "a second end", "a second picture"],
)
def test_fault_61_what_stands_behind_a_png_changes_nothing(behind: bytes) -> None:
    """FAULTS 61: recovered files, files padded to the size of a block."""
    assert (decode(PNG + behind).image_bgr == SCENE).all()


@pytest.mark.parametrize(
    "end", [b"\0\0\0\0IEND\0\0\0\5", png_chunk(b"IEND", b"abc"), b"\0\0\0\3IENDabc\0\0\0\0"]
)
def test_fault_61_an_end_that_holds_data_or_a_wrong_sum_is_an_end(end: bytes) -> None:
    """FAULTS 61: the decoder says whether that counts."""
    assert (decode(PNG[:-12] + end).image_bgr == SCENE).all()
    for cut in (end[:8], end[:-1], b"\0\1\0\0IEND" + bytes(400)):
        with pytest.raises(PictureError, match="without its end"):
            decode(PNG[:-12] + cut)


@settings(max_examples=200)
@given(st.integers(8, len(PNG) - 12), st.binary(max_size=40))
def test_fault_05_a_png_cut_anywhere_is_refused_whatever_follows(end: int, behind: bytes) -> None:
    """FAULTS 5: also where what follows has the bytes of an end."""
    for tail in (behind, behind + IEND, bytes(5000)):
        if PNG[:end] + tail != PNG:
            with pytest.raises(PictureError):
                decode(PNG[:end] + tail)


def replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    assert data.count(old) >= 1
    return data.replace(old, new, 1)


FRAME = PLAIN[PLAIN.index(b"\xff\xc0") :][:10]


def frame_with(*, precision: int = 8, height: int = 48, components: int = 3) -> bytes:
    return FRAME[:4] + struct.pack(">B2HB", precision, height, 64, components)


VARIANTS = {
    "a lossless JPEG": replaced(PLAIN, b"\xff\xc0", b"\xff\xc3"),
    "a hierarchical JPEG": replaced(PLAIN, b"\xff\xc0", b"\xff\xc5"),
    "a hierarchical JPEG ": PLAIN[:2] + segment(0xDE, FRAME[4:]) + PLAIN[2:],
    "a JPEG-LS picture": replaced(PLAIN, b"\xff\xc0", b"\xff\xf7"),
    "a 12-bit JPEG": replaced(PLAIN, FRAME, frame_with(precision=12)),
    "a JPEG of 2 components": replaced(PLAIN, FRAME, frame_with(components=2)),
    "height behind the picture (DNL)": replaced(PLAIN, FRAME, frame_with(height=0))[:-2]
    + segment(0xDC, b"\x00\x30")
    + b"\xff\xd9",
}


@pytest.mark.parametrize("name", VARIANTS)
def test_fault_62_a_variant_that_isnt_decoded_is_refused_by_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 62: with what to do instead."""
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(PictureError) as caught:
        decode(VARIANTS[name], "scan.jpg")
    assert f"scan.jpg: {name.strip()}" in str(caught.value).replace("a JPEG that tells its ", "")
    assert "save it as an ordinary 8-bit JPEG or as PNG" in str(caught.value)


def test_fault_62_an_iphones_own_png_is_refused_by_name() -> None:
    """FAULTS 62: its pixels aren't stored as a PNG's."""
    data = PNG[:8] + png_chunk(b"CgBI", b"\x50\x00\x20\x02") + PNG[8:]
    with pytest.raises(PictureError, match=r"CgBI.*xcrun pngcrush"):
        decode(data)


def test_the_common_variants_are_decoded() -> None:
    for data in (
        PLAIN,
        PROGRESSIVE,
        RESTARTS,
        cmyk_jpeg((1, 2, 3, 4)),
        jpeg(pixels(PLAIN)[:, :, 0]),
    ):
        assert decode(data).warnings == ()


def test_an_animated_png_gives_its_first_picture_and_says_so() -> None:
    """Its other pictures are in chunks that a decoder of stills passes over (PNG 4.9)."""
    control = png_chunk(b"acTL", struct.pack(">2L", 2, 0))
    frame = struct.pack(">5L2H2B", 0, 64, 48, 0, 0, 1, 10, 0, 0)
    more = png_chunk(b"fcTL", struct.pack(">5L2H2B", 1, 64, 48, 0, 0, 1, 10, 0, 0))
    head = control + png_chunk(b"fcTL", frame)
    idat = PNG[PNG_HEADER_END:-12]
    second = png_chunk(b"fdAT", struct.pack(">L", 2) + idat[8:-4])
    data = PNG[:PNG_HEADER_END] + head + idat + more + second + PNG[-12:]
    picture = decode(data)
    assert picture.warnings == ("an animated PNG: only its first picture counts",)
    assert (picture.image_bgr == SCENE).all()


WARNING = "transparent pixels count with the colours stored in them, which viewers don't show"


def rgba(alpha: int, depth: type[np.uint8 | np.uint16] = np.uint8) -> bytes:
    image = np.full((2, 2, 4), np.iinfo(depth).max, depth)
    image[1, 0] = 0, 0, 0, np.iinfo(depth).max
    image[0, 0] = [10, 20, 30, alpha] if depth is np.uint8 else [0xA00, 0x1400, 0x1E00, alpha]
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.mark.parametrize(
    ("data", "transparent"),
    [
        (rgba(0), True),
        (rgba(254), True),
        (rgba(255), False),
        (rgba(0xFFFE, np.uint16), True),
        (rgba(0xFFFF, np.uint16), False),
    ],
    ids=["0", "254", "255", "65534 of 16 bits", "65535 of 16 bits"],
)
def test_fault_63_hidden_colours_count_as_stored_and_a_warning_says_so(
    data: bytes,
    transparent: bool,  # noqa: FBT001
) -> None:
    """FAULTS 63: the rule of cv2.imread, which the network was trained with."""
    picture = decode(data)
    assert picture.image_bgr[0, 0].tolist() == [10, 20, 30]
    assert picture.warnings == ((WARNING,) if transparent else ())


PALETTE = png_chunk(b"PLTE", bytes([1, 2, 3, 4, 5, 6, 7, 8, 9]))


@pytest.mark.parametrize(
    ("colour_type", "rows", "chunks", "transparent"),
    [
        (3, [0, 0, 1, 2], PALETTE + png_chunk(b"tRNS", b"\xff\x80"), True),
        (3, [0, 0, 0, 2], PALETTE + png_chunk(b"tRNS", b"\xff\x80"), False),  # unused
        (3, [0, 0, 1, 2], PALETTE + png_chunk(b"tRNS", b"\xff\xff\xff"), False),
        (3, [0, 0, 1, 2], PALETTE, False),
        (0, [0, 5, 6, 7], png_chunk(b"tRNS", b"\x00\x06"), True),
        (0, [0, 5, 6, 7], png_chunk(b"tRNS", b"\x01\x06"), True),  # bits above the depth: ignored
        (0, [0, 5, 6, 7], png_chunk(b"tRNS", b"\x00\x08"), False),
        (2, [0, *range(9)], png_chunk(b"tRNS", bytes([0, 3, 0, 4, 0, 5])), True),
        (2, [0, *range(9)], png_chunk(b"tRNS", bytes([0, 3, 0, 4, 0, 6])), False),
    ],
)
def test_fault_63_a_palette_or_one_colour_may_be_transparent_too(
    colour_type: int,
    rows: list[int],
    chunks: bytes,
    transparent: bool,  # noqa: FBT001
) -> None:
    """FAULTS 63: PNG 11.3.1.1."""
    data = png(3, 1, bytes(rows), colour_type, chunks)
    opaque = png(3, 1, bytes(rows), colour_type, PALETTE if colour_type == 3 else b"")
    assert (decode(data).image_bgr == pixels(opaque)).all()
    assert decode(data).warnings == ((WARNING,) if transparent else ())


@pytest.mark.parametrize(("depth", "row"), [(1, 0b01000000), (2, 0b00011011), (4, 0x12)])
def test_fault_63_a_gray_of_few_bits_may_be_transparent_too(depth: int, row: int) -> None:
    """FAULTS 63: the gray 1 is in each of these rows of two pixels and more; 2**depth isn't."""
    width = 8 // depth
    for gray, transparent in ((1, True), (1 | 1 << depth, True)):
        header = struct.pack(">2L5B", width, 1, depth, 0, 0, 0, 0)
        data = png(width, 1, bytes([0, row]), extra=png_chunk(b"tRNS", struct.pack(">H", gray)))
        data = data[:8] + png_chunk(b"IHDR", header) + data[PNG_HEADER_END:]
        assert decode(data).warnings == ((WARNING,) if transparent else ())


def test_a_png_without_transparency_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = cv2.imdecode

    def counted(data: NDArray[np.uint8], flags: int) -> object:
        calls.append(flags)
        return real(data, flags)

    monkeypatch.setattr(cv2, "imdecode", counted)
    decode(PNG)
    decode(PLAIN)
    assert len(calls) == 2


HOSTILE = [
    b"\xff",
    b"\xff\x00",
    b"\xff\x01",
    b"\xff\xd0",
    b"\xff\xfe\x00\x02",
    b"\xff\xc2\x00\x02",
    b"\xff\x02",
    b"\xff\xda\x00\x02\xff\x02",
    b"\xff\xdc\x00\x02",
]


@pytest.mark.parametrize("body", HOSTILE, ids=bytes.hex)
def test_a_hostile_header_is_read_in_linear_time(body: bytes) -> None:
    """16 MB of it; as a JPEG's segments, and as a PNG's smallest chunks."""
    data = b"\xff\xd8" + FRAME[:9] + bytes(10) + body * ((16 << 20) // len(body))
    began = time.process_time()
    with pytest.raises(PictureError):
        read_header(data, "hostile.jpg")
    with pytest.raises(PictureError):
        read_header(
            PNG[:PNG_HEADER_END] + png_chunk(b"tEXt", b"") * (MAX_PARTS + 1) + IEND, "x.png"
        )
    assert time.process_time() - began < 3
