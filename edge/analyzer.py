"""The front door: a model, loaded once, that analyses pictures, one or many."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, TypeAlias, TypeGuard, TypeVar, Union

from edge.model.classifier import Classifier, usable_cores
from edge.picture.decode import Picture, check_image, decode, read_bytes, within_memory

from .errors import LesionEdgeError
from .files import printable
from .parallel import map_ordered, side_by_side
from .results import Analysis, Timings
from .segmentation import MIN_AREA, Region, enlarge, find_regions

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from edge.model.classifier import Prediction
    from edge.model.contract import Contract

    Source: TypeAlias = Union[str, os.PathLike[str], NDArray[np.uint8], Picture]  # noqa: UP007
    AnySource = TypeVar("AnySource", bound="Source | LesionEdgeError")


class Analyzer:
    """The package's front door: a model, loaded once, that analyses any number of pictures.

    >>> from edge import Analyzer
    >>> analysis = Analyzer().analyze("photo.jpg")       # doctest: +SKIP
    >>> analysis.label, analysis.probability             # doctest: +SKIP
    ('benign', 0.21)

    Several threads may call :meth:`analyze`; the model answers them one at a time, the rest of
    the work runs side by side.

    Args:
        model: a model file made by ``python -m convert``; None is the one that the package ships.
        threads: how many cores to use; None is all that this process may, four at most.  The
            interpreter gets that many threads, and from two on the regions are found beside it;
            :meth:`analyze_many` works on that many pictures at once.  No answer depends on it.
        threshold: the probability from which on the label is malignant; None is the model's own.
        fast: decode JPEG files of 4 megapixels and more at reduced scale (see :func:`decode`).
            Their regions and probability are approximate, which a warning says.
        contract: the contract, a JSON file, of a TFLite file that has none of its own: someone's
            own model.  Its SHA-256 must be the one that the contract names.

    Raises:
        ModelError: the model file is missing, damaged, or asks for what this runtime can't do.
        RuntimeMissingError: no TFLite runtime that works is installed.
        ValueError: the threshold is not in 0..1, or there are fewer threads than one.

    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        threads: int | None = None,
        threshold: float | None = None,
        fast: bool = False,
        contract: str | os.PathLike[str] | None = None,
    ) -> None:
        if threshold is not None and not 0.0 <= threshold <= 1.0:
            message = f"threshold must be from 0 to 1, is {threshold}"
            raise ValueError(message)
        if threads is not None and threads < 1:
            message = f"threads must be 1 or more, is {threads}"
            raise ValueError(message)
        self._classifier = Classifier(model, threads=threads, contract=contract)
        self.threshold = self.contract.threshold if threshold is None else threshold
        self.fast = fast
        self._beside = self._classifier.threads > 1 and usable_cores() > 1

    @property
    def contract(self) -> Contract:
        """The loaded model's contract."""
        return self._classifier.contract

    def analyze(self, picture: Source) -> Analysis:
        """Analyse a picture.

        Args:
            picture: a path (``"-"`` is standard input), an array (height, width, 3) of uint8 in
                BGR order, 0..255, as OpenCV reads it, or what :func:`read_picture` returned.

        Raises:
            PictureError: the picture can't be read, is too large for the memory that is free, or
                the array is not such an array.
            PredictionError: the model's output is no probability.

        """
        try:
            return self._analyze(self._open(picture), self._classifier, beside=self._beside)
        except LesionEdgeError as error:
            _about(error, picture)
            raise

    def analyze_many(
        self,
        sources: Iterable[AnySource],
        *,
        then: Callable[[AnySource, Picture, Analysis], object] | None = None,
    ) -> Generator[tuple[AnySource, Analysis | LesionEdgeError], None, None]:
        """Analyse many pictures, several at once, and yield each with its result, in order.

        Each of the ``threads`` has an interpreter of its own, and reads, segments and predicts
        one picture after another.  Sources are taken at most four for each thread ahead of the
        result that is yielded, and a decoded picture lives only while its thread has it, so
        memory stays flat however many there are.  A picture that fails gives its error in its
        place.  Closing the generator ends the threads once each has finished its picture.

        OpenCV's own threads win nothing beside these (1 % slower on two cores): a process that
        does nothing else with OpenCV may call ``cv2.setNumThreads(1)`` first, as ``python -m
        edge.run`` does.  This method leaves that setting, which is the whole process's, alone.

        Args:
            sources: what :meth:`analyze` takes, each; taken on the caller's thread.  An error
                among them is passed on in its place.  An array must not be changed before its
                result came.
            then: called with source, picture and analysis on the thread that made them, to save
                or to draw; a :class:`LesionEdgeError` that it raises becomes the result.

        Raises:
            Exception: anything but a :class:`LesionEdgeError` that ``then`` or ``sources``
                raised.  The generator has then ended.

        """

        def answer(
            source: AnySource, classifier: Classifier, *, beside: bool
        ) -> Analysis | LesionEdgeError:
            try:
                if isinstance(source, LesionEdgeError):
                    raise source
                picture = self._open(source)
                analysis = self._analyze(picture, classifier, beside=beside)
                if then is not None:
                    then(source, picture, analysis)
            except LesionEdgeError as error:
                return _without_frames(_about(error, source))
            return analysis

        def answer_here(source: AnySource) -> tuple[AnySource, Analysis | LesionEdgeError]:
            return source, answer(source, self._classifier, beside=self._beside)

        def make_worker() -> Callable[[AnySource], Analysis | LesionEdgeError]:
            classifier = self._classifier.sibling()
            return lambda source: answer(source, classifier, beside=False)

        threads = self._classifier.threads
        left = iter(sources)
        first = list(islice(left, 2)) if threads > 1 else []
        if len(first) < 2:
            yield from map(answer_here, chain(first, left))
            return
        left = chain(first, left)
        while True:
            # Standard input may be long in coming: the results before it don't wait for it, and
            # no worker does, so that an interrupt finds none that can't be ended.
            standard_input: list[AnySource] = []
            yield from map_ordered(_until_stdin(left, standard_input), make_worker, workers=threads)
            if not standard_input:
                return
            yield from map(answer_here, standard_input)

    def _open(self, source: Source) -> Picture:
        if _is_path(source):
            return read_picture(source, fast=self.fast)
        return source if isinstance(source, Picture) else Picture(check_image(source))

    def _analyze(self, picture: Picture, classifier: Classifier, *, beside: bool) -> Analysis:
        image_bgr = picture.image_bgr

        def segment() -> tuple[tuple[Region, ...], float]:
            begun = time.perf_counter()
            regions = find_regions(image_bgr, min_area=MIN_AREA / picture.scale**2)
            if picture.scale > 1:
                regions = enlarge(regions, picture.scale, picture.size_wh)
            return regions, (time.perf_counter() - begun) * 1e3

        def predict() -> Prediction:
            return classifier.predict(image_bgr)

        started = time.perf_counter()
        with within_memory(picture.name):
            if beside:
                (regions, segment_ms), prediction = side_by_side(segment, predict)
            else:
                (regions, segment_ms), prediction = segment(), predict()
        finished = time.perf_counter()
        return Analysis(
            size_wh=picture.size_wh,
            label=self.contract.label(prediction.probability, self.threshold),
            probability=prediction.probability,
            threshold=self.threshold,
            regions=regions,
            timings_ms=Timings(
                decode=picture.decode_ms,
                segment=segment_ms,
                resize=prediction.resize_ms,
                invoke=prediction.invoke_ms,
                total=picture.decode_ms + (finished - started) * 1e3,
            ),
            warnings=picture.warnings,
            positive=self.contract.labels[1],
        )


def read_picture(path: str | os.PathLike[str], *, fast: bool = False) -> Picture:
    """Read and decode a JPEG or PNG file (``"-"`` is standard input), upright by EXIF.

    Args:
        path: the file.
        fast: decode a JPEG of 4 megapixels and more at reduced scale (see :func:`decode`).

    Raises:
        PictureError: missing, unreadable, damaged, too large, or of another kind.

    """
    started = time.perf_counter()
    name = printable(path)
    with within_memory(name):
        picture = decode(read_bytes(path), name, fast=fast)
    return replace(picture, decode_ms=(time.perf_counter() - started) * 1e3)


def _until_stdin(sources: Iterator[AnySource], held: list[AnySource]) -> Iterator[AnySource]:
    """Yield sources up to standard input, which goes to ``held``."""
    for source in sources:
        if _is_stdin(source):
            held.append(source)
            return
        yield source


def _is_stdin(source: object) -> bool:
    return _is_path(source) and os.fspath(source) == "-"


def _is_path(source: object) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(source, str) or hasattr(source, "__fspath__")


def _about(error: LesionEdgeError, source: object) -> LesionEdgeError:
    """Return the error with the path of what it is about."""
    if error.path is None and _is_path(source):
        error.path = os.fspath(source)
    return error


def _without_frames(error: LesionEdgeError) -> LesionEdgeError:
    # They hold the picture and its bytes, for as long as the caller keeps the error.
    error.__traceback__ = None
    if error.__cause__ is not None:
        error.__cause__.__traceback__ = None
    return error
