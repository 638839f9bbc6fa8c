"""The regions are the notebook's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge import find_regions, read_picture
from tests.support import notebook
from tests.support.pictures import CALIBRATION, HELD_OUT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from benchmarks.notebook import Box


def boxes(image_bgr: NDArray[np.uint8]) -> list[Box]:
    return sorted((r.x, r.y, r.width, r.height) for r in find_regions(image_bgr))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_originals_have_the_notebooks_boxes(path: Path) -> None:
    image = read_picture(path).image_bgr
    assert boxes(image) == notebook.boxes(image)
    assert boxes(image), "each sample shows a lesion"


def test_all_shipped_pictures_have_the_notebooks_boxes() -> None:
    for path in (*CALIBRATION, *HELD_OUT):
        image = read_picture(path).image_bgr
        assert boxes(image) == notebook.boxes(image), path


@settings(max_examples=150)
@given(
    hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 60), st.integers(1, 60), st.just(3)),
        elements=st.integers(0, 255),
    )
)
def test_any_picture_has_the_notebooks_boxes(image: NDArray[np.uint8]) -> None:
    """On any picture at all, but for one of a single gray value, which has none."""
    # Enlarged, so that regions over 100 square pixels occur.
    for picture in (image, image.repeat(9, axis=0).repeat(9, axis=1)):
        expected = [] if notebook.is_blank(picture) else notebook.boxes(picture)
        assert boxes(picture) == expected


def test_the_notebooks_figure_box_is_found() -> None:
    """UPSTREAM: a box of x=118 y=62 w=243 h=337 on a 500 x 500 picture, drawn here by hand."""
    image = np.full((500, 500, 3), 200, np.uint8)
    cv2.rectangle(image, (118 + 1, 62 + 1), (118 + 243 - 2, 62 + 337 - 2), (20, 20, 20), -1)
    (region,) = find_regions(image)
    assert abs(region.x - 118) <= 1
    assert abs(region.y - 62) <= 1
    assert abs(region.width - 243) <= 2
    assert abs(region.height - 337) <= 2


@pytest.mark.parametrize("value", [0, 1, 128, 255])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (200, 300)])
def test_fault_13_a_picture_of_one_colour_has_no_region(value: int, shape: tuple[int, int]) -> None:
    """FAULTS 13: not a box around the picture."""
    assert find_regions(np.full((*shape, 3), value, np.uint8)) == ()


def test_regions_come_largest_first_with_their_area() -> None:
    image = np.full((200, 200, 3), 220, np.uint8)
    for x, side in ((20, 15), (50, 60), (130, 30)):
        cv2.rectangle(image, (x, 50), (x + side - 1, 50 + side - 1), (10, 10, 10), -1)
    regions = find_regions(image)
    assert len(regions) == 3
    areas = [region.area for region in regions]
    assert areas == sorted(areas, reverse=True)
    # A contour runs through the centres of the border's pixels; the blur rounds the corners.
    assert areas[0] == pytest.approx(59 * 59, rel=0.02)
