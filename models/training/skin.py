"""How light the skin round a lesion looks: the individual typology angle (ITA) of a picture.

After A. Chardon, I. Cretois and C. Hourseau, "Skin colour typology and suntanning pathways",
International Journal of Cosmetic Science 13 (1991) 191-208.  That is of a colorimeter on the skin;
here it is of a camera's colours, so light and white balance shift it: it is a colour index of the
picture, not a person's skin type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BANDS = (
    ("very light, over 55°", 55.0),
    ("light, over 41°", 41.0),
    ("intermediate, over 28°", 28.0),
    ("tan, over 10°", 10.0),
    ("brown, over -30°", -30.0),
    ("dark, to -30°", -np.inf),
)
"""Name and lower end, in degrees, of each band."""
_ELLIPSE = 0.45
"""Half axes of what is looked at, as parts of the sides: outside may be a dark corner."""
_MARGIN = 0.05
"""The lesion's edge is left out this far, as a part of the shorter side."""
_DARKEST = 20.0
"""L* of what is no skin: a dark border, or a hair."""
_FEWEST = 0.01


def typology_angle(
    image_bgr: NDArray[np.uint8], lesion: NDArray[np.bool_] | None = None
) -> float | None:
    """Return ``atan((L* - 50) / b*)`` in degrees, of the skin's median L* and b*.

    Args:
        image_bgr: (height, width, 3) uint8, BGR, taken as sRGB.
        lesion: (height, width), true where the lesion is; None where it isn't known.

    Returns:
        -90..90; None where under 1 % of the picture is skin, or its b* is not above 0, where the
        angle means nothing.

    """
    height, width = image_bgr.shape[:2]
    seen = np.zeros((height, width), np.uint8)
    axes = (round(width * _ELLIPSE), round(height * _ELLIPSE))
    cv2.ellipse(seen, (width // 2, height // 2), axes, 0, 0, 360, 1, cv2.FILLED)
    if lesion is not None:
        size = 2 * round(min(height, width) * _MARGIN) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
        seen[cv2.dilate(lesion.astype(np.uint8), kernel) > 0] = 0
    lab: NDArray[Any] = cv2.cvtColor(image_bgr.astype(np.float32) / 255, cv2.COLOR_BGR2Lab)
    skin = lab[(seen > 0) & (lab[..., 0] > _DARKEST)]
    if len(skin) < _FEWEST * height * width:
        return None
    lightness, _, yellow = np.median(skin, axis=0)
    return float(np.degrees(np.arctan((lightness - 50) / yellow))) if yellow > 0 else None


def band_of(angle: float | None) -> str:
    """Return the name of the band that an angle lies in, or that there is none."""
    if angle is None:
        return "not known"
    return next(name for name, low in BANDS if angle > low)
