"""The study of other runtimes: who is timed, what a stored figure is, and its report."""

from __future__ import annotations

import copy
import json
import math
import os
import sys
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.study import measure, report
from benchmarks.study.networks import COMPACT, DENSE, random_arrays
from benchmarks.study.peers import PEERS, PLAIN_INT8, PLAIN_KEPT, REWRITTEN, Peer
from benchmarks.study.report import aims, to_markdown, verdict
from benchmarks.study.timing import WrongAnswerError, check_answers, figures, time_routes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.mark.parametrize("answer", [math.nan, math.inf, 0.8])
def test_a_wrong_answer_is_refused(answer: float) -> None:
    with pytest.raises(WrongAnswerError, match="its probability is off"):
        check_answers([0.5, answer], [0.5, 0.2])


def test_a_right_answer_gives_its_distance() -> None:
    assert check_answers([0.5, 0.21], [0.5, 0.2]) == pytest.approx(0.01)


def test_answers_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        check_answers([0.5, 0.2], [0.5, 0.2, 0.1])


class _Route:
    def __init__(self, answer: float = 0.5) -> None:
        self.loaded: list[int] = []
        self.invoked = 0
        self._answer = answer

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        self.loaded.append(int(image_bgr[0, 0, 0]))

    def invoke(self) -> float:
        self.invoked += 1
        return self._answer


PICTURES = [np.full((2, 2, 3), value, np.uint8) for value in range(3)]


def test_each_route_takes_its_turn_on_each_picture() -> None:
    routes = {"one": _Route(), "other": _Route()}
    turns = time_routes(routes, PICTURES, rounds=4, threads=1)
    for name, route in routes.items():
        assert route.loaded == [2, 0, 1, 2, 0]  # one turn more before, which is left out
        assert route.invoked == 5 * 6
        assert [len(turn) for turn in turns[name]] == [6] * 4


def test_the_first_invoke_of_a_turn_is_counted_apart() -> None:
    ours, others = [[9.0, 1.0, 1.0], [9.0, 2.0, 2.0]], [[18.0, 3.0, 3.0], [18.0, 6.0, 6.0]]
    found = figures(others, ours)
    assert (found["times_ours"]["p50"], found["first_times_ours"]["p50"]) == (3.0, 2.0)
    assert (found["ms"]["n"], found["ms"]["p50"]) == (4, 4500.0)
    assert (found["first_ms"]["n"], found["first_ms"]["p50"]) == (2, 18000.0)


def test_the_dense_network_has_nothing_to_leave_out() -> None:
    """Each weight counts: no channel is constant and dense1 weighs every place."""
    for kernel, bias in random_arrays().values():
        assert np.all(kernel != 0)
        assert np.all(bias != 0)


def _peer(answer: float | Exception, name: str = "a peer") -> Peer:
    def load(_folder: Path, _threads: int) -> _Route:
        if isinstance(answer, Exception):
            raise answer
        return _Route(answer)

    return Peer(name, ("numpy",), "as advised", "", load)


def test_a_peer_that_answers_otherwise_or_fails_is_not_timed(tmp_path: Path) -> None:
    def open_one(peer: Peer) -> tuple[dict[str, Any], Any]:
        return measure.open_checked(peer, tmp_path, 1, PICTURES, [0.5, 0.5, 0.5])

    entry, route = open_one(_peer(0.52))
    assert entry["max_delta"] == pytest.approx(0.02)
    assert entry["versions"] == {"numpy": np.__version__}
    assert isinstance(route, _Route)
    assert open_one(_peer(0.7)) == ({"refused": "its probability is off by 0.2, over 0.05"}, None)
    assert open_one(_peer(OSError("first\nsecond"))) == ({"missing": "OSError: first"}, None)


def test_a_peer_that_crashes_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answers first in a process of its own, so a crash is no end of the measurement."""
    with pytest.raises(BrokenProcessPool) as crash:
        measure.apart(os._exit, 3)
    outcomes: dict[str, float | Exception] = {
        "crashed": crash.value,
        "missing": ImportError("no module"),
        "good": 2.0,
    }

    def apart(_function: object, name: str | Path, *_: object) -> float:
        outcome = outcomes.get(str(name), 0.0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(measure, "apart", apart)
    monkeypatch.setattr(measure, "PEERS", [_peer(0.5, name) for name in outcomes])
    made = measure.prepare(tmp_path)
    assert made["peak_mb"] == {"good": 2.0}
    assert made["missing"] == {
        "crashed": "its process died",
        "missing": "ImportError: no module; pip install '.[study]'",
    }


def test_every_peer_has_a_name_of_its_own() -> None:
    names = [peer.name for peer in PEERS]
    assert len(set(names)) == len(names)
    assert {PLAIN_INT8, PLAIN_KEPT, REWRITTEN} <= set(names)


def test_a_result_names_no_folder(tmp_path: Path) -> None:
    told = {"missing": f"{tmp_path}/dense/model.onnx: no such file", "list": [1.5, None]}
    cleaned = measure.without_folders(told, [tmp_path])
    assert cleaned == {"missing": "dense/model.onnx: no such file", "list": [1.5, None]}


def _entry(ms: float, times: float, *, ours: bool = False) -> dict[str, Any]:
    timed = {"n": 20, "min": ms, "p50": ms, "p95": 2 * ms, "p99": 3 * ms}
    ratio = {"p5": times - 0.1, "p50": times, "p95": times + 0.1}
    entry = {"ms": timed, "first_ms": timed, "times_ours": ratio, "first_times_ours": ratio}
    told = {"max_delta": 0.001, "setup": "as advised", "ours": ours, "versions": {"package": "1.2"}}
    return entry | told


@pytest.fixture
def result() -> dict[str, Any]:
    """A small result, made up."""
    ours = _entry(1.0, 1.0, ours=True)
    sets = {
        DENSE: {
            REWRITTEN: ours,
            PLAIN_INT8: _entry(1.4, 1.4),
            "Peer A": _entry(1.2, 1.2),
            "Peer B": {"missing": "peer-b is not installed"},
            "Peer C": {"refused": "its probability is off by nan"},
        },
        COMPACT: {REWRITTEN: ours, PLAIN_INT8: _entry(3, 3), PLAIN_KEPT: _entry(4, 4)},
        "gathered": {"Peer A": _entry(1.5, 1.5)},
    }
    whole = {
        "picture": "one.jpg",
        "ms": dict.fromkeys(("notebook", DENSE, COMPACT), _entry(1, 1)["ms"]),
        "notebook_times_ours": {n: {"p5": 11, "p50": 12, "p95": 13} for n in (DENSE, COMPACT)},
        "peak_mb": {"notebook": 700, DENSE: 90, COMPACT: 70},
    }
    state = {"governor": ["performance"], "mhz": None}
    return {
        "created": "2026-01-01T00:00:00Z",
        "throttled": [],
        "environment": {
            "cpu": "Made Up",
            "board": None,
            "flags": [],
            "before": state,
            "after": state,
        },
        "sets": {name: {"origin": "made up", "peak_mb": {PLAIN_INT8: 70.0}} for name in sets},
        "cold": whole,
        "threads": {"1": {"rounds": 4, "sets": sets, "whole": whole}},
    }


def test_each_aim_is_judged(result: dict[str, Any]) -> None:
    found = [
        (measured["p50"], verdict(wanted, measured))
        for *_, wanted, measured in aims(result)
        if measured
    ]
    assert found == [
        (1.4, "met"),
        (1.2, "not met"),
        (4, "met"),
        (1.5, "met"),
        (12, "met"),
        (12, "not met"),
    ]
    assert [against for _, against, _, _ in aims(result)][3] == (
        "Peer A (channels and places compacted)"
    )


def test_an_aim_without_figures_is_not_met(result: dict[str, Any]) -> None:
    result["threads"]["1"]["sets"][DENSE] = {PLAIN_INT8: {"missing": "not here"}}
    verdicts = [verdict(wanted, measured) for *_, wanted, measured in aims(result)]
    assert verdicts[:2] == ["not measured"] * 2


def test_the_report_names_who_was_not_timed(result: dict[str, Any]) -> None:
    text = to_markdown(result, ["latency.png"])
    assert "- Peer B: **missing**, peer-b is not installed" in text
    assert "- Peer C: **refused**, its probability is off by nan" in text
    assert "![latency](latency.png)" in text
    assert "**not met**" in text
    assert "THROTTLED" not in text


def test_a_throttled_run_is_marked(result: dict[str, Any]) -> None:
    throttled = copy.deepcopy(result)
    throttled["throttled"] = ["the processor throttled 2 times"]
    text = to_markdown(throttled, [])
    assert "**THROTTLED: the processor throttled 2 times." in text.split("## Aims")[0]


def test_the_report_is_written_beside_each_result(
    result: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "made-up"
    folder.mkdir()
    (folder / report.RESULT).write_text(json.dumps(result))
    # As without matplotlib.
    monkeypatch.setitem(sys.modules, "benchmarks.study.plots", None)
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    assert report.main() == 0
    assert (folder / report.REPORT).read_text().startswith("# Made Up\n")


def test_without_results_the_report_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    assert report.main() == 1
    assert "python -m benchmarks.study.measure" in capsys.readouterr().err


STORED = sorted(report.RESULTS.glob(f"*/{report.RESULT}"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.parent.name)
def test_a_stored_result_names_no_folder_and_its_report_is_of_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not any(folder in text for folder in ("/home/", "/root/", "/tmp/", "/work/"))
    plots = sorted(plot.name for plot in path.parent.glob("*.png"))
    stored = (path.parent / report.REPORT).read_text(encoding="utf-8")
    assert stored == to_markdown(json.loads(text), plots)
