"""The parser of a camera's multipart stream, however it is cut, whatever stands between."""

from __future__ import annotations

import itertools
import time

from hypothesis import given
from hypothesis import strategies as st

from edge.camera.sources.multipart import Multipart

_LENGTHS = st.integers(1, 3000)
# ITU-T T.81, B.1.1.5: in compressed data 0 follows each FF.
_DATA = st.binary(max_size=400).map(lambda data: data.replace(b"\xff", b"\xff\0"))
_JPEG = _DATA.map(lambda data: b"\xff\xd8\xff\xe0" + data + b"\xff\xd9")


def _pictures(stream: bytes, cuts: list[int], boundary: bytes) -> list[bytes]:
    pieces, rest = [], stream
    for cut in itertools.cycle(cuts):
        pieces.append(rest[:cut])
        rest = rest[cut:]
        if not rest:
            break
    feed = iter(pieces)
    # All is there at once: it is never quiet.
    multipart = Multipart(lambda: next(feed, b""), lambda: False, boundary)
    return list(iter(multipart.next, None))


@given(
    st.lists(_JPEG, min_size=1, max_size=4),
    st.lists(_LENGTHS, min_size=1),
    st.sampled_from([0, 1]),
    st.sampled_from([b"\r\n", b"\n"]),
    st.sampled_from([b"", b"frame", b"--frame", b'"frame"', b"other"]),
)
def test_pictures_come_out_as_they_went_in_however_the_stream_is_cut(
    jpegs: list[bytes], cuts: list[int], counted: int, line: bytes, boundary: bytes
) -> None:
    stream = b""
    for jpeg in jpegs:
        head = [b"--frame", b"Content-Type: image/jpeg"]
        head += [b"Content-Length: %d" % len(jpeg)] if counted else []
        stream += line.join(head) + line * 2 + jpeg + line
    stream += b"--frame--" + line
    found = _pictures(stream, cuts, boundary)
    assert [picture.rstrip(b"\r\n") for picture in found] == [
        jpeg.rstrip(b"\r\n") for jpeg in jpegs
    ]


@given(st.lists(_JPEG, min_size=1, max_size=4), st.lists(_LENGTHS, min_size=1), st.binary())
def test_what_stands_before_a_picture_is_passed_over(
    jpegs: list[bytes], cuts: list[int], junk: bytes
) -> None:
    junk = junk.replace(b"\xff", b"").replace(b"\x89PNG", b"")
    stream = b"".join(junk + jpeg for jpeg in jpegs)
    found = _pictures(stream, cuts, b"frame")
    assert all(picture.startswith(b"\xff\xd8\xff") for picture in found)
    assert found[0].startswith(jpegs[0])


@given(st.binary(max_size=2000), st.lists(_LENGTHS, min_size=1), st.binary(max_size=20))
def test_any_bytes_end_and_give_pictures_or_nothing(
    data: bytes, cuts: list[int], boundary: bytes
) -> None:
    for picture in _pictures(data, cuts, boundary):
        assert picture.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))


def test_hostile_streams_take_no_longer_for_being_in_small_pieces() -> None:
    took = []
    for piece in (b"\xff\xd9", b"\r\n-", b"\0\0", b"Content-Length: 1\r\n"):
        data = b"\xff\xd8\xff" + piece * (1_000_000 // len(piece))
        begun = time.thread_time()
        _pictures(data, [1400], b"frame")
        took.append(time.thread_time() - begun)
    assert max(took) < 2.0  # of the processor; were it the square of the length, it'd be minutes
