"""What the tests share: the project's own pictures and models, and ways to make new files."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import cv2
import hypothesis
import numpy as np
import pytest

from edge import Analyzer
from tests.support.pictures import MODELS, ROOT, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

# The same examples in every run, none with a deadline, as in CI: what fails is what was changed.
hypothesis.settings.load_profile("ci")
# A shell that starts pytest in the background has it ignored, which every command would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
# TensorFlow's oneDNN kernels may sum in another order from one run to the next.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

Run = subprocess.CompletedProcess[str]


def pytest_configure(config: pytest.Config) -> None:
    """Collect no tests where only benchmarks are asked for: each would be told as skipped."""
    from_testpaths = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if config.getoption("benchmark_only", default=False) and from_testpaths:
        config.args = ["benchmarks"]


def run_module(
    module: str, *arguments: str | Path, python: Path | str = sys.executable, **options: Any
) -> Run:
    """Run ``python -m module`` in the project's folder, as a user would."""
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    settings: dict[str, Any] = {"cwd": ROOT, "timeout": 300, "encoding": "utf-8", **options}
    command = [str(python), "-m", module, *map(str, arguments)]
    done: Run = subprocess.run(command, capture_output=True, check=False, **settings)
    done.stderr = without_progress(done.stderr)
    return done


def without_progress(errors: str) -> str:
    """Leave out how far a run has got, which is told after two seconds: on a slow machine only."""
    return re.sub(r"^pictures analysed: \d+.*\n", "", errors, flags=re.MULTILINE)


def until(condition: Callable[[], object]) -> None:
    """Wait for something that is sure to come."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def sample() -> Path:
    """A real dermoscopic picture, 1022 x 767."""
    return next(path for path in SAMPLES if path.stem == "ISIC_0000013")


@pytest.fixture
def deleted_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs in a folder that was deleted."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()


@pytest.fixture
def save_picture(tmp_path: Path) -> Callable[..., Path]:
    """Write an array as a picture and return its path."""

    def save(
        image: NDArray[np.uint8 | np.uint16], name: str = "picture.png", *parameters: int
    ) -> Path:
        path = tmp_path / name
        encoded = cv2.imencode(path.suffix, image, parameters)[1]
        path.write_bytes(encoded.tobytes())
        return path

    return save


@pytest.fixture
def scene() -> NDArray[np.uint8]:
    """A picture with one dark ellipse on light skin, (120, 160, 3) uint8 BGR, with some noise."""
    rng = np.random.default_rng(0)
    image = np.full((120, 160, 3), (170, 190, 220), np.uint8)
    cv2.ellipse(image, (60, 70), (30, 20), 20, 0, 360, (50, 60, 90), -1)
    noisy = image.astype(np.int16) + rng.integers(-8, 9, image.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def int8_analyzer() -> Analyzer:
    """The default model, on one thread."""
    return Analyzer(MODELS["int8"], threads=1)
