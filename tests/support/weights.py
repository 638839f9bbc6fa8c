"""Weights files: read in this process, which is quicker by the start of Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import WeightsError
from convert.weights import child
from convert.weights.file import read_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.network import NotebookWeights


def notebook_weights(path: Path) -> NotebookWeights:
    """Read a file that has to be of the notebook's network."""
    notebook = read_weights(path).notebook
    assert notebook is not None, path
    return notebook


def read_here(
    hdf5: bytes, request: dict[str, Any], say: Callable[[str], None]
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Stand in for ``convert.weights.file.read_apart``: the same without a process of its own."""
    del say
    answer, arrays = child.answer(request, hdf5, lambda: None)
    if "error" in answer:
        raise WeightsError("".join(c if c.isprintable() else "?" for c in answer["error"])[:600])
    return answer, np.concatenate([np.ravel(each) for each in [*arrays, np.zeros(0, np.float32)]])
