"""Run by the second environment, which has no pytest: segmentation against the notebook's rule."""

from __future__ import annotations

import json

import cv2
import numpy as np

from edge import find_regions, read_picture

from . import notebook
from .pictures import CALIBRATION, HELD_OUT, SAMPLES


def main() -> None:
    """Compare on every shipped picture and print how many there were."""
    paths = (*SAMPLES, *CALIBRATION, *HELD_OUT)
    for path in paths:
        image = read_picture(path).image_bgr
        found = sorted((r.x, r.y, r.width, r.height) for r in find_regions(image))
        assert found == notebook.boxes(image), path
    assert find_regions(np.zeros((50, 50, 3), np.uint8)) == ()
    print(json.dumps({"pictures": len(paths), "opencv": cv2.__version__}))


if __name__ == "__main__":
    main()
