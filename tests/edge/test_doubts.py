"""A picture that answers badly is warned of: blurred, no lesion, a lesion cut off at the edge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from edge import Analyzer, read_picture
from edge.camera.frames import look
from edge.outline import find_lesion
from edge.picture.sharpness import is_blurred
from tests.support import dark
from tests.support.pictures import CALIBRATION, HELD_OUT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NONE = "no lesion found: is there one in the picture?"
CUT = "the lesion is cut off at the picture's edge"
BLURRED = "blurred: nothing in the picture is sharp"


def shape(kind: str, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """Return a light picture with noise and something dark in it."""
    image = np.random.default_rng(0).integers(170, 230, (height, width, 3)).astype(np.uint8)
    if kind == "inside":
        image[12:36, 16:48] = 20
    elif kind == "at the edge":  # 24 of 88 pixels of its outline: less than a part of 0.3
        image[12:36, :20] = 20
    elif kind == "over the edge":
        image[12:36, :8] = 20
    elif kind == "all":
        image[:] = 20
    return image


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("inside", ()),
        ("at the edge", ()),
        ("over the edge", (CUT,)),
        ("all", (CUT, BLURRED)),
        ("nothing", (NONE,)),
    ],
)
def test_the_lesion_is_doubted_only_where_it_was_looked_for(
    kind: str, expected: tuple[str, ...], tmp_path: Path
) -> None:
    model = dark.write_model(tmp_path / "m.tflite", "float32")
    for threads in (1, 2):
        assert Analyzer(model, threads=threads).analyze(shape(kind)).warnings == expected
    plain = Analyzer(model, threads=1, segmentation="otsu").analyze(shape(kind))
    assert plain.warnings == tuple(each for each in expected if each == BLURRED)


@pytest.mark.parametrize("size_wh", [(640, 480), (3000, 2000)])
@pytest.mark.parametrize("side", range(4))
def test_how_much_of_the_outline_is_on_the_border_is_measured_on_every_side(
    side: int, size_wh: tuple[int, int]
) -> None:
    """Golden: a rectangle of 20 x 10, its longer side on the border, has 20 of 60 there."""
    grid = np.zeros((100, 100), np.float32)
    grid[:10, 40:60] = 1
    found = find_lesion(np.rot90(grid, side), 0.5, size_wh)
    assert found is not None
    across, down = size_wh if side % 2 == 0 else size_wh[::-1]
    expected = 0.2 * across / (0.4 * across + 0.2 * down)
    assert found.share_on_border(size_wh) == pytest.approx(expected, abs=0.02)
    inside = find_lesion(np.roll(grid, 5, axis=0), 0.5, size_wh)
    assert inside is not None
    assert inside.share_on_border(size_wh) == 0


@pytest.mark.parametrize("path", [*SAMPLES, *CALIBRATION[:20], *HELD_OUT], ids=lambda p: p.stem)
def test_a_good_picture_isnt_called_blurred_and_a_blurred_copy_is(path: Path) -> None:
    image = read_picture(path).image_bgr
    height, width = image.shape[:2]
    assert not is_blurred(image)
    blurred = cv2.GaussianBlur(image, (0, 0), max(image.shape) / 100).astype(np.uint8)
    for side in (256, 500, 1200):
        size_wh = [round(each * side / max(height, width)) for each in (width, height)]
        copy = cv2.resize(blurred, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8)
        assert is_blurred(copy)
        assert look(copy) == "blurred"


@pytest.mark.parametrize("shape_hw", [(1, 1), (1, 5000), (5000, 1), (3, 3), (256, 2)])
def test_any_shape_can_be_judged(shape_hw: tuple[int, int]) -> None:
    assert is_blurred(np.full((*shape_hw, 3), 200, np.uint8))
    noise = np.random.default_rng(0).integers(0, 256, (*shape_hw, 3)).astype(np.uint8)
    assert shape_hw == (1, 1) or not is_blurred(noise)
