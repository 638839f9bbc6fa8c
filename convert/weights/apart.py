"""Has a process of its own read a file, within limits.

The HDF5 library answers some damage by a crash or a loop without end, and Keras a monstrous model
by taking all memory, which no exception handler could stop.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

_TIMEOUT_S = 300
"""By the clock, for whatever waits; the processor's time is limited there."""
_SILENCE_S = 2
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "import convert.weights.child; convert.weights.child.serve()"
)
_ENVIRONMENT = {
    # One thread is plenty, and each would reserve memory that counts against the limit.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


def read_apart(
    hdf5: bytes, request: Mapping[str, Any], say: Callable[[str], None]
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Return what :func:`.child.answer` says of a file, and its weights one behind the other.

    Args:
        hdf5: the file.
        request: as :func:`.child.serve` has it.
        say: told what takes more than two seconds.

    Raises:
        WeightsError: it is refused, or the process died of it or took too long.
        OSError: there is no room for a temporary file.

    """
    command = [sys.executable, "-c", _CODE, json.dumps([str(path) for path in sys.path])]
    # Not through a pipe: a second Popen.communicate() would not send what the first has not.
    with tempfile.TemporaryFile() as given:
        given.write(json.dumps(request).encode() + b"\n" + hdf5)
        given.seek(0)
        try:
            with subprocess.Popen(
                command,
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **_ENVIRONMENT},
            ) as process:
                output, errors = _wait(process, say)
        except OSError as error:
            raise WeightsError(
                f"no process to read it in could be started ({error.strerror}); try again"
            ) from error
    if process.returncode == -getattr(signal, "SIGXCPU", 0) != 0:
        raise WeightsError(
            "the file is damaged: the libraries that read it come to no end; fetch it again"
        )
    head, _, body = output.partition(b"\n")
    if process.returncode or not head:
        said = errors.decode(errors="replace").split("\n")[-2:-1]
        how = f"it makes the libraries that read it crash ({process.returncode}) {' '.join(said)}"
        raise WeightsError(f"the file is damaged: {_printable(how).rstrip()}; fetch it again")
    answer: dict[str, Any] = json.loads(head)
    if "error" in answer:
        raise WeightsError(_printable(answer["error"]))
    return answer, np.frombuffer(body, np.float32)


def _wait(process: subprocess.Popen[bytes], say: Callable[[str], None]) -> tuple[bytes, bytes]:
    try:
        return process.communicate(timeout=_SILENCE_S)
    except subprocess.TimeoutExpired:
        say("reading the model with Keras, in a process of its own")
    try:
        return process.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        process.kill()
        raise WeightsError(
            f"the file is damaged: it can't be read in {_TIMEOUT_S} s; fetch it again"
        ) from error
    except BaseException:
        process.kill()
        raise


def _printable(text: str) -> str:
    """Return one line: names come from the file, with line ends or escape sequences of theirs."""
    return "".join(c if c.isprintable() else "?" for c in text)[:600]
