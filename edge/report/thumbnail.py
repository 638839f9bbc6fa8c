"""A small copy of a picture with what was found drawn in, for a page of many."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.picture.decode import within_memory

if TYPE_CHECKING:
    from edge.picture.decode import Picture
    from edge.results import Analysis

_LONGER_SIDE = 200
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 75, cv2.IMWRITE_JPEG_OPTIMIZE, 1)
# A dark line under a bright one: seen on skin, hair and white, and of a colour that no skin has.
_LINES = (((25, 15, 15), 4), ((255, 240, 60), 2))


def make_thumbnail(picture: Picture, analysis: Analysis) -> bytes:
    """Return a JPEG whose longer side has 200 pixels, or the picture's own if that is less.

    Args:
        picture: the picture that was analysed, at its size or reduced; it is left as it is.
        analysis: its analysis.

    Raises:
        PictureError: it can't be drawn, for want of memory.

    """
    with within_memory(picture.name):
        small = _shrink(picture.image_bgr)
        if analysis.explanation is not None:
            analysis.explanation.draw(small, analysis.size_wh)
        # Boxes are drawn on the small copy: drawn before, their lines would shrink away.
        height, width = small.shape[:2]
        across, down = width / analysis.size_wh[0], height / analysis.size_wh[1]
        for colour, thickness in _LINES:
            for region in analysis.regions:
                corner = (round(region.x * across), round(region.y * down))
                # The right and lower lines lie within the picture, as the other two do.
                opposite = (
                    min(round((region.x + region.width) * across), width - 1),
                    min(round((region.y + region.height) * down), height - 1),
                )
                cv2.rectangle(small, corner, opposite, colour, thickness)
            if analysis.lesion is not None:
                outline = analysis.lesion.polygons(analysis.size_wh, (width, height))
                cv2.polylines(small, outline, True, colour, thickness, cv2.LINE_AA)  # noqa: FBT003
        return cv2.imencode(".jpg", small, _JPEG)[1].tobytes()


def _shrink(image: cv2.typing.MatLike) -> cv2.typing.MatLike:
    height, width = image.shape[:2]
    share = _LONGER_SIDE / max(height, width)
    if share >= 1:
        return np.array(image)
    size_wh = [max(1, round(side * share)) for side in (width, height)]
    # Linear at most halves well, so it is done twice.  INTER_AREA's mean of all pixels looks the
    # same and takes 2.6 ms for 1022 x 767, this 0.3 ms.
    if share < 0.5:
        image = cv2.resize(image, [2 * side for side in size_wh])
    return cv2.resize(image, size_wh)
