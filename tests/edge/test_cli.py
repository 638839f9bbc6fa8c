"""``python -m edge.run`` as a user runs it: FAULTS 1, 15, 22, 49 and 50."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge import Analyzer
from edge.files import printable
from tests.conftest import run_module, without_progress
from tests.support import notebook
from tests.support.notebook import imread
from tests.support.pictures import MODELS, ROOT, SAMPLES

pytestmark = pytest.mark.slow

EMPTY = "an empty file, not a JPEG or PNG picture; copy it again, or fetch it again"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_folder_gives_a_line_for_each_picture_in_order() -> None:
    result = run_module("edge.run", "pictures/samples")
    assert result.returncode == 0, result.stderr
    printed = result.stdout.splitlines()
    assert [line.split(":")[0] for line in printed] == [
        str(path.relative_to(ROOT)) for path in SAMPLES
    ]
    for line in printed:
        assert ", P(malignant) 0." in line
        assert line.rstrip().split(";")[0].endswith(" ms")
        assert ": benign," in line or ": malignant," in line
    summary, notice = result.stderr.splitlines()
    assert re.fullmatch(
        r"6 pictures: 1 benign, 5 malignant, 0 failed; malignant from P 0.13 on; [\d.e+]+ a "
        r"second, (int8|float16)",
        summary,
    )
    assert notice == "Research and education only, not a diagnosis."


def test_json_lines_have_the_documented_form_and_the_notebooks_regions() -> None:
    result = run_module("edge.run", "pictures/samples", "--json")
    assert result.returncode == 0
    assert result.stderr == ""
    found = lines(result.stdout)
    assert len(found) == len(SAMPLES)
    for line, path in zip(found, SAMPLES, strict=True):
        assert list(line) == [
            "image",
            "size",
            "label",
            "probability",
            "threshold",
            "regions",
            "timings_ms",
            "warnings",
            "model",
        ]
        image = imread(path)
        assert line["image"] == str(path.relative_to(ROOT))
        assert line["size"] == [image.shape[1], image.shape[0]]
        assert line["label"] == (
            "malignant" if line["probability"] >= line["threshold"] else "benign"
        )
        regions = [tuple(region.values()) for region in line["regions"]]
        assert sorted(region[:4] for region in regions) == notebook.boxes(image)
        assert [region[4] for region in regions] == sorted(
            (region[4] for region in regions), reverse=True
        )
        assert list(line["timings_ms"]) == ["decode", "segment", "resize", "invoke", "total"]
        assert list(line["model"]) == ["name", "variant", "sha256"]
        assert line["model"]["variant"] == Analyzer().contract.variant


def test_fault_01_a_picture_that_fails_has_its_error_and_the_rest_still_run(tmp_path: Path) -> None:
    """FAULTS 1 and 2."""
    empty = tmp_path / "empty.jpg"
    empty.touch()
    result = run_module("edge.run", empty, "nowhere.jpg", SAMPLES[0], "--json")
    assert result.returncode == 1
    first, second, third = lines(result.stdout)
    assert first == {
        "image": str(empty),
        "error": {"type": "PictureError", "message": f"{empty}: {EMPTY}"},
    }
    assert second["image"] == "nowhere.jpg"
    assert second["error"]["type"] == "PictureError"
    assert 0 <= third["probability"] <= 1
    text = run_module("edge.run", empty, SAMPLES[0])
    assert text.returncode == 1
    assert f"edge.run: {empty}: {EMPTY}" in text.stderr
    assert len(text.stdout.splitlines()) == 1


def test_bytes_on_standard_input_are_a_picture() -> None:
    with SAMPLES[0].open("rb") as stream:
        piped = run_module("edge.run", "-", "--json", stdin=stream)
    named = run_module("edge.run", SAMPLES[0], "--json")
    (from_pipe,), (from_file,) = lines(piped.stdout), lines(named.stdout)
    assert from_pipe["image"] == "-"
    for key in ("probability", "regions", "size"):
        assert from_pipe[key] == from_file[key]


def test_patterns_are_expanded_and_one_without_a_match_is_an_error() -> None:
    result = run_module("edge.run", "pictures/samples/**/*.jpg", "--json")
    assert len(lines(result.stdout)) == len(SAMPLES)
    none = run_module("edge.run", "pictures/*.nothing", "--json")
    assert none.returncode == 1
    (line,) = lines(none.stdout)
    assert line["image"] == "pictures/*.nothing"
    assert "no file fits" in line["error"]["message"]


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    result = run_module("edge.run", tmp_path)
    assert result.returncode == 1
    assert f"{tmp_path}: no JPEG or PNG in this folder" in result.stderr


@pytest.mark.parametrize("name", ["ümlaut ß 痣.jpg", "two\nlines.jpg", "-dash.jpg", "[x]*.jpg"])
def test_fault_15_any_file_name_is_handled(name: str, tmp_path: Path) -> None:
    """FAULTS 15: and printed on one line."""
    (tmp_path / name).write_bytes(SAMPLES[0].read_bytes())
    result = run_module("edge.run", "--json", "--", name, cwd=tmp_path, env=environment())
    (line,) = lines(result.stdout)
    assert line["image"] == name
    assert "label" in line
    text = run_module("edge.run", "--save", "out", "--", name, cwd=tmp_path, env=environment())
    assert text.returncode == 0, text.stderr
    assert len(text.stdout.splitlines()) == 1
    assert text.stdout.startswith(f"{printable(name)}: ")
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_fault_15_a_name_in_no_encoding_is_handled(tmp_path: Path) -> None:
    """FAULTS 15."""
    path = os.fsencode(tmp_path) + b"/\xff\xfe.jpg"
    with open(path, "wb") as stream:
        stream.write(SAMPLES[0].read_bytes())
    for options in ([], ["--json"]):
        result = run_module("edge.run", tmp_path, *options)
        assert result.returncode == 0, result.stderr
        assert "\\udcff" in result.stdout


def environment(**more: str) -> dict[str, str]:
    """Make the package importable from another folder, as an installed one is."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def test_annotated_pictures_are_saved_each_under_its_own_name(tmp_path: Path) -> None:
    sources = tmp_path / "in"
    for folder in ("a", "b"):
        (sources / folder).mkdir(parents=True)
        (sources / folder / "same.jpg").write_bytes(SAMPLES[0].read_bytes())
    out = tmp_path / "new" / "out"
    result = run_module("edge.run", sources, "--save", out, "--json")
    assert result.returncode == 0
    saved = [Path(line["saved"]) for line in lines(result.stdout)]
    assert saved == [out / "same_annotated.jpg", out / "same-2_annotated.jpg"]
    for path in saved:
        image = imread(path)
        # A pure red box, whatever JPEG makes of it.
        blue, green, red = (image[..., channel].astype(int) for channel in range(3))
        assert ((red > 200) & (green < 80) & (blue < 80)).sum() > 500


def test_an_output_that_cant_be_written_is_one_line_and_exit_1(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    result = run_module("edge.run", SAMPLES[0], "--save", blocked)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert f"{blocked}: can't be made a folder" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["x.jpg", "--threshold", "2"], ["x.jpg", "--threads", "0"], ["x.jpg", "--unknown"]],
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    result = run_module("edge.run", *arguments)
    assert result.returncode == 2
    assert "usage: python -m edge.run" in result.stderr
    assert result.stdout == ""


def test_fault_16_a_model_that_cant_be_used_is_one_line_and_exit_1(tmp_path: Path) -> None:
    """FAULTS 16."""
    result = run_module("edge.run", SAMPLES[0], "--model", tmp_path / "none.tflite")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "none.tflite" in result.stderr
    assert "python -m convert" in result.stderr


def test_the_options_reach_the_model() -> None:
    result = run_module(
        "edge.run",
        SAMPLES[0],
        "--json",
        "--model",
        MODELS["float32"],
        "--threads",
        1,  # type: ignore[arg-type]
        "--threshold",
        "0",
    )
    (line,) = lines(result.stdout)
    assert line["model"]["variant"] == "float32"
    assert line["threshold"] == 0
    assert line["label"] == "malignant"


def test_help_explains_the_output_and_the_exit_status() -> None:
    result = run_module("edge.run", "--help")
    assert result.returncode == 0
    for text in ("exit status", "--json", "P(malignant)", "not a diagnosis"):
        assert text in result.stdout


def test_fault_50_a_closed_standard_output_ends_it_quietly() -> None:
    """FAULTS 50."""
    command = [sys.executable, "-m", "edge.run", *["pictures/samples"] * 300, "--json"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 1


@pytest.mark.parametrize("streams", [">&-", ">/dev/full", "| true"])
def test_fault_70_files_are_whole_where_standard_output_takes_nothing(
    tmp_path: Path, streams: str
) -> None:
    code = (
        'set -o pipefail; "$0" -m edge.run pictures/samples --csv "$1/t.csv" --report "$1/r.html"'
        f' --out "$1/out" {streams}'
    )
    command: list[str | Path] = ["bash", "-c", code, sys.executable, tmp_path]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    rows = (tmp_path / "t.csv").read_text("utf-8-sig").splitlines()
    assert len(rows) == 1 + len(SAMPLES)
    assert not any("Interrupted" in row for row in rows)
    assert len(list((tmp_path / "out").iterdir())) == len(SAMPLES)
    assert (tmp_path / "r.html").read_text().count("<article") == len(SAMPLES)


def test_fault_41_an_answer_is_told_though_its_annotated_picture_cant_be_written(
    tmp_path: Path,
) -> None:
    """FAULTS 41: beside the error, and the exit status is 1."""
    code = (
        "import sys; from edge import OutputError, drawing, run\n"
        "def save(path, *_): raise OutputError(f'{path}: no space')\n"
        "drawing.save_annotated = save\n"
        "sys.exit(run.main(sys.argv[1:]))"
    )
    command: list[str | Path] = [
        sys.executable,
        "-c",
        code,
        SAMPLES[0],
        "--out",
        tmp_path,
        "--csv",
        tmp_path / "t.csv",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"{SAMPLES[0]}: malignant, P(malignant) 0." in result.stdout
    assert " -> " not in result.stdout
    assert f"edge.run: {tmp_path}/{SAMPLES[0].stem}_annotated.jpg: no space" in result.stderr
    assert "malignant" in (tmp_path / "t.csv").read_text().splitlines()[1].split(",")[1]
    result = subprocess.run(
        [*command, "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    line = json.loads(result.stdout)
    assert (line["label"], line["error"]["type"]) == ("malignant", "OutputError")
    assert "saved" not in line


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_standard_output_is_one_line_and_exit_1(options: list[str]) -> None:
    command = [sys.executable, "-m", "edge.run", "pictures/samples", *options]
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 1
    assert result.stderr == (
        "edge.run: standard output can't be written: No space left on device\n"
    )


def test_standard_output_that_is_not_there_is_one_line_and_exit_1() -> None:
    command = ["sh", "-c", 'exec "$0" -m edge.run "$1" >&-', sys.executable, str(SAMPLES[0])]
    result = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == "edge.run: standard output is closed\n"


def test_standard_input_may_stand_among_files() -> None:
    """Each in its place, whatever the number of threads."""
    expected: list[dict[str, Any]] = []
    for threads in ("1", "2", "3"):
        with SAMPLES[2].open("rb") as stream:
            result = run_module(
                "edge.run",
                SAMPLES[0],
                SAMPLES[1],
                "-",
                "nowhere.jpg",
                SAMPLES[3],
                SAMPLES[4],
                "--json",
                "--threads",
                threads,
                stdin=stream,
            )
        assert result.returncode == 1
        assert result.stderr == ""
        found = lines(result.stdout)
        assert [line["image"] for line in found] == [
            str(SAMPLES[0]),
            str(SAMPLES[1]),
            "-",
            "nowhere.jpg",
            str(SAMPLES[3]),
            str(SAMPLES[4]),
        ]
        for line in found:
            line.pop("timings_ms", None)
        expected = expected or found
        assert found == expected
    assert (
        expected[2]["size"] == lines(run_module("edge.run", SAMPLES[2], "--json").stdout)[0]["size"]
    )


def test_fault_48_an_interrupt_ends_it_with_130_and_no_traceback(tmp_path: Path) -> None:
    """FAULTS 48 and 49: while it waits for standard input, among many pictures, and saving them."""
    many, out = tmp_path / "many", tmp_path / "out"
    many.mkdir()
    for number in range(2000):
        (many / f"{number:04}.jpg").symlink_to(SAMPLES[0])
    for sources in (["-"], [many], [many, "--threads", 1], [many, "--save", out]):
        arguments = [SAMPLES[0], *sources, "--json"]
        command = [sys.executable, "-m", "edge.run", *map(str, arguments)]
        with subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout
            assert process.stderr
            process.stdout.readline()
            time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
            assert process.wait(300) == 130
            assert without_progress(process.stderr.read()) == "edge.run: interrupted\n"
            for line in rest.splitlines():
                json.loads(line)  # whole lines only
    assert [path for path in out.iterdir() if path.suffix != ".jpg"] == [], "none half written"


def _in_shell(line: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a line of sh, in which ``$0`` is Python and ``$1`` the first argument."""
    command = ["sh", "-c", line, sys.executable, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("streams", ["2>&-", "<&- 2>&-", "2>/dev/full", "<&- 2>/dev/full"])
@pytest.mark.parametrize("options", ["", "--json"])
def test_fault_70_answers_come_whatever_is_with_standard_error(streams: str, options: str) -> None:
    """An error, the notice and a library's own complaints have nowhere to go; answers have."""
    line = f'exec "$0" -m edge.run "$1" nowhere.jpg "$1" {options} {streams}'
    result = _in_shell(line, SAMPLES[0])
    assert result.returncode == 1  # of nowhere.jpg
    answers = [line for line in result.stdout.splitlines() if "nowhere" not in line]
    assert len(answers) == 2
    assert all("benign" in line or "malignant" in line for line in answers)
    if options:
        assert len(lines(result.stdout)) == 3
    else:
        assert len(result.stdout.splitlines()) == 2


def test_fault_70_nothing_is_written_into_a_file_that_got_a_closed_streams_number(
    tmp_path: Path,
) -> None:
    """Native code writes to descriptor 2, whatever that is."""
    code = (
        "import os, sys; from edge.cli.terminal import open_streams; open_streams();"
        "file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT); os.write(2, b'a warning')"
    )
    result = _in_shell('"$0" -c "$1" "$2" <&- >&- 2>&-', code, tmp_path / "result")
    assert result.returncode == 0
    assert (tmp_path / "result").read_bytes() == b""


@pytest.mark.parametrize("command", ["edge.run", "edge.doctor", "edge.camera --check --source 99"])
@pytest.mark.parametrize("streams", [">&-", ">&- <&-", ">/dev/full"])
def test_fault_70_a_standard_output_that_takes_nothing_is_one_line_and_exit_1(
    command: str, streams: str
) -> None:
    source = SAMPLES[0] if command == "edge.run" else "--json"
    result = _in_shell(f'exec "$0" -m {command} "$1" {streams}', source)
    assert result.returncode == 1
    why = "can't be written: No space left on device" if "full" in streams else "is closed"
    assert result.stderr == f"{command.split(maxsplit=1)[0]}: standard output {why}\n"


def test_fault_70_all_closed_is_an_error_without_a_word() -> None:
    for command in ("edge.run pictures/samples", "edge.doctor", "edge.camera --check --source 99"):
        assert _in_shell(f'exec "$0" -m {command} <&- >&- 2>&-').returncode == 1


def test_fault_70_a_closed_standard_input_is_the_pictures_error() -> None:
    result = _in_shell('exec "$0" -m edge.run - "$1" --json <&-', SAMPLES[0])
    assert result.returncode == 1
    first, second = lines(result.stdout)
    assert first["image"] == "-"
    assert first["error"]["message"] == "-: standard input is closed"
    assert "label" in second


@pytest.mark.parametrize(
    "surroundings",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONWARNINGS": "error"},
        {"TMPDIR": "nowhere", "HOME": "/nowhere"},
        {"PYTHONDONTWRITEBYTECODE": "1", "PATH": ""},
    ],
)
def test_fault_70_the_surroundings_change_no_answer(
    tmp_path: Path, surroundings: dict[str, str]
) -> None:
    name = "naïve 痣.jpg"
    (tmp_path / name).write_bytes(SAMPLES[0].read_bytes())
    result = run_module(
        "edge.run", ".", "--save", "out", "--json", cwd=tmp_path, env=environment(**surroundings)
    )
    assert result.returncode == 0, result.stderr
    (line,) = lines(result.stdout)
    assert os.listdir(tmp_path / "out") == ["naïve 痣_annotated.jpg"]
    (expected,) = lines(run_module("edge.run", SAMPLES[0], "--json").stdout)
    assert line["probability"] == expected["probability"]
