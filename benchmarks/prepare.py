"""Makes everything that a measurement loads, once, into one folder.

``<set>/`` holds every peer's files for one set of weights and the pictures as they take them,
``sets.json`` what was made: Keras' answers, multiply-adds, the peers that could not
be made, and the memory that each of the others takes.
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.modelfile import pack
from edge.runtime import default_model_path, load_model_file

from . import floor, weight_sets
from .common import ROOT
from .names import COMPACT
from .peers import PEERS, MissingPeerError, litert, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .weight_sets import WeightSet

PICTURES, SETS = "pictures.npy", "sets.json"
EDGE_MODEL = "edge.tflite"
"""The rewritten flatbuffer as a model file that ``edge.run`` takes."""
UNCOMPACTED = "uncompacted"


def prepare(shipped: Path, dense: Path | None, folder: Path, say: Callable[[str], None]) -> None:
    """Make the files of every peer, for every set of weights, unless they are there.

    Args:
        shipped: a ``model.h5``.
        dense: another, without dead channels; None is random weights.
        folder: for the files.
        say: told each step, a line at a time.

    """
    if (folder / SETS).exists():
        say("the files are there already")
        return
    images = [*weight_sets.pictures("samples"), *weight_sets.pictures("held_out")]
    floor.make(folder)
    made: dict[str, Any] = {}
    for each in weight_sets.load(shipped, dense):
        say(f"{each.name}: {each.origin}")
        path = folder / each.name
        path.mkdir(exist_ok=True)
        taken = [image if each.cut is None else each.cut(image) for image in images]
        np.save(path / PICTURES, np.stack(taken))
        made[each.name] = _prepare_set(each, path, say)
        # A network for cut pictures has to answer what the whole one does.
        made[each.name]["expected"] = (
            made[COMPACT]["expected"]
            if each.cut is not None
            else weight_sets.reference(each.network, images)
        )
    (folder / SETS).write_text(json.dumps(made))


def memory(folder: Path, names: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Let each peer answer one picture in a process of its own, where it may even crash.

    Args:
        folder: of one set of weights.
        names: the peers.

    Returns:
        Peak memory in MB of those that answered, and why the others didn't.

    """
    found, missing = {}, {}
    for name in names:
        command = ["-m", "benchmarks.one", str(folder), str(folder / PICTURES), name]
        result = subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if result.returncode == 0:
            found[name] = round(int(result.stdout.split()[-1]) / 1024, 1)
        elif result.returncode < 0:
            missing[name] = f"its process died of {signal.Signals(-result.returncode).name}"
        else:
            last = (result.stderr.strip().splitlines() or ["no message"])[-1]
            missing[name] = last.removeprefix(f"{MissingPeerError.__module__}.MissingPeerError: ")
    return found, missing


def _prepare_set(each: WeightSet, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    # Ours takes the picture whole.
    peers = [peer for peer in PEERS if each.cut is None or not peer.ours]
    missing = {}
    for peer in peers:
        say(f"{each.name}: making {peer.name}")
        try:
            peer.make(each.network, folder)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others can be timed
            missing[peer.name] = reason(error)
    say(f"{each.name}: memory")
    peak_mb, failed = memory(folder, [peer.name for peer in peers if peer.name not in missing])
    made: dict[str, Any] = {
        "origin": each.origin,
        "side": each.network.side,
        "batch": each.network.batch,
        "channels": list(each.network.channels()),
        "multiply_adds": weight_sets.multiply_adds(each.network),
        "missing": missing | failed,
        "peak_mb": peak_mb,
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
