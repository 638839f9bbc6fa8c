"""Add percentiles to pytest-benchmark's figures, and say what its table means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edge.bench.turns import PERCENTS, summary

from .common import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

MODELS = {
    variant: ROOT / "models" / f"lesion-{variant}.tflite"
    for variant in ("float32", "float16", "dynamic", "int8")
}

_LEGEND = """\
A table a step: decode (file to pixels), segment (pixels to regions), resize (pixels to the model's
input), invoke (the model), whole (file to answer); in brackets variant and number of threads.
Median is the time to quote, Min is least disturbed by other work, IQR is how far the middle half
of the Rounds calls lie apart; the number behind each: times the best of its table. Compare rows of
one run only: the machine's speed drifts."""


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what the columns of the table mean."""
    if config.getoption("benchmark_only"):
        terminalreporter.write_line(_LEGEND)


@pytest.fixture
def measure(benchmark: BenchmarkFixture) -> Callable[[Callable[[], object]], None]:
    """Time a call, with its percentiles in milliseconds beside pytest-benchmark's own figures."""

    def run(call: Callable[[], object]) -> None:
        call()  # the first call packs weights and allocates: cold start is measured apart
        benchmark(call)
        # None where benchmarks are disabled and the call ran once, as a test.
        if benchmark.stats is not None:
            figures = summary(benchmark.stats.stats.data)
            for percent in PERCENTS:
                benchmark.extra_info[f"p{percent}_ms"] = round(figures[f"p{percent}"], 3)

    return run
