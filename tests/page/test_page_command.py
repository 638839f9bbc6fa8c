"""The command as it is started, on both runtimes and on the oldest Starlette and uvicorn."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from edge import Analyzer
from tests.conftest import run_module
from tests.support.pictures import ROOT, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

OLD = ROOT / ".venv-tflite-runtime" / "bin" / "python"
PYTHONS = [
    sys.executable,
    pytest.param(
        str(OLD), marks=pytest.mark.skipif(not OLD.exists(), reason="see test_old_runtime")
    ),
]


@contextmanager
def started(python: str, *options: str | Path) -> Iterator[str]:
    """Start the page, give the address that it prints, and end it as a service is ended."""
    command = [python, "-m", "edge.page", *map(str, options)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        match = None
        while match is None:
            line = process.stderr.readline()
            assert line, "it ended"
            match = re.search(r"http://\S+", line)
        yield match[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0
        assert "Traceback" not in process.stderr.read()


def ask(address: str, method: str = "GET", **headers: str) -> Any:
    request = urllib.request.Request(  # noqa: S310
        address, method=method, headers=headers
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


@pytest.mark.parametrize("python", PYTHONS)
def test_a_capture_by_the_command_is_the_answer_of_edge_run(python: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(SAMPLES[0], tmp_path / "in")
    options = ("--source", tmp_path / "in", "--out", tmp_path / "out", "--threads", "1")
    with started(python, *options, "--page", "127.0.0.1:0") as address:
        captured = ask(f"{address}api/capture", "POST")
        assert ask(f"{address}api/history")["items"] == []
        findings = ask(f"{address}api/doctor")["findings"]
    here = Analyzer(threads=1).analyze(SAMPLES[0])
    assert (captured["label"], captured["regions"]) == (here.label, here.to_dict()["regions"])
    assert captured["probability"] == pytest.approx(here.probability, abs=0.005)
    assert findings[-1]["check"] == "picture"


def test_on_another_address_it_asks_for_the_token_that_it_prints(tmp_path: Path) -> None:
    options = ("--source", SAMPLES[0].parent, "--out", tmp_path, "--page", "0.0.0.0:0")
    with started(sys.executable, *options) as address:
        found = re.fullmatch(r"http://[^/]+:(\d+)/login#([\w-]{22})", address)
        assert found
        status = f"http://127.0.0.1:{found[1]}/api/status"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(status)
        assert ask(status, Authorization=f"Bearer {found[2]}")["counts"] == {}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--page", "192.0.2.7:80"), "--page 192.0.2.7:80: "),
        (("--page", "127.0.0.1:0", "--page-token", "README.md"), "README.md: no token's hash"),
    ],
)
def test_where_it_can_not_listen_it_says_so(
    options: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    source = ("--source", SAMPLES[0].parent, "--out", tmp_path)
    result = run_module("edge.page", *source, *options)
    assert result.returncode == 1
    assert told in result.stderr
    assert "Traceback" not in result.stderr
