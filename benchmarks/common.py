"""What all benchmarks measure on, and how they start a process."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "lesion-int8.tflite"
"""The default model."""
PICTURE = ROOT / "pictures" / "samples" / "malignant" / "ISIC_0000013.jpg"
"""A dermoscopic JPEG of 1022 x 767."""


def quiet_environment() -> dict[str, str]:
    """Return the environment for a process in which TensorFlow keeps its chatter to itself."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


def timed_process(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Return how long a process takes, in seconds; it must succeed."""
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started
