"""Benchmarks: percentiles and ratios, whether the machine throttled, and what pytest collects."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import pytest

from benchmarks.arm import Instruction, inner_loop, multiply_adds
from edge.bench import environment
from edge.bench.turns import ratio, summary, take_turns
from tests.conftest import run_module
from tests.support.pictures import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_percentiles_leave_no_outlier_out() -> None:
    figures = summary([0.001] * 99 + [1.0])
    assert (figures["n"], figures["min"], figures["p50"]) == (100, 1.0, 1.0)
    assert figures["p99"] == pytest.approx(1 + 0.01 * 999)


def test_a_slow_spell_that_meets_both_leaves_the_ratio() -> None:
    ours = [[1.0, 1.0, 9.0], [5.0, 5.0, 5.0]]
    others = [[2.0, 2.0, 2.0], [10.0, 10.0, 90.0]]
    assert ratio(others, ours) == {"p5": 2.0, "p50": 2.0, "p95": 2.0}


def test_a_ratio_is_of_the_same_round() -> None:
    assert ratio([2.0, 30.0], [1.0, 10.0])["p50"] == 2.5
    with pytest.raises(ValueError, match="shorter"):
        ratio([2.0, 30.0], [1.0])


def test_each_call_takes_its_turn_in_each_round_and_the_first_round_is_left_out() -> None:
    called: list[str] = []

    def call(name: str) -> int:
        called.append(name)
        return len(called)

    results = take_turns({name: partial(call, name) for name in "abc"}, 20)
    rounds = [called[i : i + 3] for i in range(0, len(called), 3)]
    assert len(rounds) == 21
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1
    assert [len(each) for each in results.values()] == [20] * 3
    assert min(map(min, results.values())) == 4


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


def test_benchmark_only_collects_the_benchmarks_alone_and_skips_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # By it a plugin would take this run for a part of the one that it is started by.
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    done = run_module("pytest", "--benchmark-only", "-k", "segment")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\b1 passed, \d+ deselected in", done.stdout)
    assert "Skipping" not in done.stdout
    assert "SKIP" not in done.stdout
    assert "Median is the time to quote" in done.stdout


def test_pytest_alone_collects_no_benchmark(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getini("testpaths") == ["tests"]
    assert list((ROOT / "tests").rglob("bench_*.py")) == []


def test_the_inner_loop_is_the_one_with_most_multiply_adds_a_line() -> None:
    inner = [
        Instruction(0x14, "smull", "v2.8h, v4.8b, v0.8b"),
        Instruction(0x18, "sdot", "v16.4s, v8.16b, v0.4b[0]"),
        Instruction(0x1C, "b.cs", "14"),
    ]
    outer = [
        Instruction(0x10, "ldr", "q0, [x1]"),
        *inner,
        Instruction(0x20, "fmla", "v20.4s, v4.4s, v0.s[0]"),
        Instruction(0x24, "b.hi", "10"),
        Instruction(0x28, "b.cc", "40"),
    ]
    assert inner_loop(outer) == inner
    assert [multiply_adds(each) for each in inner] == [8, 16, 0]
    assert multiply_adds(outer[4]) == 4
