"""``fast`` is off unless asked for, touches large JPEG files only, and says what it did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from unittest import mock

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fast import overlap
from edge import Analyzer, annotate, decode, read_picture
from edge.picture import decode as picture
from tests.conftest import run_module
from tests.support.pictures import MODELS, SAMPLES

from .test_picture import exif, jpeg

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG of 3066 x 2301, enlarged from a real picture."""
    image = cv2.resize(read_picture(SAMPLES[0]).image_bgr, (3066, 2301))
    path = tmp_path_factory.mktemp("fast") / "large.jpg"
    path.write_bytes(jpeg(np.asarray(image, np.uint8)))
    return path


def test_unless_asked_for_a_picture_is_decoded_whole(large: Path) -> None:
    expected = cv2.imdecode(np.frombuffer(large.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    for found in (read_picture(large), decode(large.read_bytes())):
        assert (found.image_bgr == expected).all()
        assert found.warnings == ()
        assert found.size_wh == (3066, 2301)


@pytest.mark.parametrize("path", SAMPLES[:3], ids=lambda path: path.stem)
def test_a_picture_under_4_megapixels_is_the_same_bit_for_bit(path: Path) -> None:
    exact, fast = read_picture(path), read_picture(path, fast=True)
    assert (fast.image_bgr == exact.image_bgr).all()
    assert (fast.size_wh, fast.warnings) == (exact.size_wh, exact.warnings)


def test_a_png_is_the_same_bit_for_bit() -> None:
    data = cv2.imencode(".png", np.eye(2100, dtype=np.uint8) * 255)[1].tobytes()
    exact, fast = decode(data), decode(data, fast=True)
    assert (fast.image_bgr == exact.image_bgr).all()
    assert fast.warnings == exact.warnings


def test_a_large_jpeg_has_nearly_the_same_regions_in_its_own_pixels(large: Path) -> None:
    exact = Analyzer(MODELS["int8"], threads=1).analyze(large)
    fast = Analyzer(MODELS["int8"], threads=1, fast=True).analyze(large)
    assert fast.size_wh == exact.size_wh == (3066, 2301)
    assert overlap(fast.regions[0], exact.regions[0]) > 0.95
    assert fast.regions[0].area == pytest.approx(exact.regions[0].area, rel=0.05)
    assert fast.warnings == ("fast: decoded at 1/2 scale, regions and probability are approximate",)


@settings(max_examples=60)
@given(
    st.integers(8, 300),
    st.integers(8, 300),
    st.integers(1, 8),
    st.integers(0, 2**32 - 1),
    st.integers(1, 5000),
)
def test_size_and_regions_are_those_of_the_whole_upright_picture(
    width: int, height: int, orientation: int, seed: int, pixels_left: int
) -> None:
    """At any size, scale and orientation; the limits are lowered, so that it is soon done."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    blocks = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    data = jpeg(np.asarray(blocks, np.uint8))
    data = data[:2] + exif(orientation) + data[2:]
    with mock.patch.multiple(picture, FAST_PIXELS=0, _FAST_PIXELS_LEFT=pixels_left):
        fast = decode(data, fast=True)
    exact = decode(data)
    assert fast.size_wh == exact.size_wh
    rows, columns = fast.image_bgr.shape[:2]
    assert (columns, rows) == tuple(-(-side // fast.scale) for side in fast.size_wh)
    assert fast.scale == 1 or columns * rows >= pixels_left
    for region in _ANALYZER.analyze(fast).regions:
        assert region.x >= 0
        assert region.y >= 0
        assert region.width >= 1
        assert region.height >= 1
        assert region.x + region.width <= fast.size_wh[0]
        assert region.y + region.height <= fast.size_wh[1]
        assert region.area > 100


_ANALYZER = Analyzer(MODELS["int8"], threads=1)


def test_boxes_are_drawn_where_the_regions_are(large: Path) -> None:
    """On the reduced picture, which is what there is."""
    analyzer = Analyzer(MODELS["int8"], threads=1, fast=True)
    reduced = read_picture(large, fast=True)
    analysis = analyzer.analyze(reduced)
    canvas = annotate(reduced.image_bgr, analysis)[-reduced.image_bgr.shape[0] :]
    region = analysis.regions[0]
    corner = (region.y // reduced.scale, region.x // reduced.scale)
    assert canvas[corner].tolist() == [0, 0, 255]


def test_a_cut_large_jpeg_is_refused_as_ever(large: Path) -> None:
    data = large.read_bytes()
    with pytest.raises(ValueError, match="cut short"):
        decode(data[: len(data) // 2], fast=True)


def test_the_command_takes_it(large: Path) -> None:
    exact, fast = (
        json.loads(run_module("edge.run", large, "--json", *options).stdout)
        for options in ([], ["--fast"])
    )
    assert exact["warnings"] == []
    assert fast["warnings"]
    assert fast["size"] == exact["size"] == [3066, 2301]
