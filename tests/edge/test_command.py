"""The one command, ``lesion-edge``, and what a person sees of results."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge import Analyzer, __version__
from edge.__main__ import COMMANDS
from edge.cli.lines import Lines
from edge.model.rule import Rule
from edge.results import Analysis, Timings
from tests.conftest import run_module
from tests.support.pictures import ROOT, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

MODULES = {
    "run": "edge.run",
    "camera": "edge.camera",
    "page": "edge.page",
    "archive": "edge.archive",
    "models": "edge.models",
    "bench": "edge.bench",
    "doctor": "edge.doctor",
    "convert": "convert",
}
PAINTED = "\033["


def test_alone_it_says_what_there_is() -> None:
    for words in ((), ("--help",)):
        result = run_module("edge", *words)
        assert result.returncode == 0
        assert all(f"\n  {name}" in result.stdout for name in COMMANDS)
        assert "not a diagnosis" in result.stdout


def test_fault_50_a_reader_that_has_enough_ends_it_quietly() -> None:
    line = f"{sys.executable} -u -m edge --version | true"
    command = ["/bin/sh", "-c", line]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_command_that_there_isnt_is_answered_with_those_there_are() -> None:
    result = run_module("edge", "analyse", "x.jpg")
    assert result.returncode == 2
    assert result.stderr == (
        "lesion-edge: there is no 'analyse'; there are run, camera, page, archive, models, bench,"
        " doctor, convert\n"
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_its_module(name: str) -> None:
    ours, module = run_module("edge", name, "--help"), run_module(MODULES[name], "--help")
    assert ours.returncode == module.returncode == 0
    assert ours.stdout.startswith(f"usage: lesion-edge {name} ")
    assert module.stdout.startswith(f"usage: python -m {MODULES[name]} ")
    body = re.compile(r"\A.*?\n\n", re.DOTALL)  # the usage is broken into lines by its length
    assert body.sub("", ours.stdout) == body.sub("", module.stdout)
    wrong = run_module("edge", name, "--no-such-option")
    assert wrong.returncode == 2


def test_it_answers_as_the_module_does() -> None:
    answers = []
    for words in (("edge", "run"), ("edge.run",)):
        result = run_module(*words, SAMPLES[0], "--json")
        answer = json.loads(result.stdout)
        del answer["timings_ms"]
        answers.append(answer)
    assert answers[0] == answers[1]


@pytest.mark.parametrize("words", [("edge",), *((module,) for module in MODULES.values())])
def test_every_command_tells_its_versions(words: tuple[str, ...]) -> None:
    result = run_module(*words, "--version")
    assert result.returncode == 0
    package, runtime, libraries, model = result.stdout.splitlines()
    assert package.startswith(f"lesion-edge {__version__}, Python 3.")
    assert re.fullmatch(r"runtime: (ai-edge-litert|tflite-runtime) \d+\.\d+\.\d+", runtime)
    assert re.fullmatch(r"OpenCV: \d+\.\d+\.\d+.*, numpy: \d+\.\d+.*", libraries)
    assert re.fullmatch(
        rf"model: lesion {Analyzer().contract.variant}, SHA-256 [0-9a-f]{{64}}", model
    )


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        *(("convert", name) for name in ("h5py", "tensorflow", "ai_edge_quantizer")),
        *(("page", name) for name in ("starlette", "uvicorn", "segno")),
    ],
)
def test_a_command_without_its_extra_names_the_pip_command(
    command: str, missing: str, tmp_path: Path
) -> None:
    # A package of this name first on the path, which isn't there.
    (tmp_path / f"{missing}.py").write_text(
        f"raise ModuleNotFoundError(\"No module named '{missing}'\", name='{missing}')"
    )
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    result = run_module("edge", command, "--out", tmp_path / "out", env=env)
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert f": {missing} is missing" in last
    assert f"pip install '.[{command}]'" in last
    assert not (tmp_path / "out").exists()
    assert "Traceback" not in result.stderr


def test_one_picture_imports_nothing_of_report_and_table() -> None:
    result = run_module("edge.run", SAMPLES[0], env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}
    assert "edge.cli.lines" in imported
    assert imported.isdisjoint(
        {
            "edge.report",
            "edge.report.table",
            "edge.report.thumbnail",
            "edge.explain",
            "edge.cli.version",
            "csv",
            "html",
            "edge.picture.kinds",
        }
    )


def test_report_and_table_of_a_run_outside_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = run_module(
        "edge",
        "run",
        ROOT / "pictures/samples",
        "bad.jpg",
        "--report",
        "out/look.html",
        "--csv",
        "out/table.csv",
        "--out",
        "out",
        cwd=tmp_path,
        env=env,
    )
    assert result.returncode == 1  # bad.jpg
    page = (tmp_path / "out/look.html").read_text()
    assert page.count("<article") == 7
    assert page.count("data:image/jpeg") == 6
    assert 'href="./ISIC_0000013_annotated.jpg"' in page
    assert len((tmp_path / "out/table.csv").read_text().splitlines()) == 8
    assert "7 pictures: 1 benign, 5 malignant, 1 failed;" in result.stderr


def test_elsewhere_than_on_a_terminal_nothing_is_shortened_or_coloured() -> None:
    result = run_module("edge.run", "pictures/samples")
    assert PAINTED not in result.stdout
    for line, path in zip(result.stdout.splitlines(), SAMPLES, strict=True):
        assert line.startswith(f"{path.relative_to(ROOT)}: ")


@pytest.mark.parametrize(
    ("options", "environment", "coloured"),
    [
        ((), {"TERM": "xterm", "NO_COLOR": ""}, True),
        (("--no-color",), {"TERM": "xterm", "NO_COLOR": ""}, False),
        ((), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        ((), {"TERM": "dumb", "NO_COLOR": ""}, False),
    ],
)
def test_on_a_terminal_lines_are_aligned_and_coloured_unless_told_otherwise(
    options: tuple[str, ...],
    environment: dict[str, str],
    coloured: bool,  # noqa: FBT001
) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "edge.run", "pictures/samples", *options],
        cwd=ROOT,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    os.close(theirs)
    text = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # what Linux says at the end of a terminal
            break
        text += piece
        if not piece:
            break
    os.close(ours)
    assert process.wait() == 0
    lines = text.decode().replace("\r\n", "\n").splitlines()
    assert len(lines) == 6
    assert (PAINTED in text.decode()) is coloured
    plain = [re.sub(r"\033\[[\d;]*m", "", line) for line in lines]
    assert len({line.index("  P(malignant) 0.") for line in plain}) == 1
    assert all(len(line) <= 80 for line in plain)


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0.3099, "0.3099"), (0.306, "0.306"), (0.31, "0.31"), (0.3112, "0.31"), (0.2147, "0.21")],
)
def test_a_rounded_probability_never_lies_on_the_other_side_of_the_threshold(
    probability: float, shown: str, int8_analyzer: Analyzer
) -> None:
    timings = Timings(0, 0, 0, 0, 0)
    analysis = Analysis((1, 1), "x", probability, 0.31, (), timings, (), "malignant", "a.jpg")
    with open(os.devnull, "w") as stream:
        line = Lines(int8_analyzer.contract, Rule(0.31), stream).result(analysis)
    assert f" P(malignant) {shown}," in line
