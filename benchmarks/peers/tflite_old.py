"""tflite-runtime 2.14 in an environment of its own, through a worker process.

It needs numpy 1, so it can't share a process with the others.  The worker waits for a line while
others take their turn, and times its own invokes, so nothing of the pipe is counted.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.common import ROOT

from . import litert
from .base import MissingPeerError, Peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_WORKER = Path(__file__).with_name("tflite_old_worker.py")


def python() -> Path:
    """Return the interpreter of the environment that ``make test`` makes, or that is named."""
    named = os.environ.get("TFLITE_RUNTIME_PYTHON")
    return Path(named) if named else ROOT / ".venv-tflite-runtime" / "bin" / "python"


class WorkerRoute:
    """A route whose invokes happen, and are timed, in the other environment."""

    def __init__(self, model: Path, threads: int) -> None:
        if not python().exists():
            message = "no environment with tflite-runtime 2.14: make .venv-tflite-runtime/made"
            raise MissingPeerError(message)
        self._process = subprocess.Popen(
            [python(), _WORKER, model, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the delegate's greeting
        )
        self.pid = self._process.pid
        self._picture = model.with_suffix(".npy")

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        """Hand a picture over."""
        np.save(self._picture, image_bgr)
        self._ask({"load": str(self._picture)})

    def invoke(self) -> float:
        """Run it once."""
        return self.timed(1)[0]

    def timed(self, count: int) -> tuple[float, list[float]]:
        """Return the answer, and how long each of ``count`` invokes took, in seconds."""
        reply = self._ask({"invoke": count})
        return reply["answer"], reply["seconds"]

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(question).encode() + b"\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            message = f"the worker ended with status {self._process.wait()}"
            raise MissingPeerError(message)
        reply: dict[str, Any] = json.loads(line)
        return reply


def _opener(kind: str) -> Callable[[Path, int], WorkerRoute]:
    return lambda folder, threads: WorkerRoute(folder / litert.FILES[kind], threads)


_SETUP = "2.14, in its own environment"
PEERS = (
    Peer(
        "tflite-runtime int8, rewritten", (), _SETUP, litert.make, _opener("rewritten"), ours=True
    ),
    Peer("tflite-runtime int8, plain", (), _SETUP, litert.make, _opener("int8")),
    Peer("tflite-runtime float32", (), _SETUP, litert.make, _opener("float32")),
)
