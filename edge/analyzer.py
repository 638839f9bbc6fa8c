"""The front door: a model, loaded once, that analyses pictures, one or many."""

from __future__ import annotations

import copy
import os
import time
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeAlias, TypeVar, Union

from edge.model.classifier import Classifier
from edge.model.rule import UNCERTAIN, Rule
from edge.picture.decode import (
    Picture,
    check_image,
    decode,
    name_of,
    read_bytes,
    within_memory,
)
from edge.picture.sharpness import BLURRED, is_blurred

from .errors import LesionEdgeError, ModelError
from .files import printable
from .parallel import default_threads, map_ordered, side_by_side, usable_cores
from .results import SEGMENTATIONS, UNFAMILIAR, Analysis, Timings
from .segmentation import MIN_AREA, Region, enlarge, find_regions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from edge.model.contract import Contract

    from .outline import Lesion

    Source: TypeAlias = Union[str, os.PathLike[str], NDArray[np.uint8], Picture]  # noqa: UP007

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Outcome(NamedTuple):
    """What became of one of many pictures."""

    source: Any
    """As it was given."""
    result: Analysis | LesionEdgeError


class Analyzer:
    """The package's front door: a model, loaded once, that analyses any number of pictures.

    >>> from edge import Analyzer
    >>> analysis = Analyzer().analyze("photo.jpg")       # doctest: +SKIP
    >>> analysis.label, analysis.probability             # doctest: +SKIP
    ('benign', 0.21)

    Several threads may call :meth:`analyze`; the model answers them one at a time, the rest of
    the work runs side by side.

    Args:
        model: the name of a model that the package ships (``notebook``, the default, or
            ``dermoscopy``), or a model file made by ``python -m convert``, or a folder of them.
        variant: ``int8``, ``float16``, ``float32`` or ``dynamic``, where the model has several;
            None is the one that is fastest on this processor, by the rule in
            :func:`edge.model.named.preferred`.  Their answers differ within the budget that
            each had to pass when it was converted.
        threads: how many cores to use; None is all that this process may, four at most.  The
            interpreter gets that many threads, and from two on the regions are found beside it;
            :meth:`analyze_many` works on that many pictures at once.  No answer depends on it.
        threshold: the probability from which on the label is the positive one (malignant), below
            it the most probable other; None is the model's own rule.  One of one's own has no
            band in which the label is ``uncertain``.
        operating_point: the name of one of the model's other rules, in place of a threshold.
        fast: decode JPEG files of 4 megapixels and more at reduced scale (see :func:`decode`).
            Their regions and probability are approximate, which a warning says.
        contract: the contract, a JSON file, of a TFLite file that has none of its own: someone's
            own model.  Its SHA-256 must be the one that the contract names.
        segmentation: what finds lesions: ``otsu``, the notebook's rule for regions; ``outline``,
            a network that the model brings; or ``both``.  None is what the model brings.
        explain: also find which parts of the picture the answer comes from, by asking the model
            121 times more (see :mod:`edge.explain`).

    Raises:
        ModelError: the model file is missing, damaged, or asks for what this runtime can't do; or
            it has no network for an outline that is asked for, or no such operating point or
            variant.
        RuntimeMissingError: no TFLite runtime that works is installed.
        ValueError: the threshold is not in 0..1 or there is an operating point beside it, there
            are fewer threads than one, or there is no such segmentation.

    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        variant: str | None = None,
        threads: int | None = None,
        threshold: float | None = None,
        operating_point: str | None = None,
        fast: bool = False,
        contract: str | os.PathLike[str] | None = None,
        segmentation: str | None = None,
        explain: bool = False,
    ) -> None:
        if threshold is not None and not 0.0 <= threshold <= 1.0:
            raise ValueError(f"threshold must be from 0 to 1, is {threshold}")
        if threshold is not None and operating_point is not None:
            raise ValueError("give a threshold or an operating point, not both")
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be 1 or more, is {threads}")
        if segmentation not in (None, *SEGMENTATIONS):
            known = ", ".join(SEGMENTATIONS)
            raise ValueError(f"segmentation must be one of {known}, is {segmentation!r}")
        self.threads = default_threads() if threads is None else threads
        self._classifier = Classifier(
            model, variant=variant, num_threads=self.threads, contract=contract
        )
        self.rule = self.contract.rule if threshold is None else Rule(threshold)
        """How labels are chosen."""
        if operating_point is not None:
            self.rule = self.contract.at(operating_point)
        self.fast, self._explain = fast, explain
        self.segmentation = segmentation or self.contract.segmentation
        """``otsu``, ``outline`` or ``both``."""
        # Made only where it is asked for: it is a network in memory.
        self._outline = None if self.segmentation == "otsu" else self._classifier.outline_network()
        if self._outline is None and self.segmentation != "otsu":
            raise ModelError(
                f"the model {self.contract.name!r} has no network for the lesion's outline; one "
                "that has: --model dermoscopy"
            )
        self.identity = self.contract.identity()
        """What answers: name, variant, SHA-256, and that of the outline's network if it runs."""
        if self._outline is not None:
            self.identity["outline_sha256"] = self._outline.outline.sha256
        self._beside = self.threads > 1 and usable_cores() > 1

    @property
    def contract(self) -> Contract:
        """The loaded model's contract."""
        return self._classifier.contract

    @property
    def threshold(self) -> float | None:
        """That of the rule in use, 0..1; None is the most probable label."""
        return self.rule.threshold

    def analyze(self, picture: Source) -> Analysis:
        """Analyse a picture.

        Args:
            picture: a path, an array (height, width, 3) of uint8 in BGR order, 0..255, as OpenCV
                reads it, or what :func:`read_picture` or :func:`decode` returned.

        Raises:
            PictureError: the picture can't be read, is too large for the memory that is free, or
                the array is not such an array.
            PredictionError: the model's output is no probability.

        """
        try:
            return self.analyze_decoded(self.open(picture))
        except LesionEdgeError as error:
            if error.path is None and isinstance(picture, str | os.PathLike):
                error.path = os.fspath(picture)
            raise

    def analyze_many(self, sources: Iterable[Source]) -> Generator[Outcome, None, None]:
        """Analyse many pictures, several at once, and yield each with its result, in order.

        A picture that fails gives its error in its place.  For the rest see :meth:`map`.

        Args:
            sources: what :meth:`analyze` takes, each.  An array must not be changed before its
                result came.

        """

        def answer(analyzer: Analyzer, source: Source) -> Outcome:
            try:
                return Outcome(source, analyzer.analyze(source))
            except LesionEdgeError as error:
                return Outcome(source, without_frames(error))

        return self.map(answer, sources)

    def map(
        self, function: Callable[[Analyzer, Item], Answer], items: Iterable[Item]
    ) -> Generator[Answer, None, None]:
        """Call ``function(analyzer, item)`` for each item, several at once; yield in order.

        On each of the ``threads`` the function gets an analyzer of that thread's own, for the same
        model in the same memory.  Items are taken on the caller's thread, at most four for each
        thread ahead of what is yielded, so memory stays flat however many there are, if the
        function lets go of each decoded picture.  Closing the generator ends the threads once
        each has finished its item.

        OpenCV's own threads win nothing beside these (1 % slower on two cores): a process that
        does nothing else with OpenCV may call ``cv2.setNumThreads(1)`` first, as ``python -m
        edge.run`` does.  This method leaves that setting, which is the whole process's, alone.

        Raises:
            Exception: whatever ``function`` or ``items`` raised.  The generator has then ended.

        """
        left = iter(items)
        first = list(islice(left, 2)) if self.threads > 1 else []
        if len(first) < 2:
            for item in chain(first, left):
                yield function(self, item)
            return

        def make_worker() -> Callable[[Item], Answer]:
            return partial(function, self._sibling())

        yield from map_ordered(chain(first, left), make_worker, workers=self.threads)

    def open(self, source: Source) -> Picture:
        """Return a decoded picture, as :meth:`analyze` would decode it; raises what that raises."""
        if isinstance(source, str | os.PathLike):
            return read_picture(source, fast=self.fast)
        return source if isinstance(source, Picture) else Picture(check_image(source))

    def analyze_decoded(self, picture: Picture) -> Analysis:
        """Analyse a picture that is decoded already; raises what :meth:`analyze` raises."""
        image_bgr = picture.image_bgr
        timings = Timings(decode=picture.decode_ms)

        warnings = [*picture.warnings]

        def segment() -> tuple[tuple[Region, ...], Lesion | None]:
            begun = time.perf_counter()
            regions: tuple[Region, ...] = ()
            lesion = None
            if self.segmentation != "outline":
                regions = find_regions(image_bgr, min_area=MIN_AREA / picture.scale**2)
                if picture.scale > 1:
                    regions = enlarge(regions, picture.scale, picture.size_wh)
            if (network := self._outline) is not None:
                from .outline import doubts, find_lesion  # no start without an outline pays for it

                probabilities = network.predict(image_bgr)
                lesion = find_lesion(probabilities, network.outline.threshold, picture.size_wh)
                warnings.extend(doubts(lesion, picture.size_wh))
            timings.segment = (time.perf_counter() - begun) * 1e3
            return regions, lesion

        def predict() -> tuple[NDArray[np.float64], float | None, bool]:
            return *self._classifier.answer(image_bgr, timings), is_blurred(image_bgr)

        started = time.perf_counter()
        with within_memory(picture.name):
            if self._beside:
                found, (probabilities, value, blurred) = side_by_side(segment, predict)
            else:
                found, (probabilities, value, blurred) = segment(), predict()
        familiar = self.contract.is_familiar(value)
        if familiar is False:
            warnings.insert(0, UNFAMILIAR)
        if blurred:
            warnings.append(BLURRED)
        timings.total = picture.decode_ms + (time.perf_counter() - started) * 1e3
        by_label = dict(zip(self.contract.labels, probabilities.tolist(), strict=True))
        probability, explanation = by_label[self.contract.positive], None
        if self._explain:
            from .explain import explain  # no start that doesn't ask pays for it

            started = time.perf_counter()
            with within_memory(picture.name):
                explanation = explain(image_bgr, self._classifier, probability, picture.size_wh)
            timings.explain = (time.perf_counter() - started) * 1e3
        return Analysis(
            size_wh=picture.size_wh,
            label=UNCERTAIN
            if familiar is False
            else self.contract.decide(probabilities, self.rule),
            probability=probability,
            threshold=self.rule.threshold,
            uncertain=self.rule.uncertain,
            familiar=familiar,
            operating_point=self.rule.operating_point,
            regions=found[0],
            timings_ms=timings,
            warnings=tuple(warnings),
            positive=self.contract.positive,
            image=picture.name,
            model=self.identity,
            probabilities=by_label,
            lesion=found[1],
            segmentation=self.segmentation,
            explanation=explanation,
        )

    def _sibling(self) -> Analyzer:
        other = copy.copy(self)
        other._classifier, other._beside = self._classifier.sibling(), False  # noqa: SLF001
        other._outline = self._outline and self._outline.sibling()  # noqa: SLF001
        return other


def read_picture(source: str | os.PathLike[str] | BinaryIO, *, fast: bool = False) -> Picture:
    """Read and decode a JPEG or PNG, upright by EXIF.

    Args:
        source: a file's path, or an open stream.
        fast: decode a JPEG of 4 megapixels and more at reduced scale (see :func:`decode`).

    Raises:
        PictureError: missing, unreadable, damaged, too large, or of another kind.

    """
    started = time.perf_counter()
    path = name_of(source)
    with within_memory(path):
        picture = decode(read_bytes(source), printable(path), fast=fast)
    return replace(picture, decode_ms=(time.perf_counter() - started) * 1e3, name=path)


def without_frames(error: LesionEdgeError) -> LesionEdgeError:
    """Return the error without the frames that it was raised in, which hold a whole picture."""
    error.__traceback__ = None
    if error.__cause__ is not None:
        error.__cause__.__traceback__ = None
    return error
