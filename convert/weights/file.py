"""Files of Keras models and weights: read from any layout Keras has used, written in one.

The architecture is data.  What a file says of its model goes through :mod:`.plan` before Keras
sees any of it, and the HDF5 library and Keras work on it in a process of their own first.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
from dataclasses import dataclass
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from convert.errors import WeightsError
from convert.network import INPUT_SIZE_WH, LAYERS, NETWORK, NotebookWeights, build_network
from edge.files import open_regular, printable, read_bounded, write_atomically

from .apart import read_apart
from .architecture import load_code, read_architecture
from .declared import DECLARED, declared_text
from .hdf5 import check_shapes, finite_float32
from .kinds import Opened, config_beside, open_up, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

    from convert.network import Arrays

MAX_BYTES = 256 << 20
"""Neither a file nor what a zip unpacks to may be larger; the notebook's network has 10 MB."""

# What the legacy layout lists: every layer, in order, also those without weights.
_LAYER_NAMES = ("image", *(spec.name for spec in NETWORK))
# Readers only ask whether it is "1".  A constant, so that the same weights give the same bytes
# whichever release of Keras is installed.
_KERAS_VERSION = "3.0.0"


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A model read from a file, checked: float32, finite, a picture to probabilities."""

    sha256: str
    """Of the bytes of the file they came from, in lower-case hex."""
    name: str
    """That file's name, without its folder, printable."""
    declared: Mapping[str, object] | None
    """What the file says of its contract, labels, threshold and name; only our own files do."""
    build: Callable[[], keras.Model]
    """Makes :attr:`model`, once."""
    activation: str = "sigmoid"
    """``sigmoid``: one value, P(the second label); ``softmax``: a probability a label."""
    outputs: int = 1
    """How many values it answers with: 1 by sigmoid, 2 or more by softmax; or 1 at each place of a
    map.  Without the one that says how familiar a picture is."""
    size_wh: tuple[int, int] | None = INPUT_SIZE_WH
    """Width and height of its input; None where the model takes any."""
    notebook: NotebookWeights | None = None
    """What it is made of if it is the notebook's network; None of any other."""
    described: bool = False
    """Whether a whole model or an architecture says what network it is.

    Of weights alone only shapes and order are known: then it is taken for the notebook's."""
    bare: bool = False
    """Whether it names the classes of its layers without their modules, as an .h5 does."""

    @property
    def model(self) -> keras.Model:
        """The file's own model, which every answer is judged against.

        float32 (batch, height, width, 3) to float32 (batch, :attr:`outputs`).
        """
        return self.build()


def read_weights(
    path: str | os.PathLike[str],
    *,
    sha256: str | None = None,
    architecture: str | None = None,
    to_map: bool = False,
    familiar: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Weights:
    """Read a model from an HDF5 file or a ``.keras`` archive.

    The file is read once; hash and weights come from the same bytes.

    Args:
        path: a weights-only or whole-model file of Keras 2 or 3.  Its content decides what it
            is, not its name; of an unpacked ``.keras`` archive ``config.json`` is read with it.
        sha256: what the hash of the file has to be, in hex; None takes any.
        architecture: the model that the weights are of, in the place of what the file says: a
            file that ``model.to_json()`` wrote, or ``module:function``, **which is run** and has to
            return a Keras model; None takes weights alone for the notebook's network.
        to_map: what is read outlines the lesion: it answers with a map, (batch, height, width, 1)
            by a sigmoid, in the place of a classifier.
        familiar: the last output of what is read says how familiar a picture is.
        say: told what takes more than two seconds, and that code is run.

    Raises:
        WeightsError: the file is missing, damaged, too large, no weights file or another one
            than ``sha256`` says; its model is not built from :mod:`.allowed` or answers with no
            probabilities; its weights are of another model; it has links or data outside itself;
            a weight is NaN or infinite.

    """
    shown_path = printable(path)
    name = printable(re.split(r"[/\\]", os.fspath(path))[-1])
    data, digest = _read(path, sha256)
    try:
        opened = open_up(data, name, MAX_BYTES)
        if opened.hdf5 is data:
            opened = Opened(data, config_beside(path))
        code = None
        if architecture is not None and re.fullmatch(r"[\w.]+:\w+", architecture):
            code = architecture
        elif architecture is not None:
            opened = Opened(opened.hdf5, read_architecture(architecture))
        answer, flat = read_apart(
            opened.hdf5,
            {
                "config": opened.config,
                "version": opened.version,
                "check": code is not None,
                "map": to_map,
                "familiar": familiar,
            },
            say,
        )
        declared = answer["declared"] and MappingProxyType(answer["declared"])
        base = partial(Weights, digest, name, declared)
        if code is None and answer["config"] is None:
            notebook = NotebookWeights((), _by_layer(flat, to_map=to_map))
            return base(cache(partial(build_network, arrays=notebook.arrays)), notebook=notebook)
        return _read_described(
            base,
            answer,
            flat,
            opened,
            code,
            to_map=to_map,
            familiar=familiar,
            given=architecture is not None,
            say=say,
        )
    except WeightsError as error:
        raise WeightsError(f"{shown_path}: {error}") from error


def _read(path: str | os.PathLike[str], sha256: str | None) -> tuple[bytes, str]:
    shown_path = printable(path)
    try:
        with open_regular(path) as stream:
            data = read_bounded(stream, MAX_BYTES)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{shown_path}: {unreadable(path, error)}") from error
    if data is None:
        raise WeightsError(
            f"{shown_path}: larger than {MAX_BYTES >> 20} MiB, so no model for a small computer"
        )
    digest = hashlib.sha256(data).hexdigest()
    if sha256 is not None and digest != sha256.strip().lower():
        raise WeightsError(
            f"{shown_path}: its SHA-256 is {digest}, not {sha256}; it is damaged or another file"
        )
    return data, digest


def _read_described(
    base: Callable[..., Weights],
    answer: Mapping[str, Any],
    flat: NDArray[np.float32],
    opened: Opened,
    code: str | None,
    *,
    to_map: bool,
    familiar: bool,
    given: bool,
    say: Callable[[str], None],
) -> Weights:
    """Return the weights of a model that the file, or somebody, says."""
    # Imported here: they bring Keras.
    from .build import build, set_weights
    from .judge import judge
    from .loading import forget, load
    from .plan import read_plan
    from .recognise import recognise

    bare = False
    if code is not None:
        say(f"running {code}, which is code, to build the model that the weights are of")
        model = load_code(code)
        forget(model)
        load(model, opened.hdf5, legacy=answer["legacy"])
    else:
        plan = read_plan(answer["config"], answer["version"])
        bare, model = plan.bare, build(plan, "zeros")
        set_weights(model, _split(flat, model))
    found = judge(model, to_map=to_map, familiar=familiar)
    if given:
        _check_count(model, answer["values"])
    return base(
        lambda: model,
        found.activation,
        found.outputs,
        found.size_wh,
        recognise(model),
        described=True,
        bare=bare,
    )


def _check_count(model: keras.Model, values: int) -> None:
    """Check that an architecture that somebody gives leaves no weight of the file out."""
    held = sum(math.prod(each.shape) for each in model.weights if "float" in str(each.dtype))
    if held != values:
        raise WeightsError(
            f"it holds {values:,} weights, the given architecture has {held:,}; give the one that "
            "the weights were trained with"
        )


def _split(flat: NDArray[np.float32], model: keras.Model) -> list[NDArray[np.float32]]:
    shapes = [tuple(variable.shape) for variable in model.weights]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    if not shapes or ends[-1] != flat.size:
        raise WeightsError("two readings of it gave different models; please report it")
    parts = np.split(flat, ends[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _by_layer(flat: NDArray[np.float32], *, to_map: bool) -> Arrays:
    """Return the notebook's weights, in the order of :data:`convert.network.LAYERS`."""
    if to_map:
        raise WeightsError(
            "it holds weights only, and doesn't say of what network; save the whole model, "
            "model.save('outline.keras')"
        )
    arrays = {}
    for spec in LAYERS:
        kernel, bias, flat = np.split(flat, np.cumsum([math.prod(spec.kernel), *spec.bias]))
        arrays[spec.name] = (kernel.reshape(spec.kernel), bias)
    return MappingProxyType(arrays)


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
