"""Weights files, for tests of the notebook's network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.weights.file import read_weights

if TYPE_CHECKING:
    from pathlib import Path

    from convert.network import NotebookWeights


def notebook_weights(path: Path) -> NotebookWeights:
    """Read a file that has to be of the notebook's network."""
    notebook = read_weights(path).notebook
    assert notebook is not None, path
    return notebook
