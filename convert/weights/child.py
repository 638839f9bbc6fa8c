"""The process that reads a file: limited, and free to crash; :mod:`.apart` starts it."""

from __future__ import annotations

import io
import json
import math
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import h5py

from convert.errors import WeightsError

from .declared import one_line, read_declared
from .hdf5 import check_backend, is_legacy, read_arrays, read_config
from .plan import read_plan
from .storage import check_file, keras_version

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

MAX_PARSE_S = 4
"""How long the HDF5 library may be at a file, in seconds of the processor; ours take 0.01."""
MAX_BUILD_S = 100
"""How long Keras may take to start, to build a model and to load its weights, likewise."""
_PARSE_BYTES = 1 << 30
_BUILD_BYTES = 8 << 30
"""TensorFlow alone maps 2.4 GB."""


def serve() -> None:
    """Read a request from standard input; write a line of JSON and weights as float32.

    A request is a line of JSON and an HDF5 file.  The line has ``config``, a description of the
    model that goes before the file's own, or null; ``version``, of the Keras that wrote it, or
    null; ``check``, whether only the file is to be checked, not its model; ``map``, whether it is
    to answer with a map; and ``familiar``, whether its last output says how familiar a picture is.

    The answer's line is what :func:`answer` says.
    """
    # What a damaged size makes the library ask for must not exhaust the machine.
    _limit_memory(_PARSE_BYTES)
    line, _, hdf5 = sys.stdin.buffer.read().partition(b"\n")
    # Some damage makes the library go round for ever, where no exception handler gets a turn.
    _limit_time(MAX_PARSE_S)
    said, arrays = answer(json.loads(line), hdf5, _allow_keras)
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
    for array in arrays:
        sys.stdout.buffer.write(array.tobytes())
    sys.stdout.buffer.flush()


def answer(
    request: dict[str, Any], hdf5: bytes, allow_keras: Callable[[], None]
) -> tuple[dict[str, Any], list[NDArray[np.float32]]]:
    """Return what a file says, and its weights.

    What it says: ``error``, why it is refused; or ``declared``, of our own files; ``values``, how
    many it holds; ``legacy``, its layout; and of a model that is described also ``config`` and
    ``version``, from which the same model can be built again.  The weights are those of the model
    in the order of ``model.weights``; without a description the notebook's network's, in the order
    of :data:`convert.network.LAYERS`, kernel before bias; none if only asked to check.

    Args:
        request: the line that :func:`serve` reads.
        hdf5: the file.
        allow_keras: called when nothing of the file's own choosing can reach Keras any more.

    """
    try:
        return _read(request, hdf5, allow_keras)
    except WeightsError as error:
        said = str(error)
    except ImportError as error:
        said = f"Keras can't be started in a process of its own: {one_line(error)}"
    except MemoryError:
        said = "it takes more memory than a model for a small computer should"
    except Exception as error:  # noqa: BLE001 - h5py answers damage with nearly every one
        said = f"the file is damaged ({one_line(error)}); fetch it again"
    return {"error": said}, []


def _read(
    request: dict[str, Any], hdf5: bytes, allow_keras: Callable[[], None]
) -> tuple[dict[str, Any], list[NDArray[np.float32]]]:
    with h5py.File(io.BytesIO(hdf5), "r") as file:
        said: dict[str, Any] = {"config": request["config"], "legacy": is_legacy(file)}
        declared = read_declared(file)
        said["declared"] = declared and dict(declared)
        check_backend(file)
        if said["config"] is None:
            said["config"] = read_config(file)
        if said["config"] is None and not request["check"]:
            layers = read_arrays(file).values()
            return said, [array for layer in layers for array in layer]
        said["values"] = check_file(file)
        said["version"] = request["version"] or keras_version(file)
    if request["check"]:
        return said, []
    plan = read_plan(said["config"], said["version"])
    allow_keras()
    # Imported here: they bring Keras.
    from .build import Unloaded, build
    from .judge import judge
    from .loading import load

    model = build(plan, Unloaded())
    judge(model, to_map=request["map"], familiar=request["familiar"])
    return said, load(model, hdf5, legacy=said["legacy"])


def _allow_keras() -> None:
    _limit_memory(_BUILD_BYTES)
    _limit_time(MAX_BUILD_S)


def _limit_memory(size: int) -> None:
    with suppress(ImportError, OSError, OverflowError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _limit(resource.RLIMIT_AS, size)


def _limit_time(seconds: int) -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        # It ends the process by SIGXCPU, which tells it from other ends.
        _limit(resource.RLIMIT_CPU, math.ceil(time.process_time()) + seconds)


def _limit(what: int, value: int) -> None:
    import resource

    _, most = resource.getrlimit(what)
    resource.setrlimit(what, (value if most == resource.RLIM_INFINITY else min(value, most), most))
