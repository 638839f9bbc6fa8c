"""README and docs: each figure is a stored one, each command runs, links and tables are whole."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from convert.weights.file import write_weights
from tests.support.pictures import ROOT, SAMPLES
from tests.support.weights import notebook_weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

README = (ROOT / "README.md").read_text()
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "deploy/*.md", "benchmarks/*.md", "pictures/*.md")
    for path in ROOT.glob(pattern)
)
STORED: dict[str, Any] = json.loads(
    (ROOT / "benchmarks/results/amd-epyc-avx512-vnni/result.json").read_text()
)
PARITY: dict[str, Any] = json.loads((ROOT / "models/report.json").read_text())
DERMOSCOPY: dict[str, Any] = json.loads((ROOT / "models/dermoscopy-report.json").read_text())
EVALUATION: list[dict[str, Any]] = json.loads((ROOT / "models/evaluation.json").read_text())


def code_blocks(text: str, language: str) -> Iterator[str]:
    return iter(re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def test_the_readme_is_one_page() -> None:
    assert len(README.splitlines()) <= 120


def test_each_figure_of_the_readme_is_the_stored_one() -> None:
    one = STORED["threads"]["1"]
    compact, dense = one["sets"]["compact"], one["sets"]["dense"]
    ours = "lesion-edge int8, rewritten"
    cold = STORED["cold"]
    int8 = next(each for each in PARITY["variants"] if each["variant"] == "int8")["parity"]
    (shipped,) = DERMOSCOPY["variants"]
    stored = [
        (float(f"{int8['max_delta']:.1e}"), int8["flips"], int8["pictures"]),
        (
            round(compact[ours]["ms"]["p50"], 3),
            round(compact["TFLite int8, plain, dead channels kept"]["times_ours"]["p50"], 1),
        ),
        (
            round(dense[ours]["ms"]["p50"], 2),
            round(dense["TFLite int8, plain"]["times_ours"]["p50"], 2),
            round(dense["OpenVINO int8"]["times_ours"]["p50"], 2),
        ),
        (
            round(one["whole"]["ms"]["compact"]["p50"], 2),
            round(one["whole"]["notebook_times_ours"]["compact"]["p50"], 1),
        ),
        (
            round(cold["ms"]["compact"]["p50"] / 1e3, 2),
            round(cold["notebook_times_ours"]["compact"]["p50"], 1),
        ),
        (int(cold["peak_mb"]["compact"]), int(cold["peak_mb"]["notebook"])),
        tuple(round(EVALUATION[0][key], 3) for key in ("auc", "low", "high")),
        (
            round(shipped["bytes"] / 1e6, 2),
            round(shipped["invoke_ms"]["p50"], 1),
            round(shipped["outline"]["invoke_ms"]["p50"], 1),
        ),
    ]
    rows = README.split("| what | here |")[1].split("\n\n")[0].splitlines()[2:]
    assert len(rows) == len(stored)
    for row, numbers in zip(rows, stored, strict=True):
        cells = row.split("|")
        said = [float(number) for number in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", "".join(cells))]
        for number in numbers:
            assert any(number == pytest.approx(each) for each in said), (row, number)
        assert re.search(r"`(python -m|lesion-edge) \w+", cells[-2]), row


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", other.read_text(), re.MULTILINE)
            slugs = [
                re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings
            ]
            assert anchor in slugs, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_table_has_as_many_cells_in_every_row(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [re.sub(r"\\\||`[^`]*`", "", row).count("|") for row in table.splitlines()]
        assert len(rows) >= 2, table
        assert re.fullmatch(r"[|:\- ]+", table.splitlines()[1]), table
        assert len(set(rows)) == 1, table


def test_the_python_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(SAMPLES[0], tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    (block,) = code_blocks(README, "python")
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - our own README
    assert capsys.readouterr().out.startswith(("benign 0.", "malignant 0."))


@pytest.mark.slow
def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for path in SAMPLES:
        shutil.copy(path, tmp_path / "photos")
    own = notebook_weights(ROOT / "models/model.h5")
    write_weights(tmp_path / "model.h5", own.arrays, None)
    lines = [
        line[2:].partition("#")[0].strip()
        for block in code_blocks(README, "console")
        for line in block.splitlines()
        if line.startswith("$ lesion-edge ")
    ]
    assert len(lines) >= 4
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    for line in lines:
        # No camera is there: the samples are played as one.  Nor is a broker: results wait.
        once = "--source photos --count 1"
        command = line.replace("--interval 30", once)
        command = command.replace("mqtts://HOST/ROOM", f"mqtt://127.0.0.1:9/room {once}")
        command = re.sub("bench$", "bench --rounds 1", command)
        command = re.sub("page$", f"page --page 127.0.0.1:0 --interval 0 {once}", command)
        words = command.split()[1:]
        done = subprocess.run(
            [sys.executable, "-m", "edge", *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, (line, done.stderr)
    assert (tmp_path / "report.html").exists()
    assert (tmp_path / "out/lesion-int8.tflite").exists()
