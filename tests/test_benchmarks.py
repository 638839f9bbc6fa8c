"""The benchmarks' arithmetic and reports, without a peer and without a clock."""

from __future__ import annotations

import copy
import json
import math
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks import environment, measure, percentiles, prepare, report, session, weight_sets
from benchmarks.aims import aims
from benchmarks.names import COMPACT, DENSE, GATHERED, PLAIN, PLAIN_UNCOMPACTED, REWRITTEN
from benchmarks.peers import (
    PEERS,
    MissingPeerError,
    Network,
    WrongAnswerError,
    check_answers,
    litert,
    reason,
)
from benchmarks.render import to_markdown
from convert.errors import UsageError
from convert.rewrite import compact, find_lattice

from .conftest import run_module
from .pictures import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def test_percentiles_leave_no_outlier_out() -> None:
    figures = percentiles.summary([0.001] * 99 + [1.0])
    assert (figures["n"], figures["min"], figures["p50"]) == (100, 1.0, 1.0)
    assert figures["p99"] == pytest.approx(1 + 0.01 * 999)


def test_a_slow_spell_that_meets_both_leaves_the_ratio() -> None:
    ours = [[1.0, 1.0, 9.0], [5.0, 5.0, 5.0]]
    others = [[2.0, 2.0, 2.0], [10.0, 10.0, 90.0]]
    assert percentiles.ratio(others, ours) == {"p5": 2.0, "p50": 2.0, "p95": 2.0}


@pytest.mark.parametrize("answer", [math.nan, math.inf, 0.8])
def test_a_wrong_answer_is_refused(answer: float) -> None:
    with pytest.raises(WrongAnswerError, match="a peer: its probability is off"):
        check_answers("a peer", [0.5, answer], [0.5, 0.2])


def test_a_right_answer_gives_its_distance() -> None:
    assert check_answers("a peer", [0.5, 0.21], [0.5, 0.2]) == pytest.approx(0.01)


def test_answers_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        check_answers("a peer", [0.5, 0.2], [0.5, 0.2, 0.1])


@pytest.mark.parametrize("side", [500, 256])
def test_multiply_adds_are_what_the_layers_compute(side: int) -> None:
    """Counted by Keras' own output shapes."""
    keras = pytest.importorskip("keras")
    shapes = []
    x = keras.Input((side, side, 3))
    for channels in (5, 7):
        taps = 16 * x.shape[-1]
        x = keras.layers.Conv2D(channels, 4)(x)
        shapes.append(math.prod(x.shape[1:]) * taps)
        x = keras.layers.MaxPooling2D(2)(x)
    inputs = math.prod(x.shape[1:])
    network = Network(_arrays(5, 7, inputs, 10), [], side)
    assert weight_sets.multiply_adds(network) == sum(shapes) + inputs * 10 + 10


def _arrays(first: int, second: int, inputs: int, units: int) -> Any:
    shapes = {
        "conv1": (4, 4, 3, first),
        "conv2": (4, 4, first, second),
        "dense1": (inputs, units),
        "dense2": (units, 1),
    }
    return {name: (np.zeros(s, np.float32), np.zeros(s[-1:])) for name, s in shapes.items()}


@pytest.fixture(scope="module")
def shipped() -> Network:
    """The shipped weights, channels compacted."""
    pytest.importorskip("h5py")
    return next(
        each.network
        for each in weight_sets.load(ROOT / "models" / "model.h5")
        if each.name == COMPACT
    )


def test_the_gathered_network_answers_as_the_whole_one(shipped: Network) -> None:
    pytest.importorskip("keras")
    lattice = find_lattice(shipped.arrays)
    assert lattice is not None
    small = weight_sets.gathered(shipped, lattice)
    assert small.side == 256
    assert len(small.calibration) == len(shipped.calibration)
    images = weight_sets.pictures("samples")
    expected = weight_sets.reference(shipped, images)
    actual = weight_sets.reference(small, [weight_sets.gather(image, lattice) for image in images])
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_the_windows_answer_as_the_whole_picture(shipped: Network) -> None:
    pytest.importorskip("tensorflow")
    lattice = find_lattice(shipped.arrays)
    assert lattice is not None
    network = weight_sets.windows(shipped, lattice)
    assert (network.side, network.batch) == (13, 256)
    assert weight_sets.multiply_adds(network) == weight_sets.lattice_multiply_adds(shipped, lattice)
    images = weight_sets.pictures("samples")
    expected = weight_sets.reference(shipped, images)
    infer = litert.windowed(network)
    cut = [weight_sets.cut_windows(image, lattice).astype(np.float32) for image in images]
    actual = [float(infer(windows)[0, 0]) for windows in cut]
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_a_peer_that_takes_one_picture_refuses_windows(tmp_path: Path) -> None:
    network = Network(_arrays(8, 8, 2048, 10), [], 13, 256)
    for name in ("ncnn float32", "Keras, model.predict"):
        peer = next(peer for peer in PEERS if peer.name == name)
        with pytest.raises(MissingPeerError, match="windows"):
            peer.make(network, tmp_path)


def test_a_place_of_the_lattice_costs_a_window(shipped: Network) -> None:
    lattice = find_lattice(shipped.arrays)
    assert lattice is not None
    windows = sum(10 * 10 * 48 * 8 + 2 * 2 * 128 * 8 + 8 * 10 for _ in range(16 * 16))
    assert weight_sets.lattice_multiply_adds(shipped, lattice) == windows + 10


def test_the_dense_set_has_nothing_to_leave_out() -> None:
    arrays = weight_sets.random_arrays()
    _, liveness = compact(arrays)
    assert not liveness.changed
    assert find_lattice(arrays) is None


def test_dense_weights_that_leave_something_out_are_refused() -> None:
    pytest.importorskip("h5py")
    model = ROOT / "models" / "model.h5"
    with pytest.raises(UsageError, match="conv1 8 of 32 live"):
        weight_sets.load(model, model)


def test_dense_weights_that_look_at_few_places_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our rewriting would compute those alone, the peers all: the ratio would be no dense one."""
    pytest.importorskip("h5py")
    arrays = weight_sets.random_arrays()
    kernel, bias = arrays["dense1"]
    few = np.zeros((122, 122, 16, 10), np.float32)
    few[::8, ::8] = kernel.reshape(few.shape)[::8, ::8]
    sparse = {**arrays, "dense1": (few.reshape(kernel.shape), bias)}
    shipped = ROOT / "models" / "model.h5"
    monkeypatch.setattr(weight_sets, "_folded", lambda _: sparse)
    with pytest.raises(UsageError, match="16 x 16 places of pool2 weighed"):
        weight_sets.load(shipped, tmp_path / "few.h5")


def test_a_peer_that_fails_or_crashes_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answers first in a process of its own, so a crash is no end of the measurement."""
    outcomes = {
        "good": (0, "a greeting\n2048\n", ""),
        "crashed": (-4, "", ""),
        "failed": (1, "", "Traceback:\nOSError: no such library\n"),
        "missing": (1, "", "benchmarks.peers.base.MissingPeerError: not installed\n"),
    }

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, *outcomes[command[-1]])

    monkeypatch.setattr("benchmarks.prepare.subprocess.run", run)
    found, missing = prepare.memory(tmp_path, list(outcomes))
    assert found == {"good": 2.0}
    assert missing == {
        "crashed": "its process died of SIGILL",
        "failed": "OSError: no such library",
        "missing": "not installed",
    }


def test_a_reason_is_one_line() -> None:
    assert reason(MissingPeerError("not built")) == "not built"
    assert reason(RuntimeError("first\nsecond")) == "RuntimeError: first"


def test_every_peer_has_a_name_of_its_own() -> None:
    names = [peer.name for peer in PEERS]
    assert len(set(names)) == len(names)
    assert {PLAIN, REWRITTEN} <= set(names)


class _Route:
    def __init__(self) -> None:
        self.loaded: list[int] = []
        self.invoked = 0

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        self.loaded.append(int(image_bgr[0, 0, 0]))

    def invoke(self) -> float:
        self.invoked += 1
        return 0.5


def test_each_route_takes_its_turn_on_each_picture() -> None:
    routes = {"one": _Route(), "other": _Route()}
    pictures = [np.full((2, 2, 3), value, np.uint8) for value in range(3)]
    turns = session.take_turns(routes, dict.fromkeys(routes, pictures), rounds=4, invokes=2)
    for name, route in routes.items():
        assert route.loaded == [0, 1, 2, 0]
        assert route.invoked == 4 * 3
        assert [len(turn) for turn in turns[name]] == [3] * 4


def _write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


_PI = {
    "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp crc32\nCPU part\t: 0xd0b\n",
    "proc/meminfo": "MemTotal:        8192000 kB\n",
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "2400000\n",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "48250\n",
}


def test_the_machine_tells_of_itself(tmp_path: Path) -> None:
    machine = environment.machine(_write(tmp_path, _PI))
    assert machine["board"] == "Raspberry Pi 5 Model B Rev 1.0"
    assert (machine["cpu"], machine["memory_mb"]) == ("0xd0b", 8000)
    assert machine["flags"] == ["asimd", "asimddp"]
    assert environment.slug(machine) == "raspberry-pi-5-model-b-rev-1-0"


def test_the_state_is_read_for_each_core(tmp_path: Path) -> None:
    root = _write(tmp_path, _PI)
    state = environment.state(root, firmware=lambda _: 0x50000)
    assert state["governor"] == ["ondemand"]
    assert state["mhz"] == [1500, 2400]
    assert state["temperature_c"] == {"cpu-thermal 0": 48.25}
    assert (state["throttle_count"], state["firmware_throttled"]) == (3, 0x50000)


def test_a_machine_that_tells_nothing_is_no_error(tmp_path: Path) -> None:
    state = environment.state(tmp_path, firmware=lambda _: None)
    assert (state["governor"], state["mhz"], state["throttle_count"]) == (None, None, None)
    assert environment.throttled(state, state) == []


def test_without_cpufreq_the_kernel_tells_the_frequency(tmp_path: Path) -> None:
    cpuinfo = "processor\t: 0\ncpu MHz\t\t: 2445.4\n\nprocessor\t: 1\ncpu MHz\t\t: 2445.4\n"
    root = _write(tmp_path, {"proc/cpuinfo": cpuinfo})
    assert environment.state(root, firmware=lambda _: None)["mhz"] == [2445]


def test_a_throttled_run_is_known() -> None:
    def told(count: int, bits: int) -> dict[str, int]:
        return {"throttle_count": count, "firmware_throttled": bits}

    # What happened before the run is in the firmware's upper bits and doesn't count.
    assert environment.throttled(told(3, 0x50000), told(3, 0x50000)) == []
    assert environment.throttled(told(3, 0), told(5, 0)) == ["the processor throttled 2 times"]
    assert environment.throttled(told(0, 0), told(0, 0x40000)) == ["throttled"]
    assert environment.throttled(told(0, 0x1), told(0, 0x1)) == ["under-voltage"]


def test_a_result_names_no_folder(tmp_path: Path) -> None:
    told = {"missing": f"{tmp_path}/dense/model.onnx: no such file", "list": [1.5, None]}
    cleaned = measure.without_folders(told, [tmp_path])
    assert cleaned == {"missing": "dense/model.onnx: no such file", "list": [1.5, None]}


def _entry(ms: float, times: float, *, ours: bool = False) -> dict[str, Any]:
    timed = {"n": 20, "min": ms, "p50": ms, "p95": 2 * ms, "p99": 3 * ms}
    ratio = {"p5": times - 0.1, "p50": times, "p95": times + 0.1}
    return {
        "ms": timed, "first_ms": timed, "times_ours": ratio, "first_times_ours": ratio,
        "max_delta": 0.001, "setup": "as advised", "ours": ours, "versions": {"package": "1.2"},
    }  # fmt: skip


@pytest.fixture
def result() -> dict[str, Any]:
    """A small result, made up."""
    made = {
        "origin": "made up", "side": 500, "channels": [8, 8, 10], "multiply_adds": 800_000_000,
        "missing": {}, "peak_mb": {PLAIN: 70.0},
    }  # fmt: skip
    ours = _entry(1.0, 1.0, ours=True)
    sets = {
        DENSE: {
            REWRITTEN: ours,
            PLAIN: _entry(1.4, 1.4),
            "Peer A": _entry(1.2, 1.2),
            "Peer B": {"missing": "peer-b is not installed"},
            "Peer C": {"refused": "its probability is off by nan"},
        },
        COMPACT: {REWRITTEN: ours, PLAIN: _entry(3, 3), PLAIN_UNCOMPACTED: _entry(4, 4)},
        GATHERED: {"Peer A": _entry(1.5, 1.5)},
    }
    timed = _entry(1, 1)["ms"]
    whole = {
        "picture": "one.jpg",
        "ms": {"notebook": timed, DENSE: timed, COMPACT: timed},
        "notebook_times_ours": {n: {"p5": 11, "p50": 12, "p95": 13} for n in (DENSE, COMPACT)},
        "stages_ms": {},
        "peak_mb": {"notebook": 700, DENSE: 90, COMPACT: 70},
    }
    state = {"governor": ["performance"], "mhz": None}
    return {
        "schema": 1, "created": "2026-01-01T00:00:00Z", "throttled": [], "invokes_per_turn": 6,
        "environment": {"cpu": "Made Up", "board": None, "before": state, "after": state},
        "sets": {DENSE: made, COMPACT: {**made, "multiply_adds_rewritten": 10_000_000},
                 GATHERED: {**made, "side": 256}},
        "peak_multiply_adds": 600_000_000, "cold": whole,
        "threads": {"1": {"rounds": 4, "sets": sets, "peak": _entry(1, 1), "whole": whole}},
    }  # fmt: skip


def test_each_aim_is_judged(result: dict[str, Any]) -> None:
    verdicts = [(aim.measured, aim.verdict) for aim in aims(result)]
    assert verdicts == [
        (1.4, "met"),
        (1.2, "not met"),
        (4, "met"),
        (1.5, "met"),
        (12, "met"),
        (12, "not met"),
    ]
    shipped = aims(result)[3]
    assert shipped.against == "Peer A (channels and places compacted)"


def test_an_aim_without_figures_is_not_met(result: dict[str, Any]) -> None:
    result["threads"]["1"]["sets"][DENSE] = {PLAIN: {"missing": "not here"}}
    assert [aim.verdict for aim in aims(result)][:2] == ["not measured"] * 2


def test_the_report_names_who_was_not_timed(result: dict[str, Any]) -> None:
    text = to_markdown(result, ["latency.png"])
    assert "- Peer B: **missing**, peer-b is not installed" in text
    assert "- Peer C: **refused**, its probability is off by nan" in text
    assert "![latency](latency.png)" in text
    assert "**not met**" in text
    assert "THROTTLED" not in text


def test_a_share_of_the_peak_counts_what_a_route_computes(result: dict[str, Any]) -> None:
    """Ours computes 10 of the 800 million, and 10 is 1.7 % of the peak's 600."""
    sections = to_markdown(result, []).split("## One invoke: ")
    ours = [
        line
        for section in sections
        for line in section.splitlines()
        if line.startswith(f"| **{REWRITTEN}**")
    ]
    assert ["133%" in ours[0], " 2% " in ours[1]] == [True, True]


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
    monkeypatch.setitem(sys.modules, "benchmarks.plots", None)
    monkeypatch.setattr("sys.argv", ["report", "--results", str(tmp_path)])
    assert report.main() == 0
    assert (folder / report.REPORT).read_text().startswith("# Made Up\n")


def test_without_results_the_report_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["report", "--results", str(tmp_path)])
    assert report.main() == 1
    assert "python -m benchmarks.measure" in capsys.readouterr().err


def test_stored_results_name_no_folder() -> None:
    for path in report.RESULTS.glob(f"*/{report.RESULT}"):
        text = path.read_text(encoding="utf-8")
        assert not any(folder in text for folder in ("/home/", "/root/", "/tmp/", "/work/"))


def test_benchmark_only_collects_the_benchmarks_alone_and_skips_nothing() -> None:
    done = run_module("pytest", "--benchmark-only", "-k", "segment")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b1 passed, \d+ deselected in", done.stdout)
    assert "Skipping" not in done.stdout
    assert "SKIP" not in done.stdout
    assert "Median is the time to quote" in done.stdout


def test_pytest_alone_collects_no_benchmark() -> None:
    done = run_module("pytest", "--collect-only", "--quiet")
    assert done.returncode == 0, done.stdout
    assert "bench_steps" not in done.stdout
