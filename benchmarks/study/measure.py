"""Measure all runtimes, store the figures and write the report: ``benchmarks.study.measure``.

The figures are ``benchmarks/results/<machine>/result.json``.  They name no host, user or folder.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.common import ROOT, make_parser
from edge.bench import environment
from edge.cli.terminal import say
from edge.parallel import usable_cores

from . import networks, report, whole
from .networks import COMPACT, DENSE
from .peers import FLOAT32_PEER, PEERS, REWRITTEN, KerasPredict, Peer, set_keras_threads
from .timing import INVOKES, WrongAnswerError, answers, check_answers, figures, time_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Result = TypeVar("Result")


def main() -> int:
    """Measure, store and render."""
    parser = make_parser("benchmarks.study.measure", __doc__)
    add, cores = parser.add_argument, usable_cores()
    add("--threads", type=int, nargs="*", default=[cores], help=f"besides 1 (default: {cores})")
    add("--rounds", type=int, default=40, help="turns of a route; besides 1 thread a quarter of it")
    add("--cold-rounds", type=int, default=10, help="processes (default: 10)")
    busy = (
        "where others use the machine: one thread's invokes only, by the process' time on the"
        " processor, without Keras: the float32 file's answers are the reference"
    )
    add("--busy", action="store_true", help=busy)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lesion-edge-study-") as name:
        folder = Path(name)
        threads = [] if options.busy else options.threads
        measured = measure(folder, threads, options.rounds, options.cold_rounds, busy=options.busy)
        result = without_folders(measured, [folder, ROOT, Path(sys.prefix), Path.home()])
    path = report.RESULTS / environment.slug(result["environment"]) / report.RESULT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    report.write(path.parent)
    return 0


def measure(
    folder: Path, threads: Sequence[int], rounds: int, cold_rounds: int, *, busy: bool = False
) -> dict[str, Any]:
    """Make all files, time the routes in a process for each number of threads, and the rest."""
    origins = networks.make(folder)
    before = environment.state()
    sets = {name: {"origin": origins[name], **prepare(folder / name)} for name in origins}
    missing = {name: made.pop("missing") for name, made in sets.items()}
    sessions = {}
    for count in sorted({1, *threads}):
        turns = rounds if count == 1 else max(1, rounds // 4)
        say(f"{count} threads: {turns} turns of each route")
        sessions[str(count)] = apart(partial(time_all, busy=busy), folder, count, turns, missing)
    cold = {}
    if not busy:
        say("cold starts")
        cold = {"cold": {"rounds": cold_rounds, **whole.cold(folder, cold_rounds)}}
    after = environment.state()
    return {
        "schema": 1,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": {**environment.machine(), "before": before, "after": after},
        "throttled": environment.throttled(before, after),
        "invokes_per_turn": INVOKES,
        "sets": sets,
        "threads": sessions,
        "busy": busy,
        **cold,
    }


def apart(function: Callable[..., Result], *arguments: object) -> Result:
    """Call a function in a process of its own, which may even crash."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def prepare(folder: Path) -> dict[str, dict[str, Any]]:
    """Make each peer's files for a network, and let it answer one picture.

    Returns:
        Peak memory in MB of those that answered, and why the others are missing.

    """
    peak_mb: dict[str, float] = {}
    missing: dict[str, str] = {}
    for peer in _peers(folder):
        say(f"{folder.name}: {peer.name}")
        try:
            apart(peer.make, folder)
            peak_mb[peer.name] = apart(_answer_one, peer.name, folder)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others can be timed
            missing[peer.name] = reason(error)
    return {"peak_mb": peak_mb, "missing": missing}


def reason(error: Exception) -> str:
    """Return in one line why a peer is missing, and what to do."""
    if isinstance(error, BrokenProcessPool):
        return "its process died"
    line = (str(error).strip().splitlines() or [""])[0]
    advice = "; pip install '.[study]'" if isinstance(error, ImportError) else ""
    return f"{type(error).__name__}: {line}{advice}"


def time_all(
    folder: Path,
    threads: int,
    rounds: int,
    missing: dict[str, dict[str, str]],
    *,
    busy: bool = False,
) -> dict[str, Any]:
    """Open every peer on every network, and time those that answer as Keras does, in turns."""
    if not busy:
        set_keras_threads(threads)
    images = [*networks.pictures("samples"), *networks.pictures("held_out")]
    routes, sets = {}, {}
    for name in (DENSE, COMPACT):
        reference = (FLOAT32_PEER.open if busy else KerasPredict)(folder / name, threads)
        expected = answers(reference, images)
        sets[name] = entries = {key: {"missing": why} for key, why in missing[name].items()}
        for peer in _peers(folder / name):
            if peer.name in entries or (busy and peer.source == networks.WEIGHTS):
                continue
            entries[peer.name], route = open_checked(peer, folder / name, threads, images, expected)
            if route is not None:
                routes[name, peer.name] = route
    clock = time.process_time if busy else time.perf_counter
    turns = time_routes(routes, images, rounds, threads, clock)
    for (name, key), taken in turns.items():
        sets[name][key] |= figures(taken, turns[name, REWRITTEN])
    pictures = {} if busy else {"whole": whole.warm(folder, threads, rounds)}
    return {"rounds": rounds, "sets": sets, **pictures}


def without_folders(result: dict[str, Any], folders: list[Path]) -> dict[str, Any]:
    """Return a result without the folders that a library's message may have named."""
    names = "|".join(re.escape(f"{folder}/") for folder in folders)
    cleaned: dict[str, Any] = json.loads(re.sub(names, "", json.dumps(result)))
    return cleaned


def _peers(folder: Path) -> list[Peer]:
    return [peer for peer in PEERS if (folder / peer.source).exists()]


def _answer_one(name: str, folder: Path) -> float:
    """Answer one picture and return this process' peak memory in MB.

    Not ``ru_maxrss``, which starts at the memory of the process that this one was forked from.
    """
    peer = next(peer for peer in PEERS if peer.name == name)
    answers(peer.open(folder, 1), networks.pictures("samples")[:1])
    (kilobytes,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return round(int(kilobytes) / 1024, 1)


def open_checked(
    peer: Peer, folder: Path, threads: int, images: Any, expected: Sequence[float]
) -> tuple[dict[str, Any], Any]:
    """Return a peer's entry of the result, and its route; None if it isn't to be timed."""
    try:
        route = peer.open(folder, threads)
        delta = check_answers(answers(route, images), expected)
    except WrongAnswerError as error:
        return {"refused": str(error)}, None
    except Exception as error:  # noqa: BLE001 - whatever it is, the others can be timed
        return {"missing": reason(error)}, None
    entry = {"max_delta": delta, "setup": peer.setup, "ours": peer.ours}
    return {**entry, "versions": peer.versions()}, route


if __name__ == "__main__":
    sys.exit(main())
