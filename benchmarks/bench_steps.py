"""Time each step of a picture's way: ``pytest --benchmark-only``."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

from edge import Analyzer, decode, find_regions, read_picture
from edge.model.classifier import Classifier
from edge.model.preprocess import fill_input
from edge.parallel import default_threads

from .common import PICTURE
from .conftest import MODELS

Measure = Callable[[Callable[[], object]], None]
THREADS = sorted({1, 2, default_threads(), os.cpu_count() or 1})


def test_decode(measure: Measure) -> None:
    data = PICTURE.read_bytes()
    measure(lambda: decode(data))


def test_segment(measure: Measure) -> None:
    image = read_picture(PICTURE).image_bgr
    measure(lambda: find_regions(image))


@pytest.mark.parametrize("variant", ["float32", "int8"])
def test_resize(variant: str, measure: Measure) -> None:
    image = read_picture(PICTURE).image_bgr
    spec = Classifier(MODELS[variant]).contract.input
    tensor = np.empty((spec.size_wh[1], spec.size_wh[0], 3), spec.dtype)
    measure(lambda: fill_input(image, tensor, spec))


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("variant", MODELS)
def test_invoke(variant: str, threads: int, measure: Measure) -> None:
    classifier = Classifier(MODELS[variant], num_threads=threads)
    interpreter = classifier._interpreter  # noqa: SLF001
    classifier.predict(read_picture(PICTURE).image_bgr)
    measure(interpreter.invoke)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("variant", MODELS)
def test_whole(variant: str, threads: int, measure: Measure) -> None:
    """From the file on the disk to label and regions."""
    analyzer = Analyzer(MODELS[variant], threads=threads)
    measure(lambda: analyzer.analyze(PICTURE))
