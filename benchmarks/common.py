"""Name the model and picture that all benchmarks measure on, and start processes."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from edge.bench.turns import seconds

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "lesion-int8.tflite"
"""The default model."""
PICTURE = ROOT / "pictures" / "samples" / "malignant" / "ISIC_0000013.jpg"
"""A dermoscopic JPEG of 1022 x 767."""


def make_parser(module: str, text: str | None) -> argparse.ArgumentParser:
    """Return the parser of ``python -m module``; --help shows the module's docstring."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def process_seconds(*arguments: str | Path, bytecode: str | None = None) -> float:
    """Return how long a Python process takes, in seconds; it must succeed.

    Args:
        arguments: behind ``python``.
        bytecode: the folder of its compiled modules, so that they aren't compiled in each process;
            None is Python's own way.

    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if bytecode:
        environment |= {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, *arguments]
    return seconds(
        lambda: subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=environment)
    )
