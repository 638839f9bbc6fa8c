"""The second network that a model file may bring: a picture in, P(lesion) at each place out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .contract import parse_input, parse_output
from .network import Graph, Network
from .reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from edge.results import Timings


@dataclass(frozen=True, slots=True)
class Outline:
    """The network's graph, and what its map means."""

    graph: Graph
    threshold: float
    """Lesion is where P(lesion) is at least this."""
    sha256: str
    """Of the flatbuffer, hexadecimal."""


def parse_outline(document: Mapping[str, Any], flatbuffer: bytes, name: str) -> Outline:
    """Check what a contract says of the network, and return it.

    Args:
        document: the whole contract, one that :func:`edge.model.contract.parse_contract` took.
        flatbuffer: the network, as the model file has it.
        name: what to call the model file in an error.

    Raises:
        ModelError: a key is missing or has a value that this runtime can't honour.

    """
    read = Reader(document, name).inside("outline")
    spec = parse_input(read)
    if spec.resize != "stretch":
        # A map of a part of the picture, or with black bars, would have to be put in its place.
        raise read.refuse("input.resize", "'stretch'", spec.resize)
    title = f"the outline network of {document['name']!r}"
    graph = Graph(flatbuffer, spec, parse_output(read, ("sigmoid",)), None, title)
    return Outline(graph, read.number("threshold", 0.0, 1.0), read.text("flatbuffer.sha256"))


class OutlineNetwork(Network):
    """The network in an interpreter of one thread.  Several threads may call :meth:`predict`.

    Args:
        outline: what runs.
        name: what to call the model file in an error.

    Raises:
        ModelError: the graph isn't as the contract says, or this runtime can't run it.
        RuntimeMissingError: no TFLite runtime that works is installed.

    """

    def __init__(self, outline: Outline, name: str) -> None:
        super().__init__(outline.graph, f"{name}: outline.tflite")
        self.outline = outline

    def predict(
        self, image_bgr: NDArray[np.uint8], timings: Timings | None = None
    ) -> NDArray[np.float32]:
        """Return P(lesion) at the places of a grid that covers the whole picture.

        Args:
            image_bgr: (height, width, 3) uint8, BGR, 0..255.
            timings: gets the milliseconds of ``resize`` and ``invoke``.

        Returns:
            (rows, columns), 0..1, of the network's own size.

        Raises:
            PredictionError: the network's output is no probability.

        """
        return self._run(image_bgr, np.float32, timings)[:, :, 0]
