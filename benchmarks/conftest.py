"""What the benchmarks share: percentiles in the extra info, and a real picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "pictures" / "samples" / "malignant" / "ISIC_0000013.jpg"
"""A dermoscopic JPEG of 1022 x 767."""
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
            milliseconds = np.asarray(benchmark.stats.stats.data) * 1e3
            for percent in (50, 95, 99):
                benchmark.extra_info[f"p{percent}_ms"] = round(
                    float(np.percentile(milliseconds, percent)), 3
                )

    return run
