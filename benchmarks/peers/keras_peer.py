"""Keras: ``model.predict`` as the notebook calls it, and the model called directly.

Keras' own advice for a batch that fits in one go is to call the model; ``predict`` is made for
loops over many batches.  A compiled function around the call is what its documentation offers
beyond that (``tf.function``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .base import MissingPeerError, Peer, require_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from .base import Network

_FILE = "arrays.npz"


def set_threads(threads: int) -> None:
    """Limit TensorFlow; works only before its first operation."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _make(network: Network, folder: Path) -> None:
    require_picture(network)
    flat = {f"{n}.{i}": a for n, pair in network.arrays.items() for i, a in enumerate(pair)}
    np.savez(folder / _FILE, side=np.asarray(network.side), **flat)  # type: ignore[arg-type]


class _Predict:
    def __init__(self, model: Any) -> None:
        self._model = model
        self._input: Any = None

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        self._input = image_bgr[None].astype(np.float32)

    def invoke(self) -> float:
        return float(self._model.predict(self._input, verbose=0)[0, 0])


class _Call(_Predict):
    def __init__(self, model: Any) -> None:
        import tensorflow as tf

        super().__init__(model)
        self._tensor: Any = None
        self._call = tf.function(lambda x: model(x, training=False))

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        import tensorflow as tf

        self._tensor = tf.constant(image_bgr[None].astype(np.float32))

    def invoke(self) -> float:
        return float(self._call(self._tensor).numpy()[0, 0])


def _opener(route: Callable[[Any], _Predict]) -> Callable[[Path, int], _Predict]:
    def load(folder: Path, threads: int) -> _Predict:
        try:
            set_threads(threads)
        except ImportError as error:
            raise MissingPeerError(str(error)) from error
        except RuntimeError:
            pass  # TensorFlow has begun: whoever began set the threads
        from convert.rewrite import build_compacted

        with np.load(folder / _FILE) as arrays:
            names = ("conv1", "conv2", "dense1", "dense2")
            pairs = {n: (arrays[f"{n}.0"], arrays[f"{n}.1"]) for n in names}
            side = int(arrays["side"])
            return route(build_compacted(pairs, (side, side)))

    return load


_PACKAGES = ("keras", "tensorflow")
PEERS = (
    Peer("Keras, model.predict", _PACKAGES, "as in the notebook", _make, _opener(_Predict)),
    Peer("Keras, called directly", _PACKAGES, "in a tf.function", _make, _opener(_Call)),
)
