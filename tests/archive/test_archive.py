"""An archive's rows, its parts and what is there already, object stores; without Ray."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from edge.analyzer import Analyzer
from edge.cli.terminal import Progress
from edge.errors import LesionEdgeError, ModelError, OutputError, PictureError
from tests.conftest import run_module
from tests.support.pictures import ROOT, SAMPLES
from tests.support.s3_server import s3_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.archive.worker import Worker
    from tests.support.s3_server import Store

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "anything")
    with s3_server() as started:
        yield started


def make_worker(folder: Path | str, options: str = "", model: str | None = None) -> Worker:
    from edge.archive.worker import Worker, answers_key, open_analyzer

    settings = {"model": model}
    return Worker(settings, answers_key(open_analyzer(settings)), str(folder), options)


def test_a_workers_process_limits_opencv_before_it_loads_it() -> None:
    env = {key: value for key, value in os.environ.items() if key != LIMIT}
    code = f"import edge.archive, os, sys; print('cv2' in sys.modules, '{LIMIT}' in os.environ)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"


def names_table(*names: Path | str) -> Any:
    return pa.table({"name": [os.fsencode(name) for name in names]})


def rows_in(folder: Path) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(folder).to_pylist()
    assert len({row["image"] for row in rows}) == len(rows)
    return {row["image"]: row for row in rows}


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return value


@pytest.mark.parametrize("model", ["notebook", "dermoscopy"])
def test_a_row_is_what_run_prints_as_json(tmp_path: Path, model: str) -> None:
    labels = make_worker(tmp_path, model=model)(names_table(*SAMPLES))["label"].to_pylist()
    rows = rows_in(tmp_path)
    for path, label in zip(SAMPLES, labels, strict=True):
        expected = Analyzer(model, threads=1).analyze(str(path)).to_dict()
        row = without_nulls(rows[str(path)])
        assert row.pop("bytes") == path.stat().st_size
        assert row.pop("read_ms") >= 0
        assert row.pop("analysed_at").tzinfo is not None
        assert set(row.pop("timings_ms")) == set(expected.pop("timings_ms"))
        assert json.loads(json.dumps(row)) == without_nulls(json.loads(json.dumps(expected)))
        assert label == row["label"]


def test_a_picture_that_fails_is_a_row_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "web.jpg").write_text("<html>")
    gone, whole = tmp_path / "gone.jpg", SAMPLES[0]
    worker = make_worker(tmp_path / "out")
    labels = worker(names_table(tmp_path / "web.jpg", whole, gone))["label"]
    assert labels.is_null().to_pylist() == [True, False, True]
    rows = rows_in(tmp_path / "out")
    for name, text in ((tmp_path / "web.jpg", "HTML"), (gone, "No such file")):
        assert rows[str(name)]["error"]["type"] == "PictureError"
        assert text in rows[str(name)]["error"]["message"]
        assert rows[str(name)]["model"]["sha256"] == rows[str(whole)]["model"]["sha256"]


def test_names_that_are_no_text_are_read_and_written(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/a\xff\n\xc3\xa4.jpg"
    shutil.copy(os.fsencode(SAMPLES[0]), name)
    make_worker(tmp_path / "out")(names_table(os.fsdecode(name)))
    (row,) = rows_in(tmp_path / "out").values()
    assert row["image"] == f"{tmp_path}/a\\xff\nä.jpg"
    assert row["label"]


def test_a_part_worked_on_twice_takes_its_own_place(tmp_path: Path) -> None:
    worker = make_worker(tmp_path)
    for _ in range(2):
        worker(names_table(*SAMPLES[:2]))
    assert len(rows_in(tmp_path)) == 2


def test_what_a_killed_process_left_is_taken_away(tmp_path: Path) -> None:
    from edge.archive.parts import Parts

    make_worker(tmp_path)(names_table(*SAMPLES))
    (whole,) = tmp_path.glob("part-*.parquet")
    (tmp_path / "part-0.parquet").write_bytes(whole.read_bytes()[:-9])
    (tmp_path / ".part-1.parquet.77-ab.tmp").write_bytes(b"PAR1")
    (tmp_path / "notes.txt").write_text("mine")
    assert sorted(name for name, _ in Parts(str(tmp_path)).done()) == sorted(map(str, SAMPLES))
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", whole.name]


def test_pictures_that_failed_are_taken_again_where_that_is_asked(tmp_path: Path) -> None:
    from edge.archive.parts import Parts

    late = tmp_path / "late.jpg"
    make_worker(tmp_path / "out")(names_table(SAMPLES[0], late))
    make_worker(tmp_path / "out")(names_table(tmp_path / "later.jpg"))
    parts = Parts(str(tmp_path / "out"))
    assert len(dict(parts.done())) == 3
    assert [name for name, _ in parts.done(retry=True)] == [str(SAMPLES[0])]
    assert list(rows_in(tmp_path / "out")) == [str(SAMPLES[0])]


def test_rows_of_another_version_are_refused(tmp_path: Path) -> None:
    from edge.archive.parts import Parts

    table = pa.table({"image": ["x"], "label": ["y"]}, metadata={"lesion_edge_archive": "0"})
    pq.write_table(table, tmp_path / "part-0.parquet")
    with pytest.raises(OutputError, match=r"version 0.*give another --out"):
        list(Parts(str(tmp_path)).done())


def test_a_node_with_another_model_is_refused(tmp_path: Path) -> None:
    from edge.archive.worker import Worker

    with pytest.raises(ModelError, match="install the same model"):
        Worker({"model": None}, "0123456789ab", str(tmp_path), "")


def test_a_list_names_paths_and_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge.archive.pictures import find_pictures

    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_bytes(b"a.jpg\r\n\n/b c.png\ns3://bucket/d?#.jpg\n")
    expected = [str(tmp_path / "a.jpg"), "/b c.png", "s3://bucket/d?#.jpg"]
    assert list(find_pictures("list.txt", None, print)) == expected


def test_a_folder_gives_what_run_takes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge.archive.pictures import find_pictures

    shutil.copytree(SAMPLES[0].parents[1], tmp_path / "in")
    (tmp_path / "in/.hidden.jpg").write_text("")
    monkeypatch.chdir(tmp_path)
    for source in ("in", (tmp_path / "in").as_uri()):
        found = list(find_pictures(source, None, print))
        assert found == sorted(str(path) for path in (tmp_path / "in").glob("*/*"))
    (none,) = find_pictures("list.txt", None, print)
    assert "can't be read" in str(none)


def test_a_store_is_read_through_its_faults(store: Store, tmp_path: Path) -> None:
    from edge.archive.pictures import find_pictures

    picture = SAMPLES[0].read_bytes()
    names = ("a b?#\u00e4.jpg", "cut.jpg", "failing.jpg", "flaky.jpg", "forbidden.jpg", "large.jpg")
    for name in (*names, "slow.jpg", ".hidden/x.jpg", "notes.txt"):
        store.objects[f"2026/{name}"] = picture
    found = list(find_pictures(f"s3://archive/2026/{store.address}", None, print))
    assert found == [f"s3://archive/2026/{name}" for name in (*names, "slow.jpg")]
    make_worker(tmp_path, store.address)(names_table(*map(str, found)))
    rows = {name.rpartition("/")[2]: row for name, row in rows_in(tmp_path).items()}
    errors = {name: row["error"]["message"] for name, row in rows.items() if row["error"]}
    assert set(rows) - set(errors) == {"a b?#\u00e4.jpg", "flaky.jpg", "slow.jpg"}
    assert "Transferred a partial file" in errors["cut.jpg"]
    assert errors["failing.jpg"].endswith("--retry-failed")
    assert errors["large.jpg"].endswith("larger than the limit of 67108864 bytes")
    assert store.asked["2026/large.jpg"] == 0
    assert 1 < store.asked["2026/failing.jpg"] < 6


def test_a_store_takes_the_rows_too(store: Store) -> None:
    from edge.archive.parts import Parts

    folder = f"s3://archive/answers{store.address}"
    assert list(Parts(folder).done()) == []
    make_worker(folder)(names_table(*SAMPLES))
    assert [key.partition("/part-")[0] for key in store.objects] == ["answers"]
    assert sorted(name for name, _ in Parts(folder).done()) == sorted(map(str, SAMPLES))


def test_a_key_in_an_address_is_refused_and_not_shown() -> None:
    from edge.archive.parts import Parts
    from edge.archive.pictures import find_pictures

    address = "s3://AKIA:secret@bucket/folder"
    (found,) = find_pictures(address, None, print)
    assert isinstance(found, PictureError)
    with pytest.raises(LesionEdgeError) as raised:
        Parts(address)
    for error in (found, raised.value):
        assert "AWS_ACCESS_KEY_ID" in str(error)
        assert "secret" not in str(error)


def test_without_the_extra_the_message_names_the_command(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['ray'] = None\n"
        "from edge.archive.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(SAMPLES[0].parent), "--out", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "ray is missing" in done.stderr
    assert "'.[archive]'" in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_address_without_a_cluster_is_answered_at_once(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = run_module(
        *("edge.archive", SAMPLES[0].parent, "--out", tmp_path, "--address", f"127.0.0.1:{port}"),
        timeout=100,
    )
    assert done.returncode == 1
    assert f"--address 127.0.0.1:{port}: no Ray answers there" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_other_command_imports_anything_of_it() -> None:
    done = run_module(
        "edge.run",
        SAMPLES[0],
        python=sys.executable,
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
    )
    assert done.returncode == 0
    assert "edge.analyzer" in done.stderr
    for name in ("ray", "pyarrow", "pandas", "edge.archive"):
        assert f" {name}\n" not in done.stderr


def test_progress_says_how_long_the_rest_will_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    progress = Progress("pictures analysed:", 1000)
    for clock[0], done in ((10.0, 100), (100.0, 500), (5000.0, 600), (5100.0, 1000)):
        progress.update(done)
    assert capsys.readouterr().err.splitlines() == [
        "pictures analysed: 100 of 1000, about 90 s left",
        "pictures analysed: 500 of 1000, about 100 s left",
        "pictures analysed: 600 of 1000, about 56 min left",
        "pictures analysed: 1000 of 1000",
    ]
