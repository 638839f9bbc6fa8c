"""Which variant of a model runs: the processor's, by a rule that the stored figures bear out."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from edge import Analyzer, ModelError
from edge.model import named
from edge.model.named import find_model, preferred
from edge.processor import features
from tests.support.pictures import MODELS, ROOT

if TYPE_CHECKING:
    from pathlib import Path

PROCESSORS = {
    "AVX2": ("avx2", "f16c", "fma"),
    "VNNI": ("avx2", "avx512_vnni", "avx512f", "f16c", "fma"),
    "Pi 4": ("asimd",),
    "Pi 5": ("asimd", "asimddp"),
    "not told": (),
}
STORED = [
    json.loads(path.read_text()) for path in sorted(ROOT.glob("benchmarks/results/*/result.json"))
]


def on(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(named, "features", lambda: PROCESSORS[name])


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("AVX2", "float16"),
        ("VNNI", "int8"),
        ("Pi 4", "int8"),
        ("Pi 5", "int8"),
        ("not told", "int8"),
    ],
)
def test_the_processor_decides_unless_someone_does(
    name: str, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, name)
    assert Analyzer().contract.variant == variant
    assert Analyzer(variant="float32").contract.variant == "float32"


def test_on_tflite_runtime_int8_runs_whatever_the_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on(monkeypatch, "AVX2")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert find_model(None).endswith("-int8.tflite")


@pytest.mark.parametrize(
    ("cpuinfo", "told"),
    [
        ("processor\t: 0\nflags\t\t: fpu sse2 avx2 fma f16c\n\nflags\t\t: avx_vnni\n", "AVX2"),
        ("flags\t\t: avx2 avx512f avx512_vnni fma f16c\n", "VNNI"),
        ("processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\n", "Pi 4"),
        ("Features\t: fp asimd aes asimddp\n", "Pi 5"),
        ("processor\t: 0\n", "not told"),
        (None, "not told"),
    ],
)
def test_linux_tells_what_the_processor_can_do(
    cpuinfo: str | None, told: str, tmp_path: Path
) -> None:
    if cpuinfo is not None:
        (tmp_path / "proc").mkdir()
        (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
    assert features(tmp_path) == PROCESSORS[told]


@pytest.mark.parametrize("stored", STORED, ids=lambda each: "-".join(each["environment"]["flags"]))
def test_the_rule_takes_what_was_fastest_on_each_measured_processor(stored: Any) -> None:
    """Of the shipped network's files; the peers' names for ours are the study's."""
    routes = stored["threads"]["1"]["sets"]
    ms = {
        variant: min(
            entries[name]["ms"]["p50"]
            for form, entries in routes.items()
            # An earlier study gave TFLite other forms of the network, which no file of ours has.
            if form in ("compact", "gathered") and "ms" in entries.get(name, {})
        )
        for variant, name in (
            ("int8", "lesion-edge int8, rewritten"),
            ("float16", "TFLite float16"),
            ("float32", "TFLite float32"),
            ("dynamic", "TFLite dynamic"),
        )
    }
    first = preferred(stored["environment"]["flags"])[0]
    # float16 is float32 once it is loaded: which of the two was faster is chance.
    assert ms[first] <= 1.05 * min(ms.values()), ms


def test_a_folder_is_a_model_of_several_variants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(monkeypatch, "AVX2")
    for variant in ("int8", "float32"):
        shutil.copy(MODELS[variant], tmp_path / f"skin-{variant}.tflite")
    (tmp_path / "report.json").touch()
    assert Analyzer(tmp_path).contract.variant == "float32"
    assert Analyzer(tmp_path, variant="int8").contract.variant == "int8"
    with pytest.raises(ModelError, match="no variant dynamic of it here; there is float32 and int"):
        find_model(tmp_path, "dynamic")
    with pytest.raises(ModelError, match="no variant int8 of it here; it is one file"):
        find_model(MODELS["float32"], "int8")
    shutil.copy(MODELS["int8"], tmp_path / "other-int8.tflite")
    with pytest.raises(ModelError, match="several models, other and skin; give one file of it"):
        find_model(tmp_path)


def test_a_folder_without_models_is_refused_by_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't be read: is a folder; make one"):
        Analyzer(tmp_path)
