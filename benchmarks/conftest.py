"""What the benchmarks share: percentiles in the extra info, and a real picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .common import ROOT
from .percentiles import PERCENTS, summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

MODELS = {
    variant: ROOT / "models" / f"lesion-{variant}.tflite"
    for variant in ("float32", "float16", "dynamic", "int8")
}


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
