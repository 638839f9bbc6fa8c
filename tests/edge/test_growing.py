"""A file that is written as results come is whole under its name, or isn't there at all."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge import OutputError
from edge.report.growing import GrowingFile, growing_file
from tests.support.pictures import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def close_with_an_end(file: GrowingFile) -> None:
    file.at_end = lambda early: file.write("early" if early else "whole")


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_it_gets_its_name_at_the_end_and_its_bytes_are_with_the_system_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "new" / "folder" / "out.html"
    with growing_file(str(path), ".html") as file:
        close_with_an_end(file)
        file.write("é ")
        (temporary,) = path.parent.iterdir()
        assert temporary != path
        assert temporary.read_text("utf-8") == "é "
    assert path.read_text("utf-8") == "é whole"
    assert names(path.parent) == ["out.html"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, BrokenPipeError, SystemExit, RuntimeError])
def test_a_run_that_ends_early_keeps_what_was_done_and_its_own_error(
    error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "out.html"
    ended_by = error("it")

    def run() -> None:
        with growing_file(str(path), ".html") as file:
            close_with_an_end(file)
            file.write("one ")
            raise ended_by

    with pytest.raises(error) as raised:
        run()
    assert raised.value is ended_by
    assert path.read_text() == "one early"
    assert names(tmp_path) == ["out.html"]


def test_another_file_that_fails_within_the_block_ends_this_one_early(tmp_path: Path) -> None:
    def run(failing: str) -> None:
        with (
            growing_file(str(tmp_path / "a.csv"), ".csv") as first,
            growing_file(str(tmp_path / "b.csv"), ".csv") as second,
            open("/dev/full", "wb", buffering=0) as full,
        ):
            files = {"a": first, "b": second}
            for file in files.values():
                close_with_an_end(file)
                file.write("one ")
            files[failing]._stream = full
            files[failing].write("two ")

    with pytest.raises(OutputError, match=r"b\.csv: can't be written: No space left"):
        run("b")
    assert names(tmp_path) == ["a.csv"]
    assert (tmp_path / "a.csv").read_text() == "one early"
    (tmp_path / "a.csv").unlink()
    with pytest.raises(OutputError, match=r"a\.csv: can't be written: No space left"):
        run("a")
    assert names(tmp_path) == ["b.csv"]
    assert (tmp_path / "b.csv").read_text() == "one early"


def test_fault_41_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path: Path) -> None:
    """A real limit, in a process of its own: in the middle, in the end, and at the start."""
    code = (
        "import resource, signal, sys\n"
        "from edge.report.growing import growing_file\n"
        "from edge import OutputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    with growing_file(sys.argv[1], '.html') as file:\n"
        "        file.at_end = lambda early: file.write('e' * int(sys.argv[3]))\n"
        "        for _ in range(3): file.write('x' * int(sys.argv[2]))\n"
        "except OutputError as error: print(error)\n"
    )
    path = tmp_path / "out.html"
    path.write_text("old")
    for each, end in (("5000", "1"), ("400", "1"), ("333", "5000")):
        result = subprocess.run(
            [sys.executable, "-c", code, path, each, end],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout == f"{path}: can't be written: File too large\n"
        assert names(tmp_path) == ["out.html"]
        assert path.read_text() == "old"


@pytest.mark.usefixtures("deleted_folder")
def test_a_folder_of_the_shell_that_was_deleted_is_said_to_be() -> None:
    with pytest.raises(OutputError, match="the folder that the shell is in was deleted") as raised:
        growing_file("out.csv", ".csv").__enter__()
    assert str(raised.value).startswith("out.csv: can't be written: ")


def test_what_is_no_place_for_it_is_refused_before_the_first_picture(tmp_path: Path) -> None:
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(b"mine")
    (tmp_path / "folder.html").mkdir()
    (tmp_path / "nowhere.html").symlink_to(tmp_path / "missing" / "x.html")
    os.mkfifo(tmp_path / "pipe.html")
    before = names(tmp_path)
    for name, said in (
        ("picture.jpg", "choose a name that ends in .html"),
        ("folder.html", "exists and is not an ordinary file"),
        ("nowhere.html", "exists and is not an ordinary file"),
        ("pipe.html", "exists and is not an ordinary file"),
    ):
        path = str(tmp_path / name)
        with pytest.raises(OutputError) as raised, growing_file(path, ".html"):
            pytest.fail("it must not get this far")
        assert str(raised.value).startswith(f"{path}: {said}")
        assert "\n" not in str(raised.value)
    with (
        pytest.raises(OutputError, match=r"picture\.jpg: can't be made a folder: File exists"),
        growing_file(str(picture / "out.html"), ".html"),
    ):
        pytest.fail("it must not get this far")
    assert names(tmp_path) == before
    assert picture.read_bytes() == b"mine"
