"""What a command takes for pictures of folders and patterns, and what it leaves out and says."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.cli.sources import expand
from edge.picture.comment import add_comment, is_ours
from tests.conftest import run_module
from tests.support.pictures import ROOT, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from typing_extensions import Self

JPEG = b"\xff\xd8\xff\xe0"
"""Enough of one: what a picture is named as is what counts here."""


def _make(folder: Path, *names: str, data: bytes = JPEG) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _expand(*sources: object, leave_out: Path | None = None) -> tuple[list[str], list[str], str]:
    """Return the paths, the errors' messages, and what was told."""
    told: list[str] = []
    output = None if leave_out is None else str(leave_out)
    found = list(expand([str(each) for each in sources], leave_out=output, tell=told.append))
    assert len(told) <= 1
    paths = [each for each in found if isinstance(each, str)]
    return paths, [str(each) for each in found if not isinstance(each, str)], "".join(told)


def _names(folder: Path, paths: Sequence[str]) -> list[str]:
    return [os.path.relpath(path, folder) for path in paths]


def test_fault_64_every_ending_of_jpeg_and_png_in_any_case_is_taken_in_order(
    tmp_path: Path,
) -> None:
    names = ["a.jpg", "b.JPEG", "c.Jpe", "d.JFIF", "e.PNG", "sub/f.jpg"]
    _make(tmp_path, *names, "g.heic", "h.HEIC", "i.txt", "sub/noending")
    paths, errors, told = _expand(tmp_path)
    assert (_names(tmp_path, paths), errors) == (names, [])
    assert told == "left out: 4 of other kinds (2 .heic, 1 .txt, 1 without an ending)"


@pytest.mark.parametrize(
    "name",
    [
        "._a.jpg",
        ".DS_Store",
        ".Trash-1000/files/a.jpg",
        ".thumbnails/a.jpg",
        "@eaDir/a.jpg",
        "$RECYCLE.BIN/a.jpg",
        "System Volume Information/a.jpg",
        "__MACOSX/a.jpg",
        "Thumbs.db",
        "lost+found/a.jpg",
        "#recycle/a.jpg",
        ".snapshot/a.jpg",
        "sub/deep/@EADIR/x/a.jpg",
    ],
)
def test_fault_64_hidden_and_system_names_are_left_out_and_counted(
    tmp_path: Path, name: str
) -> None:
    _make(tmp_path, "mine.jpg", name)
    for source in (tmp_path, f"{tmp_path}/**/*.jpg"):
        paths, errors, told = _expand(source)
        assert (_names(tmp_path, paths), errors) == (["mine.jpg"], [])
        assert told == "left out: 1 hidden"


def test_fault_64_a_hidden_name_that_is_given_is_taken(tmp_path: Path) -> None:
    _make(tmp_path, "._a.jpg", ".hidden/a.jpg", ".hidden/._b.jpg")
    assert _expand(tmp_path / "._a.jpg")[0] == [f"{tmp_path}/._a.jpg"]
    assert _expand(tmp_path / ".hidden")[0] == [f"{tmp_path}/.hidden/a.jpg"]
    for pattern in (".hidden/*.jpg", ".hidden/**/*.jpg"):
        assert _expand(tmp_path / pattern)[0] == [f"{tmp_path}/.hidden/a.jpg"]


def test_fault_64_links_that_go_round_end_and_each_folder_is_entered_once(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "outside"
    _make(inside, "z/a.jpg", "z/y/b.jpg")
    _make(outside, "c.jpg", "deep/d.jpg")
    for link, target in {
        "first": "z",
        "z/up": "..",
        "z/y/round": "../..",
        "away": "../outside",
        "away2": "../outside",
        "deep": "../outside/deep",
    }.items():
        (inside / link).symlink_to(target)
    (outside / "back").symlink_to(inside)
    expected = ["away/c.jpg", "away/deep/d.jpg", "z/a.jpg", "z/y/b.jpg"]
    assert _names(inside, _expand(inside)[0]) == expected
    assert sorted(_names(inside, _expand(f"{inside}/**/*.jpg")[0])) == expected


def test_fault_64_a_link_to_a_hidden_folder_or_to_nothing_is_no_silent_loss(tmp_path: Path) -> None:
    _make(tmp_path, ".store/a.jpg")
    (tmp_path / "shown").symlink_to(".store")
    (tmp_path / "usb").symlink_to("not/mounted")
    (tmp_path / "gone.jpg").symlink_to("gone")
    (tmp_path / "self").symlink_to("self")
    paths, errors, told = _expand(tmp_path)
    assert _names(tmp_path, paths) == ["gone.jpg", "shown/a.jpg"]
    assert len(errors) == 1
    assert errors[0].startswith(f"{tmp_path}/self: can't be read: Too many levels")
    assert told == "left out: 1 hidden, 1 linked to nothing"


def test_fault_64_a_folder_that_cant_be_read_is_an_error_and_the_others_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(tmp_path, "a.jpg", "private: mine/b.jpg", "z/c.jpg")
    real = os.scandir

    def scandir(path: str) -> object:  # root, as whom tests may run, reads everything
        if path.endswith("mine"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = list(expand([str(tmp_path)]))
    (error,) = (each for each in found if not isinstance(each, str))
    assert error.path == f"{tmp_path}/private: mine"
    assert "can't be read: Permission denied" in str(error)
    assert f"'{tmp_path}/private: mine'" in str(error)
    assert _names(tmp_path, [x for x in found if isinstance(x, str)]) == ["a.jpg", "z/c.jpg"]


def test_fault_64_a_real_folder_of_another_user_is_an_error_in_the_command(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (tmp_path / "private").mkdir(mode=0)
    result = run_module("edge.run", tmp_path)
    assert result.returncode == 1
    assert f"{tmp_path}/private: can't be read: Permission denied" in result.stderr


def test_fault_64_a_pattern_below_a_folder_that_cant_be_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(tmp_path, "private/a.jpg")
    real = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("private"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    for pattern in ("private/*.jpg", "private/**/*.jpg", "*/*.jpg", "p*e/a.jpg", "**/*.jpg"):
        paths, errors, _ = _expand(tmp_path / pattern)
        assert paths == []
        assert len(errors) == 1
        assert errors[0].startswith(f"{tmp_path}/private: can't be read: Permission denied; ")


def test_fault_64_a_pattern_passes_nothing_over_in_silence(tmp_path: Path) -> None:
    _make(tmp_path, "z/a.jpg", "z/deep/c.jpg", "y.jpg/d.jpg", ".b.jpg", ".config", "e.txt")
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "round.jpg").symlink_to("round.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    paths, errors, told = _expand(f"{tmp_path}/*.jpg")
    assert _names(tmp_path, paths) == ["gone.jpg", "pipe.jpg"]
    assert [error.split(";")[0] for error in errors] == [
        f"{tmp_path}/round.jpg: can't be read: Too many levels of symbolic links"
    ]
    assert told == "left out: 1 hidden"
    (error,) = _expand(f"{tmp_path}/no such/*.jpg")[1]
    assert error.endswith(f"no file fits this pattern; no folder {tmp_path}/no such")


def test_fault_64_a_pattern_goes_through_links_to_what_fits_only_there(tmp_path: Path) -> None:
    _make(tmp_path, "z/y/x/a.jpg", "z/y/b.jpg")
    (tmp_path / "first").symlink_to("z/y")
    assert _names(tmp_path, _expand(f"{tmp_path}/first/x/*.jpg")[0]) == ["first/x/a.jpg"]
    assert _names(tmp_path, _expand(f"{tmp_path}/f*/*.jpg")[0]) == ["first/b.jpg"]
    assert _names(tmp_path, _expand(f"{tmp_path}/f*/**/*.jpg")[0]) == [
        "first/b.jpg",
        "first/x/a.jpg",
    ]
    assert _names(tmp_path, _expand(f"{tmp_path}/*/*/*.jpg")[0]) == ["first/x/a.jpg", "z/y/b.jpg"]
    assert _names(tmp_path, _expand(f"{tmp_path}/**/x/*.jpg")[0]) == ["z/y/x/a.jpg"]


def test_fault_64_a_folder_with_brackets_in_its_name_begins_a_pattern(tmp_path: Path) -> None:
    _make(tmp_path, "fold[1]/a.jpg", "fold[1]/sub[2]/b.jpg")
    assert _names(tmp_path, _expand(f"{tmp_path}/fold[1]/*.jpg")[0]) == ["fold[1]/a.jpg"]
    assert _names(tmp_path, _expand(f"{tmp_path}/fold[1]/sub[2]/?.jpg")[0]) == [
        "fold[1]/sub[2]/b.jpg"
    ]
    assert _names(tmp_path, _expand(f"{tmp_path}/fold?1]/*.jpg")[0]) == ["fold[1]/a.jpg"]


def test_fault_64_an_empty_name_is_said_to_be_one() -> None:
    (error,) = _expand("")[1]
    assert error.startswith("'': an empty name is no picture; ")


@pytest.mark.usefixtures("deleted_folder")
def test_fault_64_a_folder_that_was_deleted_is_said_to_be() -> None:
    for source in (".", "*.jpg"):
        (error,) = _expand(source)[1]
        assert error.startswith(f"{source}: the folder that the shell is in was deleted; ")


@given(
    st.lists(
        st.sampled_from(["a", "b", "ab", "*", "?", "a*", "[ab]", "**"]), min_size=1, max_size=5
    ),
    st.lists(st.sampled_from(["a", "b", "ab", "ba"]), min_size=1, max_size=4),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fault_64_what_fits_a_pattern_is_what_glob_says(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], names: list[str]
) -> None:
    import glob

    top = tmp_path_factory.mktemp("glob")
    path = f"{top}/{'/'.join(names)}.jpg"
    _make(top, os.path.relpath(path, top))
    pattern = f"{top}/{'/'.join(parts)}.jpg".replace("**.jpg", "*.jpg")
    assert (_expand(pattern)[0] == [path]) == (path in glob.glob(pattern, recursive=True))


def test_fault_64_a_disk_that_fails_in_mid_folder_gives_what_came_and_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(tmp_path, "a.jpg", "b.jpg")
    real = os.scandir

    class Failing:
        def __init__(self, path: str) -> None:
            self._real = real(path)

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self._real.close()

        def __iter__(self) -> object:
            yield next(self._real)
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "scandir", Failing)
    paths, errors, _ = _expand(tmp_path)
    assert len(paths) == 1
    assert len(errors) == 1
    assert "Input/output error" in errors[0]


def test_fault_64_a_folder_of_a_phones_pictures_says_what_they_are(tmp_path: Path) -> None:
    _make(tmp_path, *(f"IMG_{number}.HEIC" for number in range(12)), "._IMG.HEIC")
    paths, errors, told = _expand(tmp_path)
    assert (paths, told) == ([], "")
    (error,) = errors
    assert error == (
        f"{tmp_path}: no JPEG or PNG in this folder; left out: 1 hidden, 12 of other kinds"
        " (12 .heic); save pictures of other kinds as JPEG or PNG first"
    )


def test_fault_64_a_folder_without_any_picture_says_what_is_there(tmp_path: Path) -> None:
    _make(tmp_path, "a.csv", "b.csv", "c", "d.", *(f"x.{number}" for number in range(9)))
    _, (error,), _ = _expand(tmp_path)
    assert error == (
        f"{tmp_path}: no JPEG or PNG in this folder; left out: 13 of other kinds"
        " (2 .csv, 2 without an ending, 1 .0, 1 .1, 1 .2, ...)"
    )


def test_fault_64_a_pattern_takes_whatever_fits_it_and_an_error_names_it(tmp_path: Path) -> None:
    _make(tmp_path, "a.jpg", "b.heic", "sub/c.heic", "sub/deep/d.heic", "[x]*.jpg")
    assert _names(tmp_path, _expand(f"{tmp_path}/*.heic")[0]) == ["b.heic"]
    assert _names(tmp_path, _expand(f"{tmp_path}/**/*.heic")[0]) == [
        "b.heic",
        "sub/c.heic",
        "sub/deep/d.heic",
    ]
    assert _names(tmp_path, _expand(f"{tmp_path}/s*/**")[0]) == ["sub/c.heic", "sub/deep/d.heic"]
    assert _names(tmp_path, _expand(f"{tmp_path}/[x]*.jpg")[0]) == ["[x]*.jpg"]
    (error,) = expand([f"{tmp_path}/**/*: none"])
    assert not isinstance(error, str)
    assert error.path == f"{tmp_path}/**/*: none"
    assert str(error) == f"{tmp_path}/**/*: none: no file fits this pattern"


def test_fault_64_a_pattern_without_a_folder_begins_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make(tmp_path, "a.jpg", "sub/b.jpg")
    monkeypatch.chdir(tmp_path)
    assert _expand("**/*.jpg")[0] == ["a.jpg", "sub/b.jpg"]
    assert _expand("*.jpg")[0] == ["a.jpg"]
    assert _expand(".")[0] == ["./a.jpg", "./sub/b.jpg"]


_NAME = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=20,
).filter(lambda name: not name.startswith("."))


@given(st.sets(_NAME, max_size=6), st.sets(_NAME, max_size=3))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fault_65_every_name_comes_back_as_it_is_once(
    tmp_path_factory: pytest.TempPathFactory, files: set[str], folders: set[str]
) -> None:
    top = tmp_path_factory.mktemp("names")
    expected = set()
    for folder in ["", *(f"d{name}" for name in folders)]:
        for name in files:
            _make(top, f"{folder}/{name}.jpg" if folder else f"{name}.jpg")
            expected.add(f"{top}/{folder}/{name}.jpg" if folder else f"{top}/{name}.jpg")
    found = [each for each in expand([str(top)]) if isinstance(each, str)]
    assert sorted(found) == sorted(expected)


def test_fault_64_results_are_no_input_of_the_next_run(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    _make(pictures, "a.jpg", data=SAMPLES[0].read_bytes())
    for out in (pictures / "out", pictures):
        for _ in range(2):
            result = run_module("edge.run", pictures, "--save", out, "--json")
            assert result.returncode == 0
            assert len(result.stdout.splitlines()) == 1
    assert result.stderr == "edge.run: left out: 2 annotated by us\n"
    assert is_ours(pictures / "a_annotated.jpg")
    result = run_module("edge.run", pictures, "--save", pictures / "out", "--json")
    assert f"1 folder of results ({pictures}/out)" in result.stderr
    assert result.stderr.count("\n") == 1
    # As a shell's * names it; as a file that is given; and nothing but ours.
    every = [str(path) for path in sorted(pictures.iterdir())]
    result = run_module("edge.run", *every, "--save", pictures / "out", "--json")
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 1), result.stderr
    assert result.stderr == "edge.run: left out: 2 annotated by us\n"
    result = run_module("edge.run", pictures / "a_annotated.jpg", "--json")
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 1), result.stderr
    result = run_module("edge.run", *[pictures / "a_annotated.jpg"] * 2)
    assert result.returncode == 1
    assert "no picture to analyse; left out: 2 annotated by us; " in result.stderr


def test_fault_64_a_users_own_picture_is_taken_whatever_its_name(tmp_path: Path) -> None:
    ours = add_comment(SAMPLES[0].read_bytes(), {"label": "benign"})
    _make(tmp_path, "mine_annotated.jpg", "snapshot-mine.jpg", data=SAMPLES[0].read_bytes())
    _make(
        tmp_path,
        "renamed.JPG",
        "x_annotated (1).jpg",
        "snapshot-20260101T000000.000Z-a-1.jpg",
        data=ours,
    )
    os.mkfifo(tmp_path / "pipe_annotated.jpg")
    paths, _, told = _expand(tmp_path)
    assert _names(tmp_path, paths) == [
        "mine_annotated.jpg",
        "pipe_annotated.jpg",
        "snapshot-mine.jpg",
    ]
    assert told == "left out: 3 annotated by us"


def test_fault_64_a_large_folder_is_listed_without_asking_for_each_file(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number}.jpg").touch()
    code = (
        "import os, sys; from edge.cli.sources import expand\n"
        "count = 0\nreal = os.stat\n"
        "def stat(*a, **k):\n global count; count += 1; return real(*a, **k)\n"
        "os.stat = stat\n"
        "print(len(list(expand([sys.argv[1]]))), count)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found, asked = map(int, result.stdout.split())
    assert found == 2000
    assert asked < 10


def _saved(folder: Path, names: Sequence[str], *options: str) -> list[str]:
    import json

    result = run_module("edge.run", *(folder / name for name in names), "--json", *options)
    assert result.returncode == 0, result.stdout
    return [json.loads(line)["saved"] for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    "names",
    [
        ["a-2.jpg", "a.jpg", "x/a.jpg"],
        ["a.jpg", "x/a.jpg", "a-2.jpg"],
        ["a.jpg", "a.png", "A.jpg", "a.JPG"],
        [unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD")],
        ["STRASSE.jpg", "straße.jpg"],
        ["l" * 251 + ".jpg", "l" * 250 + "m.jpg", "x/" + "l" * 251 + ".jpg"],
        ["ä" * 125 + ".jpg", "a" + "ä" * 125 + ".jpg"],
    ],
)
def test_fault_65_no_two_pictures_of_a_call_get_one_annotated_file(
    tmp_path: Path, names: list[str]
) -> None:
    _make(tmp_path, *names, data=SAMPLES[0].read_bytes())
    out = tmp_path / "out"
    saved = _saved(tmp_path, names, "--save", str(out), "--threads", "1")
    folded = {unicodedata.normalize("NFC", os.path.basename(path)).casefold() for path in saved}
    assert len(folded) == len(names)
    assert sorted(saved) == sorted(str(path) for path in out.iterdir())
    assert all(len(os.fsencode(os.path.basename(path))) <= 255 for path in saved)
    for threads in ("1", "2", "4"):  # the same names, over the same files
        assert _saved(tmp_path, names, "--save", str(out), "--threads", threads) == saved
    assert len(list(out.iterdir())) == len(names)


def test_fault_65_the_annotated_copy_of_another_picture_is_not_written_over(
    tmp_path: Path,
) -> None:
    names = ["p1/a.jpg", "p2/a.jpg", "p3/a.jpg"]
    _make(tmp_path, *names, data=SAMPLES[0].read_bytes())
    out = tmp_path / "out"
    first = [_saved(tmp_path, [name], "--save", str(out))[0] for name in names]
    assert _names(out, first) == ["a_annotated.jpg", "a-2_annotated.jpg", "a-3_annotated.jpg"]
    for again in (names, names[::-1], names[1:]):  # each over its own, in any order
        expected = [first[names.index(name)] for name in again]
        assert _saved(tmp_path, again, "--save", str(out)) == expected
    assert len(list(out.iterdir())) == 3
    assert str(tmp_path).encode() not in (out / "a_annotated.jpg").read_bytes()


def test_fault_65_a_file_of_the_users_is_not_written_over(tmp_path: Path) -> None:
    _make(tmp_path, "a.jpg", data=SAMPLES[0].read_bytes())
    _make(tmp_path, "out/a_annotated.jpg", data=b"mine")
    (tmp_path / "out" / "a-2_annotated.jpg").mkdir()
    for _ in range(2):
        (saved,) = _saved(tmp_path, ["a.jpg"], "--save", str(tmp_path / "out"))
        assert saved == f"{tmp_path}/out/a-3_annotated.jpg"
    assert (tmp_path / "out" / "a_annotated.jpg").read_bytes() == b"mine"


def test_fault_65_an_error_names_its_picture_as_it_was_given(tmp_path: Path) -> None:
    import json

    names = ["a: b.jpg", "c\n: d.jpg", os.fsdecode(b"\xff: e.jpg")]
    for name in names:
        (tmp_path / name).write_bytes(b"no picture")
    (tmp_path / "empty: folder").mkdir()
    sources = [str(tmp_path / name) for name in [*names, "empty: folder", "gone: x.jpg"]]
    result = run_module("edge.run", "--json", *sources, f"{tmp_path}/no: *.jpg")
    assert result.returncode == 1
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["image"] for line in lines] == [*sources, f"{tmp_path}/no: *.jpg"]
    assert all(set(line["error"]) == {"type", "message"} for line in lines)
