"""What a model answers for a picture: a TFLite file as it runs on a device, or a Keras file."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import cv2
import numpy as np

from convert.errors import UsageError
from convert.quantise.preprocessing import Preprocessing
from convert.weights.file import read_weights
from edge.analyzer import Analyzer
from edge.model.classifier import Classifier
from edge.model.preprocess import resize_into
from edge.model.rule import UNCERTAIN, Rule
from edge.outline import find_lesion

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.model.contract import Contract, InputSpec
    from edge.outline import Lesion
    from edge.picture.decode import Picture


class Answer(NamedTuple):
    """What a model says of a picture."""

    probability: float
    """P(positive), 0..1."""
    lesion: NDArray[np.bool_] | None
    """(height, width); None where no lesion is known."""
    uncertain: bool
    """Whether the label is ``uncertain``: for the contract's band, or for an unfamiliar picture."""


class Model(Protocol):
    """What can be judged."""

    contract: Contract
    rule: Rule
    outlines: bool
    """Whether it looks for the lesion's outline."""

    def answer(self, picture: Picture) -> Answer:
        """Return what the model says of a picture."""


class FileModel:
    """A TFLite file with a contract, or a shipped model's name, run by :class:`edge.Analyzer`."""

    def __init__(self, model: str, threshold: float | None = None) -> None:
        self._analyzer = Analyzer(model, threads=1, threshold=threshold)
        self.contract, self.rule = self._analyzer.contract, self._analyzer.rule
        self.outlines = self._analyzer.segmentation != "otsu"

    def answer(self, picture: Picture) -> Answer:
        """Return what the model says of a picture."""
        analysis = self._analyzer.analyze(picture)
        lesion = _mask(analysis.lesion, analysis.size_wh)
        return Answer(analysis.probability, lesion, analysis.label == UNCERTAIN)


class KerasModel:
    """A Keras file, and maybe its outline network, with what a contract says of their pixels.

    Args:
        files: the classifier's, and the outline network's if there is one.
        like: a TFLite file or a name whose contract tells pixels, resize rule and labels.

    Raises:
        UsageError: the contract doesn't tell what the Keras file's pixels mean.
        WeightsError: a file can't be read as such a network.

    """

    def __init__(self, files: list[Path], like: str, threshold: float | None = None) -> None:
        classifier = Classifier(like)
        self.contract, document = classifier.contract, classifier.document
        self.rule = self.contract.rule if threshold is None else Rule(threshold)
        self._network = _KerasNetwork(
            files[0],
            self.contract.input,
            document,
            like,
            familiar=self.contract.familiar is not None,
        )
        self._outline, self._outline_threshold = None, 0.0
        self.outlines = len(files) > 1
        if self.outlines:
            own = classifier.outline_network()
            if own is None:
                raise UsageError(f"{like}: has no network for the outline to compare {files[1]} to")
            spec = own.outline.graph.input
            self._outline = _KerasNetwork(files[1], spec, document["outline"], like, to_map=True)
            self._outline_threshold = own.outline.threshold

    def answer(self, picture: Picture) -> Answer:
        """Return what the model says of a picture."""
        values = self._network(picture.image_bgr)
        known = self.contract.is_familiar(float(values[-1]))
        if self.contract.output.activation == "sigmoid":
            values = np.array([1 - values[0], values[0]])
        probability = float(values[self.contract.positive_index])
        uncertain = known is False or self.rule.is_uncertain(probability)
        if self._outline is None:
            return Answer(probability, None, uncertain)
        found = self._outline(picture.image_bgr)[:, :, 0]
        lesion = find_lesion(found, self._outline_threshold, picture.size_wh)
        return Answer(probability, _mask(lesion, picture.size_wh), uncertain)


class _KerasNetwork:
    def __init__(
        self,
        file: Path,
        spec: InputSpec,
        document: Mapping[str, Any],
        like: str,
        *,
        familiar: bool = False,
        to_map: bool = False,
    ) -> None:
        try:
            said = document["weights"]["contract"]
            self._pixels = Preprocessing(
                said["channel_order"], tuple(said["scale"]), tuple(said["offset"])
            )
        except (KeyError, TypeError) as error:
            raise UsageError(f"{like}: its contract doesn't tell a Keras file's pixels") from error
        weights = read_weights(
            file, familiar=familiar, to_map=to_map, say=partial(print, file=sys.stderr)
        )
        self._model = weights.model
        self._spec = replace(spec, size_wh=weights.size_wh or spec.size_wh)

    def __call__(self, image_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        width, height = self._spec.size_wh
        resized = np.empty((height, width, 3), np.uint8)
        resize_into(image_bgr, resized, self._spec)
        inputs = self._pixels.apply(resized)[None]
        batch = np.asarray(self._model.predict_on_batch(inputs), np.float32)
        first: NDArray[np.float32] = batch[0]
        return first


def _mask(lesion: Lesion | None, size_wh: tuple[int, int]) -> NDArray[np.bool_] | None:
    if lesion is None:
        return None
    filled = np.zeros(size_wh[::-1], np.uint8)
    cv2.fillPoly(filled, lesion.polygons(size_wh, size_wh), 1)
    return filled > 0
