"""Many pictures at once give what one after the other gives, in order and in bounded memory."""

from __future__ import annotations

import threading
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edge import Analysis, Analyzer, LesionEdgeError, PictureError, read_picture
from edge import analyzer as edge_analyzer
from edge.parallel import AHEAD, map_ordered, side_by_side
from tests.support.pictures import MODELS, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray


WAIT_S = 30
"""How long a test waits for what must happen, before it fails."""


def edge_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edge-")]


def answers(results: Iterator[tuple[Any, Analysis | LesionEdgeError]]) -> list[Any]:
    """Return what doesn't differ from one run to the next."""
    return [
        (type(result), str(result))
        if isinstance(result, LesionEdgeError)
        else (result.size_wh, result.label, result.probability, result.regions, result.warnings)
        for _, result in results
    ]


@settings(max_examples=50)
@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 5))
def test_results_come_in_order_however_long_each_takes(delays_ms: list[int], workers: int) -> None:
    def work(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 1e3)
        return item[0] * 10

    items = list(enumerate(delays_ms))
    found = list(map_ordered(items, lambda: work, workers=workers))
    assert found == [item[0] * 10 for item in items]
    assert edge_threads() == []


def test_a_slow_item_holds_its_place_while_the_others_are_done() -> None:
    others = threading.Semaphore(0)

    def work(item: int) -> int:
        if item:
            others.release()
        else:
            for _ in range(AHEAD):
                assert others.acquire(timeout=WAIT_S)
        return item

    assert list(map_ordered(range(20), lambda: work, workers=2)) == [*range(20)]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_no_more_items_are_taken_ahead_than_the_bound(workers: int) -> None:
    """So the memory of ten thousand pictures is that of a few."""
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1, 201):
            taken = number
            yield number

    for yielded, _ in enumerate(map_ordered(items(), lambda: str, workers=workers), 1):
        assert taken - yielded < workers * AHEAD


def test_each_worker_makes_its_function_once() -> None:
    made: list[str] = []

    def make() -> Callable[[int], int]:
        made.append(threading.current_thread().name)
        return abs

    list(map_ordered(range(50), make, workers=3))
    assert len(made) == len(set(made)) <= 3


def test_an_error_comes_where_its_result_would_and_ends_the_threads() -> None:
    def work(item: int) -> int:
        return 10 // (item - 3)

    results = map_ordered(range(100), lambda: work, workers=2)
    assert [next(results) for _ in range(3)] == [-4, -5, -10]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert edge_threads() == []
    with pytest.raises(StopIteration):
        next(results)


def test_closing_it_early_ends_the_threads() -> None:
    begun: list[int] = []
    results = map_ordered(count(), lambda: begun.append, workers=2)
    next(results)
    assert edge_threads()
    results.close()
    assert edge_threads() == []
    assert len(begun) <= 1 + 2 * AHEAD


def test_two_calls_run_side_by_side_and_both_have_ended() -> None:
    meeting = threading.Barrier(2)

    def meet(value: str) -> str:
        meeting.wait(WAIT_S)
        return value

    assert side_by_side(lambda: meet("aside"), lambda: meet("here")) == ("aside", "here")
    assert edge_threads() == []


@pytest.mark.parametrize("aside_fails", [True, False])
def test_an_error_of_either_call_is_raised_after_both_have_ended(aside_fails: bool) -> None:  # noqa: FBT001
    ended = []

    def fail() -> None:
        raise ValueError("this one")

    def succeed() -> None:
        time.sleep(0.01)
        ended.append(True)

    with pytest.raises(ValueError, match="this one"):
        side_by_side(*((fail, succeed) if aside_fails else (succeed, fail)))
    assert ended == [True]
    assert edge_threads() == []


@pytest.fixture(scope="module")
def analyzers() -> dict[int, Analyzer]:
    """Analyzers by their threads; those of two and three work side by side, on any machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edge_analyzer, "usable_cores", lambda: 4)
        return {threads: Analyzer(MODELS["int8"], threads=threads) for threads in (1, 2, 3)}


@settings(max_examples=50)
@given(
    image=hnp.arrays(
        np.uint8,
        st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)),
        elements=st.integers(0, 255),
    )
)
def test_side_by_side_gives_what_one_after_the_other_gives(
    analyzers: dict[int, Analyzer], image: NDArray[np.uint8]
) -> None:
    enlarged = image.repeat(9, axis=0).repeat(9, axis=1)
    found = [answers(iter([("", a.analyze(enlarged))])) for a in analyzers.values()]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_many_pictures_give_what_each_alone_gives(
    threads: int, analyzers: dict[int, Analyzer]
) -> None:
    """Whatever they are given as, with the bad ones among them reported in their place."""
    picture = read_picture(SAMPLES[1])
    sources: list[Any] = [
        SAMPLES[0],
        "nowhere.jpg",
        str(SAMPLES[1]),
        picture,
        picture.image_bgr,
        np.zeros((2, 2), np.uint8),
        *SAMPLES,
    ]

    def alone(source: Any) -> Analysis | LesionEdgeError:
        try:
            return analyzers[1].analyze(source)
        except LesionEdgeError as error:
            return error

    results = list(analyzers[threads].analyze_many(sources))
    assert all(got is source for (got, _), source in zip(results, sources, strict=True))
    assert answers(iter(results)) == answers((source, alone(source)) for source in sources)
    assert edge_threads() == []


def test_no_pictures_give_no_results(analyzers: dict[int, Analyzer]) -> None:
    assert list(analyzers[2].analyze_many([])) == []


def test_one_picture_needs_no_further_interpreter(
    analyzers: dict[int, Analyzer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.model.classifier.Classifier.sibling", None)
    ((_, result),) = analyzers[2].analyze_many([SAMPLES[0]])
    assert isinstance(result, Analysis)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_error_of_one_of_many_holds_neither_picture_nor_bytes(
    threads: int, analyzers: dict[int, Analyzer]
) -> None:
    """So that ten thousand of them can be kept."""
    sources = [SAMPLES[0], Path("nowhere.jpg"), SAMPLES[1]]
    results = [result for _, result in analyzers[threads].analyze_many(sources)]
    assert [isinstance(result, Analysis) for result in results] == [True, False, True]
    error = results[1]
    assert isinstance(error, PictureError)
    assert error.__traceback__ is None
    assert error.__cause__ is not None
    assert error.__cause__.__traceback__ is None


def test_leaving_many_pictures_early_ends_the_threads(analyzers: dict[int, Analyzer]) -> None:
    taken = 0

    def sources() -> Iterator[Path]:
        nonlocal taken
        for taken in count(1):
            yield SAMPLES[taken % len(SAMPLES)]

    results = analyzers[2].analyze_many(sources())
    next(results)
    results.close()
    assert edge_threads() == []
    assert taken <= 1 + 2 * AHEAD


def test_an_error_of_the_callers_own_ends_it(analyzers: dict[int, Analyzer]) -> None:
    def work(*_: object) -> None:
        raise RuntimeError("a fault of the caller's")

    with pytest.raises(RuntimeError, match="the caller's"):
        list(analyzers[2].map(work, SAMPLES))
    assert edge_threads() == []


def test_fault_65_an_error_carries_the_path_of_its_source(int8_analyzer: Analyzer) -> None:
    """As it was given, not as the message shows it."""
    path = "no: where\n.jpg"
    ((_, result),) = int8_analyzer.analyze_many([path])
    assert isinstance(result, PictureError)
    assert result.path == path
    with pytest.raises(PictureError) as caught:
        int8_analyzer.analyze(Path(path))
    assert caught.value.path == path
    with pytest.raises(PictureError) as caught:
        int8_analyzer.analyze(np.zeros((3, 3), np.uint8))
    assert caught.value.path is None
    assert set(result.to_dict()) == {"type", "message"}
