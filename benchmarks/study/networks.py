"""Convert two networks, one dense and the shipped one, for us and for the other runtimes.

Nothing can be left out of the dense one.  What our converter leaves out of the shipped one
(constant channels, places that dense1 doesn't look at) the others are spared, too: they start from
the float32 file that it makes.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common import ROOT
from convert.network import LAYERS
from convert.notebook import RESIZE
from convert.quantise.preprocessing import Preprocessing
from convert.verify.pictures import SHIPPED, load_set, resized
from convert.weights.file import write_weights

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DENSE, COMPACT = "dense", "compact"
"""The networks' names in a stored result."""
WEIGHTS = "model.h5"
OURS, PLAIN, KEPT = "ours", "plain", "kept"
"""Folders of a network's files: as we convert it; int8 not rewritten; constant channels kept."""
LABELS = ("benign", "malignant")
_SPREAD = {"conv1": 0.2 / 128, "conv2": 0.06, "dense1": 2e-4, "dense2": 0.3}
"""Of random kernels, so that answers are neither 0 nor 1 and a wrong one would show."""


def pictures(folder: str) -> list[NDArray[np.uint8]]:
    """Return the project's pictures of one folder, resized as the edge does: (500, 500, 3) BGR."""
    return [resized(picture, RESIZE) for picture in load_set(SHIPPED / folder, LABELS)]


def make(folder: Path) -> dict[str, str]:
    """Write each network's weights and model files, and return what each is.

    Args:
        folder: gets a folder for each network.

    Raises:
        subprocess.CalledProcessError: the converter found a file outside its budget.

    """
    for name in (DENSE, COMPACT):
        (folder / name).mkdir()
    contract = Preprocessing("BGR", (1.0,) * 3, (0.0,) * 3).to_dict()
    declared = {"contract": contract, "labels": LABELS, "threshold": 0.5, "name": DENSE}
    write_weights(folder / DENSE / WEIGHTS, random_arrays(), declared)
    shutil.copy(ROOT / "models" / WEIGHTS, folder / COMPACT)
    arm = platform.machine() in ("aarch64", "armv7l")
    for name in (DENSE, COMPACT):
        _convert(folder / name, OURS, "--variants=int8", f"--tune-for={'arm' if arm else 'x86'}")
        _convert(folder / name, PLAIN, "--no-rewrite")
    _convert(folder / COMPACT, KEPT, "--no-rewrite", "--no-compact", "--variants=int8")
    return {
        DENSE: "random weights, all channels live, dense1 weighs every place",
        COMPACT: "the shipped weights, without what can be left out of them",
    }


def random_arrays() -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return kernel and bias of each layer, for raw BGR bytes; all channels are live."""
    random = np.random.default_rng(20260101)
    return {
        spec.name: (
            random.normal(0, _SPREAD[spec.name], spec.kernel).astype(np.float32),
            random.normal(0.1, 0.05, spec.bias).astype(np.float32),
        )
        for spec in LAYERS
    }


def _convert(folder: Path, out: str, *options: str) -> None:
    command = [sys.executable, "-m", "convert", "--weights", str(folder / WEIGHTS)]
    command += ["--out", str(folder / out), "--rounds", "1", *options]
    subprocess.run(command, cwd=ROOT, check=True)
