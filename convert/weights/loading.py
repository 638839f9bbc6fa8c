"""Gives a model that stands the weights of a file, by Keras' own loader."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import WeightsError

from .declared import one_line

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray


def load(model: keras.Model, hdf5: bytes, *, legacy: bool) -> list[NDArray[np.float32]]:
    """Load weights; return them in the order of ``model.weights``.

    Args:
        model: its float weights are NaN, so that those that the file lacks are seen.
        hdf5: a file that :func:`.storage.check_file` found sound.
        legacy: whether it is in the layout of Keras 1 and 2, as an .h5 of Keras 3 is, too.

    Raises:
        WeightsError: the weights are of another model, or some are missing, NaN or infinite.

    """
    with tempfile.TemporaryDirectory(prefix="lesion-edge-") as folder:
        # Keras goes by the name.
        path = Path(folder) / ("model.h5" if legacy else "model.weights.h5")
        path.write_bytes(hdf5)
        try:
            model.load_weights(path)
        except Exception as error:  # Keras answers another model's weights with nearly every one
            raise WeightsError(
                f"its weights don't fit the model that it describes ({one_line(error)}); save the "
                "model again with Keras"
            ) from error
    arrays = []
    for variable in model.weights:
        with np.errstate(over="ignore"):
            array = np.asarray(variable, np.float32)
        bad = int(array.size - np.count_nonzero(np.isfinite(array)))
        if bad:
            raise WeightsError(
                f"{variable.path} has {bad} weights that are NaN or infinite, or not in the file"
            )
        arrays.append(array)
    return arrays


def forget(model: Any) -> None:
    """Make all float weights of a model NaN, as :func:`load` wants it."""
    model.set_weights(
        [
            np.full(variable.shape, np.nan if "float" in str(variable.dtype) else 0, np.float32)
            for variable in model.weights
        ]
    )
