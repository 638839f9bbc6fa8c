"""Files of whole models: what is read of them, beside what Keras itself makes of the file."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CANARY = "tests.fuzz.canary"
_LARGEST = 256 * 256
"""A larger picture is not asked about: that would take seconds."""


def prepare_whole(folder: Path) -> Callable[[bytes], None]:
    """Return a check that no code is run, and that what is accepted answers as in Keras.

    The file is read in this process: to start Keras takes seconds.  The HDF5 library, which some
    damage crashes or sends round for ever, is at it in a process of its own first, as ever.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import numpy as np

    from convert.weights.apart import read_apart
    from convert.weights.file import read_weights
    from tests.support.weights import read_here

    def read(hdf5: bytes, request: dict[str, Any], say: Any) -> Any:
        read_apart(hdf5, {**request, "check": True}, say)
        return read_here(hdf5, request, say)

    sys.modules["convert.weights.file"].read_apart = read  # type: ignore[attr-defined]
    generator = np.random.default_rng(0)

    def answers(model: Any, image: Any) -> Any:
        return np.asarray(keras.tree.flatten(model(image, training=False))[0])

    def check(data: bytes) -> None:
        path = folder / ("model.keras" if data.startswith(b"PK") else "model.h5")
        path.write_bytes(data)
        keras.backend.clear_session()
        sys.modules.pop(_CANARY, None)
        try:
            weights = read_weights(path)
        finally:
            assert _CANARY not in sys.modules, "code of the file was run"
        width, height = weights.size_wh or (16, 16)
        if width * height > _LARGEST:
            return
        image = generator.uniform(-3, 3, (1, height, width, 3)).astype(np.float32)
        found = answers(weights.model, image)
        assert found.shape == (1, weights.outputs)
        try:
            expected = answers(keras.saving.load_model(path, compile=False), image)
        except Exception:  # noqa: BLE001 - what Keras refuses, there is nothing to compare with
            return
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)

    return check
