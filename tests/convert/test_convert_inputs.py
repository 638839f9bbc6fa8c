"""What people give the converter beside weights: labels, their table, and a short machine."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("numpy")
pytest.importorskip("cv2")
pytest.importorskip("keras")

from convert import __main__ as command
from convert.errors import UsageError
from convert.verify.pictures import load_set
from tests.conftest import run_module
from tests.support.converting import convert
from tests.support.pictures import HELD_OUT, ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

LABELS = ("benign", "malignant")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two pictures, a.jpg and b.jpg."""
    source = HELD_OUT[0]
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(source, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    "table",
    [
        "image_id,label\na,benign\nb,malignant\n",
        "\ufeffimage_id,label\r\na,benign\r\nb,malignant\r\n",
        "image_id;label\na;benign\nb;malignant\n",
        "label\timage_id\nbenign\ta\nmalignant\tb\n",
        "image_id,label\na.jpg,Benign\nb.JPG, MALIGNANT \n",
        'image_id,note,label\n"a","x, é","benign"\nb,,malignant\n\n',
    ],
)
def test_labels_are_read_as_spreadsheets_write_them(folder: Path, table: str) -> None:
    (folder / "labels.csv").write_text(table, encoding="utf-8", newline="")
    assert [picture.label for picture in load_set(folder, LABELS)] == ["benign", "malignant"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"image_id,label\na,caf\xe9\n", "byte 20 is no UTF-8; save it"),
        ("image_id,label\na,benign\n".encode("utf-16"), "no UTF-8; save it"),
        (b"", "image_id,label"),
        (b"name,diagnosis\na,benign\n", "image_id,label"),
        (b'image_id,label\n"' + b"a" * 200_000 + b'",benign\n', "field larger"),
    ],
)
def test_a_table_of_labels_that_cant_be_read_is_wrong_usage_with_a_way_out(
    folder: Path, data: bytes, says: str
) -> None:
    (folder / "labels.csv").write_bytes(data)
    with pytest.raises(UsageError, match=says) as caught:
        load_set(folder, LABELS)
    assert str(folder / "labels.csv") in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_folder_in_place_of_the_table_is_wrong_usage(folder: Path) -> None:
    (folder / "labels.csv").mkdir()
    with pytest.raises(UsageError, match=r"labels\.csv: can't be read"):
        load_set(folder, LABELS)


def test_rows_that_fit_no_picture_are_told(folder: Path) -> None:
    told: list[str] = []
    (folder / "labels.csv").write_text("image_id,label\na,benign\nc,benign\nd,malignant\n")
    load_set(folder, LABELS, told.append)
    assert any(line.startswith("2 of the 3 pictures in ") for line in told)


def test_pictures_in_folders_that_are_no_label_are_told_and_taken_without_one(
    folder: Path,
) -> None:
    told: list[str] = []
    for name in ("mel", "Benign", "nv"):
        (folder / name).mkdir()
        shutil.copy(HELD_OUT[0], folder / name / "c.jpg")
    found = {picture.name: picture.label for picture in load_set(folder, LABELS, told.append)}
    assert found["Benign/c.jpg"] == "benign"
    assert [found[name] for name in ("a.jpg", "mel/c.jpg", "nv/c.jpg")] == [None] * 3
    (line,) = told
    assert "mel (1), nv (1); its labels are benign, malignant" in line


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures_are_refused_with_the_number_needed(count: int, tmp_path: Path) -> None:
    for number in range(count):
        shutil.copy(HELD_OUT[0], tmp_path / f"{number}.jpg")
    with pytest.raises(UsageError, match="at least 2, better 30 or more"):
        load_set(tmp_path, LABELS)
    with pytest.raises(UsageError, match=r"no such folder.*at least 2, better 30 or more"):
        load_set(tmp_path / "none", LABELS)


@pytest.mark.parametrize("labels", ["b\udce9nin,malin", "a\tb,c", "a" * 201 + ",b"])
def test_labels_that_no_contract_can_hold_are_wrong_usage(
    labels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(["--labels", labels])
    assert caught.value.code == 2
    assert "1 to 200 printable characters" in capsys.readouterr().err


def test_whatever_keras_is_set_to_the_same_file_is_made(tmp_path: Path) -> None:
    home = tmp_path / "keras"
    home.mkdir()
    (home / "keras.json").write_text(
        '{"backend": "torch", "floatx": "float16", "image_data_format": "channels_first"}'
    )
    options = ("--variants", "float32", "--rounds", "1", "--out")
    settings = {**os.environ, "KERAS_BACKEND": "jax", "KERAS_HOME": str(home)}
    done = run_module("convert", *options, tmp_path / "out", env=settings)
    assert done.returncode == 0, done.stderr
    assert convert(*options, tmp_path / "plain").returncode == 0
    one, other = (tmp_path / name / "lesion-float32.tflite" for name in ("out", "plain"))
    assert one.read_bytes() == other.read_bytes()


def test_no_folder_for_temporary_files_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert command.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"convert: {tmp_path} can't be read or written: No space left")
    assert "TMPDIR" in said


def test_fault_69_too_little_memory_for_a_library_is_one_line(tmp_path: Path) -> None:
    limit = 700 << 20
    done = subprocess.run(
        [sys.executable, "-m", "convert", "--out", str(tmp_path)],
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("convert: not enough memory is free")
