"""Makes everything that a measurement loads, once, into one folder.

``<set>/`` holds every peer's files for one set of weights and the pictures as they take them,
``sets.json`` what was made: Keras' answers, multiply-adds, the peers that could not
be made, and the memory that each of the others takes.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.modelfile import pack
from edge.runtime import default_model_path, load_model_file

from . import floor, weight_sets
from .names import COMPACT
from .peers import PEERS, MissingPeerError, litert

if TYPE_CHECKING:
    from collections.abc import Callable

    from .weight_sets import WeightSet

ROOT = Path(__file__).resolve().parent.parent
PICTURES, SETS = "pictures.npy", "sets.json"
EDGE_MODEL = "edge.tflite"
"""The rewritten flatbuffer as a model file that ``edge.run`` takes."""
UNCOMPACTED = "uncompacted"


def prepare(dense: Path, sparse: Path | None, folder: Path, say: Callable[[str], None]) -> None:
    """Make the files of every peer, for every set of weights, unless they are there."""
    if (folder / SETS).exists():
        say("the files are there already")
        return
    images = [*weight_sets.pictures("samples"), *weight_sets.pictures("held_out")]
    floor.make(folder)
    made: dict[str, Any] = {}
    for each in weight_sets.load(dense, sparse):
        say(f"{each.name}: {each.origin}")
        path = folder / each.name
        path.mkdir(exist_ok=True)
        taken = [image if each.cut is None else each.cut(image) for image in images]
        np.save(path / PICTURES, np.stack(taken))
        made[each.name] = _prepare_set(each, path, say)
        say(f"{each.name}: memory")
        made[each.name]["peak_mb"] = memory(path)
        # A network for cut pictures has to answer what the whole one does.
        made[each.name]["expected"] = (
            made[COMPACT]["expected"]
            if each.cut is not None
            else weight_sets.reference(each.network, images)
        )
    (folder / SETS).write_text(json.dumps(made))


def memory(folder: Path) -> dict[str, float]:
    """Return each peer's peak memory in MB: a process that loads it and answers one picture.

    Args:
        folder: of one set of weights.

    """
    found = {}
    for peer in PEERS:
        command = ["-m", "benchmarks.one", str(folder), str(folder / PICTURES), peer.name]
        result = subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, check=False
        )
        if result.returncode == 0:  # missing peers are reported where they are timed
            found[peer.name] = round(int(result.stdout.split()[-1]) / 1024, 1)
    return found


def _prepare_set(each: WeightSet, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    missing = {}
    for peer in PEERS:
        if peer.ours and each.cut is not None:
            continue  # ours takes the picture whole
        say(f"{each.name}: making {peer.name}")
        try:
            peer.make(each.network, folder)
        except MissingPeerError as error:
            missing[peer.name] = str(error)
    made: dict[str, Any] = {
        "origin": each.origin,
        "side": each.network.side,
        "batch": each.network.batch,
        "channels": list(each.network.channels()),
        "multiply_adds": weight_sets.multiply_adds(each.network),
        "missing": missing,
    }
    if each.lattice is not None:
        made["places"] = str(each.lattice)
    if each.cut is None:
        _write_edge_model(folder)
        if each.lattice is not None:
            cost = weight_sets.lattice_multiply_adds(each.network, each.lattice)
            made["multiply_adds_rewritten"] = cost
    if each.plain is not None:
        (folder / UNCOMPACTED).mkdir(exist_ok=True)
        litert.make(each.plain, folder / UNCOMPACTED)
        made["multiply_adds_uncompacted"] = weight_sets.multiply_adds(each.plain)
    return made


def _write_edge_model(folder: Path) -> None:
    """Pack the rewritten flatbuffer with the shipped model's contract, for its hash and size."""
    flatbuffer = (folder / litert.FILES["rewritten"]).read_bytes()
    _, document = load_model_file(default_model_path())
    document["flatbuffer"] = {
        "sha256": hashlib.sha256(flatbuffer).hexdigest(),
        "bytes": len(flatbuffer),
    }
    (folder / EDGE_MODEL).write_bytes(pack(flatbuffer, json.dumps(document).encode()))
