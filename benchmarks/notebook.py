"""The notebook's pipeline as a script: ``python -m benchmarks.notebook PICTURE MODEL.h5``.

Written from what the notebook does: the network built in Keras, ``load_weights``, ``imread``, its
segmentation, ``cv2.resize`` to 500 x 500 and ``model.predict``.  Nothing is drawn or shown.  The
tests hold :mod:`edge.segmentation` against :func:`segment`, so it shares nothing with that: two
colour conversions, the threshold of 50 that Otsu's method overrides, no special case.
"""

from __future__ import annotations

import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Box = tuple[int, int, int, int]


def build(weights: str) -> Any:
    """Return the notebook's Keras model with its weights."""
    from convert.network import build_network

    model = build_network()
    model.load_weights(weights)
    model.compile(optimizer="rmsprop", loss="binary_crossentropy", metrics=["accuracy"])
    return model


def segment(image_bgr: Any) -> list[Box]:
    """Return the boxes that the notebook draws."""
    image_rgb = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB)
    gray = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    blurred = cv2.GaussianBlur(gray, (5, 5), 0)
    _, mask = cv2.threshold(blurred, 50, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = []
    for contour in contours:
        if cv2.contourArea(contour) > 100:
            x, y, width, height = cv2.boundingRect(contour)
            boxes.append((x, y, width, height))
    return boxes


def classify(model: Any, image_bgr: Any) -> float:
    """Return the network's output for a picture."""
    resized = cv2.resize(image_bgr, (500, 500))
    batch: NDArray[Any] = np.expand_dims(resized, axis=0)
    return float(model.predict(batch, verbose=0)[0, 0])


def stages_ms(model: Any, path: str) -> dict[str, float]:
    """Analyse a picture and return how long each step took."""
    marks = [time.perf_counter()]
    image = cv2.imread(path)
    marks.append(time.perf_counter())
    segment(image)
    marks.append(time.perf_counter())
    classify(model, image)
    marks.append(time.perf_counter())
    steps = zip(("decode", "segment", "resize and predict"), pairwise(marks), strict=True)
    return {name: (end - start) * 1e3 for name, (start, end) in steps}


def main() -> None:
    """Analyse one picture and print the answer."""
    picture, weights = sys.argv[1:]
    model = build(weights)
    image = cv2.imread(picture)
    boxes = segment(image)
    print(classify(model, image), len(boxes))


if __name__ == "__main__":
    main()
