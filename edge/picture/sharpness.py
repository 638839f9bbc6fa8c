"""Is a picture blurred?  One rule, for a file and for a camera's frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLURRED_BELOW = 7.0
"""Of 3,221 dermoscopic pictures in seven sets (ISIC 2017 and 2018, HAM10000, originals, 256 to
3,072 pixels) 0.6 % are below, in no set more than 1.0 %; of the same, blurred by a Gaussian whose
standard deviation is 1 % of the longer side, 99.9 %; 0.6 % of it, 93 %.  Noise hides blur."""
BLURRED = "blurred: nothing in the picture is sharp"
_SIDE = 256


def is_blurred(image_bgr: NDArray[np.uint8]) -> bool:
    """Tell whether nothing in a picture, (height, width, 3) uint8 BGR, is sharp."""
    return sharpness(image_bgr) < BLURRED_BELOW


def sharpness(image_bgr: NDArray[np.uint8]) -> float:
    """Return how sharp a picture is; 0 where it has one colour.

    It is brought to 256 pixels along its longer side, if it has more, bilinearly: what one pixel
    of it shows is the same then, whatever the camera, and about what a model sees.  Of the middle
    half of its rows it is the mean square of the gray picture's Laplacian (a focus measure:
    Pech-Pacheco et al., Diatom autofocusing, 2000, take its variance; the mean is nearly 0).

    Args:
        image_bgr: (height, width, 3) uint8, BGR, 0..255.

    """
    height, width = image_bgr.shape[:2]
    middle = image_bgr[height // 4 : height - height // 4]
    scale = _SIDE / max(height, width)
    if scale < 1:
        size_wh = [max(1, round(side * scale)) for side in (width, len(middle))]
        middle = cv2.resize(middle, size_wh)  # type: ignore[assignment] # uint8 stays uint8
    laplacian = cv2.Laplacian(cv2.cvtColor(middle, cv2.COLOR_BGR2GRAY), cv2.CV_16S)
    return cv2.norm(laplacian, cv2.NORM_L2SQR) / laplacian.size
