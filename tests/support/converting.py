"""``python -m convert`` in this process, which is quicker by two starts of TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest import mock

from tests.support.weights import read_here

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


def convert(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as ``run_module("convert", ...)`` does, and read weights here, too."""
    from convert.__main__ import main

    words = list(map(str, arguments))
    with (
        mock.patch("convert.weights.file.read_apart", read_here),
        _redirected(1, "stdout") as output,
        _redirected(2, "stderr") as errors,
    ):
        try:
            status = main(words)
        except SystemExit as end:  # argparse's
            status = int(end.code or 0)
        texts = [_read(stream) for stream in (output, errors)]
    return subprocess.CompletedProcess(words, status, *texts)


@contextmanager
def _redirected(number: int, name: str) -> Iterator[TextIO]:
    """Let a descriptor and Python's stream of it lead into a file."""
    kept = os.dup(number)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
        os.dup2(file.fileno(), number)
        try:
            with mock.patch.object(sys, name, file):
                yield file
        finally:
            os.dup2(kept, number)
            os.close(kept)


def _read(file: TextIO) -> str:
    file.seek(0)
    return file.read()
