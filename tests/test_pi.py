"""The comparison of `make test-pi` can fail; so can the unpacking of Debian's packages."""

from __future__ import annotations

import copy
import hashlib
import io
import math
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests.pi.compare import compare, table

from .pi import debian

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PICTURE = {
    "decoded": "a",
    "decoded_fast": "b",
    "regions": [{"x": 1, "y": 2}],
    "labels": {"float32": "benign", "int8": "benign"},
    "probabilities": {"float32": 0.25, "int8": 0.25},
    "resized": {"linear": {"max": 1, "share": 0.1}},
    "same_input": {
        "hash": "c",
        "int8_values": [3, -4],
        "probabilities": {"float32": 0.25, "int8": 0.25},
    },
}
_ANSWERS: dict[str, Any] = {
    "versions": {"ai-edge-litert": "2"},
    "refused": {},
    "pictures": {"one": _PICTURE},
}


def test_equal_answers_keep_the_promise() -> None:
    lines = compare(_ANSWERS, copy.deepcopy(_ANSWERS))
    assert all(line.kept for line in lines)
    assert "BROKEN" not in table(lines)


def _set(*keys: str | int, value: object) -> Callable[[Any], None]:
    def change(picture: Any) -> None:
        for key in keys[:-1]:
            picture = picture[key]
        picture[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (_set("decoded", value="x"), "decoded pixels"),
        (_set("decoded_fast", value="x"), "decoded pixels, --fast"),
        (_set("regions", 0, "x", value=2), "regions"),
        (_set("labels", "int8", value="malignant"), "labels"),
        (_set("resized", "linear", "max", value=2), "resize, linear"),
        (_set("probabilities", "int8", value=0.26), "int8, whole"),
        (_set("probabilities", "int8", value=math.nan), "int8, whole"),
        (_set("same_input", "hash", value="x"), "linear_exact resize"),
        (_set("same_input", "int8_values", 1, value=-5), "int8 values, same input"),
        (_set("same_input", "probabilities", "float32", value=0.2502), "float32, same input"),
    ],
)
def test_each_difference_breaks_it(change: Callable[[Any], None], what: str) -> None:
    there = copy.deepcopy(_ANSWERS)
    change(there["pictures"]["one"])
    lines = compare(_ANSWERS, there)
    assert [line.what for line in lines if not line.kept] == [what]


def test_the_other_runtime_may_round_int8_sums_but_nothing_else() -> None:
    there = copy.deepcopy(_ANSWERS) | {"versions": {"tflite-runtime": "2.14.0"}}
    same_input = there["pictures"]["one"]["same_input"]
    same_input["int8_values"][1] = -5
    same_input["probabilities"] = {"float32": 0.2502, "int8": 0.2502}
    broken = [line.what for line in compare(_ANSWERS, there) if not line.kept]
    assert broken == ["float32, same input"]


def _deb(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    members = [("debian-binary", b"2.0\n"), ("data.tar.xz", buffer.getvalue())]
    deb = b"!<arch>\n"
    for name, data in members:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(data):<10}`\n".encode()
        deb += header + data + b"\n" * (len(data) % 2)
    return deb


def _mirror(monkeypatch: pytest.MonkeyPatch, deb: bytes, sha256: str | None = None) -> None:
    import lzma

    index = lzma.compress(
        b"Package: b\nVersion: 1\nFilename: pool/b.deb\nSHA256: "
        + (sha256 or hashlib.sha256(deb).hexdigest()).encode()
        + b"\nProvides: virtual (= 1)\n\n"
        b"Package: a\nVersion: 2\nFilename: pool/a.deb\nSHA256: "
        + hashlib.sha256(deb).hexdigest().encode()
        + b"\nDepends: missing | virtual (>= 1), dpkg\n\n"
    )
    release = f"\nSHA256:\n {hashlib.sha256(index).hexdigest()} 9 main/binary-arm64/Packages.xz\n"
    files = {
        "InRelease": release.encode(),
        "Packages.xz": index,
        "a.deb": deb,
        "b.deb": deb,
    }

    def open_url(url: str, **_: object) -> io.BytesIO:
        return io.BytesIO(files[url.rsplit("/", 1)[1]])

    monkeypatch.setattr("urllib.request.urlopen", open_url)


def test_a_tree_holds_a_package_with_what_it_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _mirror(monkeypatch, _deb({"./lib/one": b"1", "./usr/bin/two": b"22"}))
    tree = debian.make_tree(tmp_path / "tree", "some", "arm64", ["a"])
    assert (tree / "usr" / "lib" / "one").read_bytes() == b"1"
    assert (tree / ".packages").read_text().splitlines() == ["some arm64 a", "a 2", "b 1"]
    monkeypatch.undo()  # the second time, nothing is fetched
    assert debian.make_tree(tmp_path / "tree", "some", "arm64", ["a"]) == tree


def test_a_package_that_is_not_what_the_index_says_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _mirror(monkeypatch, _deb({"./lib/one": b"1"}), "0" * 64)
    with pytest.raises(OSError, match="not what its index says"):
        debian.make_tree(tmp_path / "tree", "some", "arm64", ["a"])


def test_a_package_cant_write_outside_of_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _mirror(monkeypatch, _deb({"../outside": b"1"}))
    with pytest.raises(tarfile.OutsideDestinationError):
        debian.make_tree(tmp_path / "tree", "some", "arm64", ["a"])
    assert not (tmp_path / "outside").exists()
