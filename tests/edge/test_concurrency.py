"""Many threads, many processes, and a model file that changes under them."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from edge import Analyzer, ModelError, read_picture
from edge import analyzer as edge_analyzer
from edge.files import write_atomically
from tests.support.notebook import imread
from tests.support.pictures import HELD_OUT, MODELS, ROOT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

THREADS = 200
WAIT_S = 120


def answer(analyzer: Analyzer, source: Any) -> tuple[Any, ...]:
    found = analyzer.analyze(source)
    return (found.label, found.probability, found.regions, found.size_wh, found.warnings)


@pytest.mark.parametrize("threads", [1, 2])
def test_fault_26_200_threads_over_one_analyzer_give_the_answers_of_one(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 26: paths, pictures and arrays; also where each call has a thread beside it."""
    monkeypatch.setattr(edge_analyzer, "usable_cores", lambda: 4)
    analyzer = Analyzer(MODELS["int8"], threads=threads)
    pictures = [read_picture(path) for path in SAMPLES]
    sources: list[Any] = [*SAMPLES, *pictures, *(picture.image_bgr for picture in pictures)]
    expected = [answer(analyzer, source) for source in sources]
    assert len({probability for _, probability, *_ in expected}) == len(SAMPLES)
    together = threading.Barrier(THREADS)

    def work(number: int) -> list[tuple[Any, ...]]:
        together.wait(WAIT_S)
        # Each begins elsewhere, so that at any time there are all pictures at once.
        turned = [(number + step) % len(sources) for step in range(2)]
        return [(index, *answer(analyzer, sources[index])) for index in turned]

    with ThreadPoolExecutor(THREADS) as pool:
        results = list(pool.map(work, range(THREADS)))
    assert len(results) == THREADS
    for result in results:
        for index, *found in result:
            assert tuple(found) == expected[index]


def test_fault_26_many_calls_of_analyze_many_share_an_analyzer() -> None:
    """FAULTS 26: each has interpreters of its own, over the same weights."""
    analyzer = Analyzer(MODELS["int8"], threads=2)
    expected = [answer(analyzer, path) for path in SAMPLES]

    def work(_: int) -> list[float]:
        return [found.probability for _, found in analyzer.analyze_many(SAMPLES)]  # type: ignore[union-attr]

    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(work, range(8)):
            assert result == [probability for _, probability, *_ in expected]


def test_several_processes_over_one_output_folder_leave_whole_files_only(tmp_path: Path) -> None:
    """The same names from each: whoever is last wins, and nobody finds half a picture."""
    out = tmp_path / "out"
    pictures = [str(path) for path in (*SAMPLES, *HELD_OUT[:10])]
    alone = tmp_path / "alone"
    command = [sys.executable, "-m", "edge.run", *pictures, "--save"]
    subprocess.run([*command, str(alone)], cwd=ROOT, check=True, capture_output=True)
    processes = [
        subprocess.Popen(
            [*command, str(out)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    seen = 0
    while any(process.poll() is None for process in processes):
        for path in out.glob("*_annotated.jpg"):
            seen += 1
            assert path.read_bytes() == (alone / path.name).read_bytes()
    assert seen, "nothing was looked at while they wrote"
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    names = sorted(path.name for path in alone.iterdir())
    assert len(names) == len(pictures)
    assert sorted(path.name for path in out.iterdir()) == names, "and no temporary file is left"
    for name in names:
        assert imread(out / name).shape == imread(alone / name).shape


def swap(path: Path, contents: list[bytes], stop: threading.Event, *, whole: bool) -> None:
    """Replace the file over and over, by renaming or, half written for a while, in place."""
    turn = 0
    while not stop.is_set():
        turn += 1
        data = contents[turn % len(contents)]
        if whole:
            write_atomically(path, data)
        else:
            with path.open("r+b") as stream:
                stream.write(data[: len(data) // 2])
                stream.flush()
                stream.write(data[len(data) // 2 :])
                stream.truncate()


@pytest.mark.parametrize("whole", [True, False], ids=["renamed", "in place"])
def test_fault_23_a_model_replaced_while_running_changes_no_answer(
    whole: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    """FAULTS 23: what runs has its own bytes; what is loaded anew is one model or none."""
    path = tmp_path / "model.tflite"
    contents = [MODELS["int8"].read_bytes(), MODELS["float32"].read_bytes(), b"no model"]
    path.write_bytes(contents[0])
    picture = read_picture(SAMPLES[0])
    answers = {
        contents[index]: Analyzer(MODELS[variant], threads=1).analyze(picture).probability
        for index, variant in enumerate(("int8", "float32"))
    }
    running = Analyzer(path, threads=1)
    stop = threading.Event()
    swapper = threading.Thread(target=swap, args=(path, contents, stop), kwargs={"whole": whole})
    swapper.start()
    loaded = refused = 0
    try:
        while min(loaded, refused) < 20:
            assert running.analyze(picture).probability == answers[contents[0]]
            try:
                probability = Analyzer(path, threads=1).analyze(picture).probability
            except ModelError:
                refused += 1
            else:
                loaded += 1
                assert probability in answers.values()
    finally:
        stop.set()
        swapper.join(WAIT_S)


def test_a_picture_replaced_while_it_is_read_is_one_or_the_other(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    images = [np.full((90, 90, 3), value, np.uint8) for value in (40, 200)]
    contents = [cv2.imencode(".png", image)[1].tobytes() for image in images]
    path.write_bytes(contents[0])
    stop = threading.Event()
    swapper = threading.Thread(target=swap, args=(path, contents, stop), kwargs={"whole": True})
    swapper.start()
    try:
        for _ in range(200):
            image = read_picture(path).image_bgr
            assert any((image == expected).all() for expected in images)
    finally:
        stop.set()
        swapper.join(WAIT_S)
