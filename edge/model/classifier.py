"""A model file's classifier: a picture in, a probability for each label out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import PredictionError
from edge.files import printable

from .contract import Contract, parse_contract
from .interpreter import complete, make_interpreter
from .load import load_model_file
from .named import find_model
from .network import Graph, Network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.results import Timings

    from .outline import Outline, OutlineNetwork


_SUM = 1e-3
"""How far from 1 a softmax's float32 sum may be."""


class Classifier(Network):
    """A model file, checked and loaded.  Several threads may call :meth:`predict`.

    Args:
        model: a model's name, file or folder (see :mod:`edge.model.named`); None is the default.
        variant: the one to take where there are several; None is the processor's.
        num_threads: the interpreter's threads.
        contract: the contract, a JSON file, of a TFLite file that has none of its own.

    Raises:
        ModelError: a file is missing, damaged, or asks for what this runtime can't do.
        RuntimeMissingError: no TFLite runtime that works is installed.

    """

    contract: Contract
    document: dict[str, Any]
    """The whole contract, as parsed from the model file's ``model.json``."""

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        variant: str | None = None,
        num_threads: int = 1,
        contract: str | os.PathLike[str] | None = None,
    ) -> None:
        path = find_model(model, variant)
        name = printable(os.path.basename(path))
        file = load_model_file(path, contract)
        self.document = file.document
        interpreter = None
        if contract is not None:
            interpreter = make_interpreter(file.flatbuffer, num_threads, name)
            self.document = complete(self.document, interpreter, name)
        self.contract = parse_contract(self.document, name)
        self._outline: Outline | None = None
        if file.outline is not None:
            from .outline import parse_outline  # no start without an outline pays for it

            self._outline = parse_outline(self.document, file.outline, name)
        graph = Graph(
            file.flatbuffer,
            self.contract.input,
            self.contract.output,
            (1 if self.contract.output.activation == "sigmoid" else len(self.contract.labels))
            + (self.contract.familiar is not None),
            f"the model {self.contract.name!r}",
        )
        super().__init__(graph, name, num_threads=num_threads, interpreter=interpreter)

    def outline_network(self) -> OutlineNetwork | None:
        """Return the network that outlines the lesion, in an interpreter that is made now.

        None where the model brings none.  Raises what the class raises.
        """
        if self._outline is None:
            return None
        from .outline import OutlineNetwork

        return OutlineNetwork(self._outline, self._name)

    def predict(
        self, image_bgr: NDArray[np.uint8], timings: Timings | None = None
    ) -> NDArray[np.float64]:
        """Return the probability of each of the contract's labels for a picture.

        Args:
            image_bgr: (height, width, 3) uint8, BGR, 0..255.
            timings: gets the milliseconds of ``resize`` and ``invoke``.

        Returns:
            (number of labels,), each 0..1; their sum is 1, as exactly as the output's encoding has
            it.

        Raises:
            PredictionError: the model's output is no probability (NaN, infinite, not in 0..1, or
                those of a softmax don't add up to 1).

        """
        return self.answer(image_bgr, timings)[0]

    def answer(
        self, image_bgr: NDArray[np.uint8], timings: Timings | None = None
    ) -> tuple[NDArray[np.float64], float | None]:
        """Return what :meth:`predict` does, and how familiar the picture is.

        The latter is 0..1, for :meth:`.Contract.is_familiar`; None where the model doesn't say.
        Arguments and errors are those of :meth:`predict`.
        """
        values = self._run(image_bgr, np.float64, timings)
        familiar = None
        if self.contract.familiar is not None:
            values, familiar = values[:-1], float(values[-1])
        return self._probabilities(values), familiar

    def _probabilities(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.contract.output.activation == "sigmoid":
            return np.array([1.0 - values[0], values[0]])
        total = float(values.sum())
        if not abs(total - 1.0) <= _SUM + self._slack * len(values):
            raise PredictionError(
                f"the model {self.contract.name!r} answered probabilities that add up to "
                f"{total:.4g}, not 1"
            )
        return values
