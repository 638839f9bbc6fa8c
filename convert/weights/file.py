"""Weights files: read from any layout Keras has used, written in one.

Only arrays are read, by the order and shape of their layers, into our own network, once what the
file says of its model is compared with that: nothing in the file can name a class, a function or
another file that would be acted on.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from convert.errors import WeightsError
from convert.network import (
    INPUT_SIZE_WH,
    LAYERS,
    NETWORK,
    FrontLayer,
    NotebookWeights,
    build_network,
)
from edge.files import open_regular, printable, read_bounded, write_atomically

from .declared import DECLARED, declared_text
from .hdf5 import MAX_PARSE_S, SIGNATURE, check_shapes, finite_float32
from .kinds import config_beside, open_up, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import keras

    from convert.network import Arrays

MAX_BYTES = 256 << 20
"""Neither a file nor what a zip unpacks to may be larger; the network's own is 10 MB."""

_PARSE_TIMEOUT_S = 60
# What the legacy layout lists: every layer, in order, also those without weights.
_LAYER_NAMES = ("image", *(spec.name for spec in NETWORK))
# Readers only ask whether it is "1".  A constant, so that the same weights give the same bytes
# whichever release of Keras is installed.
_KERAS_VERSION = "3.0.0"


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A picture classifier read from a file, checked: float32, finite, answers probabilities."""

    sha256: str
    """Of the bytes of the file they came from, in lower-case hex."""
    name: str
    """That file's name, without its folder, printable."""
    declared: Mapping[str, object] | None
    """What the file says of its contract, labels, threshold and name; only our own files do."""
    described: bool = False
    """Whether the file says what network it is: a whole model does, and it is compared with ours.

    Of weights alone only shapes and order are known."""
    bare: bool = False
    """Whether it names the classes of its layers without their modules, as an .h5 does."""
    notebook: NotebookWeights | None = None
    """What it is made of if it is the notebook's network; None of any other."""
    activation: str = "sigmoid"
    """``sigmoid``: one value, P(the second label); ``softmax``: a probability a label."""
    outputs: int = 1
    """How many values it answers with: 1 by sigmoid, 2 or more by softmax."""
    size_wh: tuple[int, int] | None = INPUT_SIZE_WH
    """Width and height of its input; None where the model takes any."""
    build: Callable[[], keras.Model] = build_network
    """Makes :attr:`model`, once."""

    @property
    def model(self) -> keras.Model:
        """The file's own model, which every answer is judged against.

        float32 (batch, height, width, 3) to float32 (batch, :attr:`outputs`).
        """
        return self.build()


def read_weights(path: str | os.PathLike[str], *, sha256: str | None = None) -> Weights:
    """Read the network's weights from an HDF5 file or a ``.keras`` archive.

    The file is read once; hash and weights come from the same bytes.

    Args:
        path: a weights-only or whole-model file of Keras 2 or 3.  Its content decides what it
            is, not its name; of an unpacked ``.keras`` archive ``config.json`` is read with it.
        sha256: what the hash of the file has to be, in hex; None takes any.

    Raises:
        WeightsError: the file is missing, damaged, too large, no weights file or another one
            than ``sha256`` says; it describes another model than the notebook's; a layer is
            missing, too many or of the wrong shape or type; it has links or data outside itself;
            a weight is NaN or infinite.

    """
    shown_path = printable(path)
    name = printable(re.split(r"[/\\]", os.fspath(path))[-1])
    try:
        with open_regular(path) as stream:
            data = read_bounded(stream, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{shown_path}: {unreadable(path, error)}") from error
    if data is None:
        raise WeightsError(
            f"{shown_path}: larger than {MAX_BYTES >> 20} MiB, so not this network's weights"
        )
    digest = hashlib.sha256(data).hexdigest()
    if sha256 is not None and digest != sha256.strip().lower():
        raise WeightsError(
            f"{shown_path}: its SHA-256 is {digest}, not {sha256}; it is damaged or another file"
        )
    try:
        config = config_beside(path) if data.startswith(SIGNATURE) else b""
        answer, arrays = _parse_apart(config + open_up(data, name, MAX_BYTES))
    except WeightsError as error:
        raise WeightsError(f"{shown_path}: {error}") from error
    declared = answer["declared"]
    front = tuple(FrontLayer(**layer) for layer in answer["front"])
    return Weights(
        digest,
        name,
        declared and MappingProxyType(declared),
        described=answer["described"],
        bare=answer["bare"],
        notebook=NotebookWeights(front, arrays),
        build=cache(partial(build_network, front, arrays)),
    )


def write_weights(
    path: Path,
    weights_by_layer: Arrays,
    declared: Mapping[str, object] | None,
) -> None:
    """Write a weights-only ``.h5`` that Keras' own ``load_weights`` reads too, whole or not at all.

    The same weights give the same bytes.

    Args:
        path: where; an existing file is replaced.  Keras wants its name to end in ``.h5``.
        weights_by_layer: name of :data:`convert.network.LAYERS` to (kernel, bias), float32.
        declared: contract, labels, threshold and name, as in :class:`Weights`, or None.

    Raises:
        WeightsError: a layer is missing, too many, of the wrong shape or not finite, or
            ``declared`` lacks something; nothing is written then.
        OSError: as the system says it.

    """
    names = [spec.name for spec in LAYERS]
    if sorted(weights_by_layer) != sorted(names):
        raise WeightsError(
            f"the layers to write are {', '.join(names)}, not {', '.join(weights_by_layer)}"
        )
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="earliest", track_order=False) as file:
        file.attrs["layer_names"] = np.array(_LAYER_NAMES, dtype="S")
        file.attrs["backend"] = np.bytes_(b"tensorflow")
        file.attrs["keras_version"] = np.bytes_(_KERAS_VERSION.encode())
        if declared is not None:
            file.attrs[DECLARED] = np.bytes_(declared_text(declared).encode())
        specs = {spec.name: spec for spec in LAYERS}
        for name in sorted(_LAYER_NAMES):
            group = file.create_group(name)
            weight_names = [f"{name}/kernel", f"{name}/bias"] if name in specs else []
            group.attrs["weight_names"] = np.array(
                weight_names,
                dtype="S" if weight_names else "S1",
            )
            if name in specs:
                arrays = [np.asarray(array) for array in weights_by_layer[name]]
                check_shapes(specs[name], name, tuple(array.shape for array in arrays))
                for weight_name, array in zip(weight_names, arrays, strict=True):
                    data = finite_float32(specs[name], array)
                    group.create_dataset(weight_name, data=data, track_times=False)
    write_atomically(path, buffer.getvalue())


def _parse_apart(data: bytes) -> tuple[dict[str, Any], Arrays]:
    """Have a process of its own read ``data``; return what it says beside the arrays.

    The HDF5 library answers some damage by a crash or a loop without end, which no exception
    handler could stop.
    """
    code = (
        "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
        "import convert.weights.hdf5; convert.weights.hdf5.parse_stdin()"
    )
    command = [sys.executable, "-c", code, json.dumps([str(path) for path in sys.path])]
    # One thread is plenty, and each would reserve memory that counts against the limit.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command,
            input=data,
            capture_output=True,
            timeout=_PARSE_TIMEOUT_S,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(
            f"the file is damaged: it can't be read in {_PARSE_TIMEOUT_S} s; fetch it again"
        ) from error
    except OSError as error:
        raise WeightsError(
            f"no process to read it in could be started ({error.strerror}); try again"
        ) from error
    if done.returncode == -getattr(signal, "SIGXCPU", 0) != 0:
        raise WeightsError(
            f"the file is damaged: it can't be read in {MAX_PARSE_S} s; fetch it again"
        )
    head, _, body = done.stdout.partition(b"\n")
    if done.returncode or not head:
        said = done.stderr.decode(errors="replace").split("\n")[-2:-1]
        how = f"it makes the HDF5 library crash ({done.returncode}) {' '.join(said)}".rstrip()
        raise WeightsError(f"the file is damaged: {how}; fetch it again")
    answer = json.loads(head)
    if "error" in answer:
        # Names come from the file: no line ends or escape sequences of theirs in our message.
        raise WeightsError("".join(c if c.isprintable() else "?" for c in answer["error"])[:600])
    flat = np.frombuffer(body, np.float32)
    arrays = {}
    for spec in LAYERS:
        kernel, bias, flat = np.split(flat, np.cumsum([math.prod(spec.kernel), *spec.bias]))
        arrays[spec.name] = (kernel.reshape(spec.kernel), bias)
    return answer, MappingProxyType(arrays)
