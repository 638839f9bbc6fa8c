"""``python -m benchmarks.measure``: makes every peer's files, measures all and stores the JSON.

What is stored is ``benchmarks/results/<machine>/result.json``, and the report beside it (see
:mod:`.report`).  It names no host, no user and no folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edge.errors import LesionEdgeError
from edge.runtime import usable_cores

from . import environment, report
from .common import ROOT, quiet_environment

SCHEMA = 1


def main() -> int:
    """Measure, store and render."""
    options = _parse()
    with tempfile.TemporaryDirectory(prefix="lesion-edge-bench-") as name:
        folder = options.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            measured = measure(options, folder)
        except LesionEdgeError as error:
            print(f"benchmarks: {error}", file=sys.stderr)
            return 2
    result = without_folders(measured, [folder, ROOT, Path(sys.prefix), Path.home()])
    machine = options.machine or environment.slug(result["environment"])
    path = options.results / machine / report.RESULT
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    report.write(path.parent)
    return 0


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Make all peers' files, time them in a process for each number of threads, and the rest."""
    from . import floor, prepare, whole

    prepare.prepare(options.weights, options.dense, folder, _say)
    before = environment.state()
    sessions = {}
    for threads in sorted({1, *options.threads}):
        # What else than one thread gives is a side question: fewer turns will do.
        rounds = options.rounds if threads == 1 else options.sweep_rounds
        _say(f"{threads} threads: {rounds} turns of each route")
        sessions[str(threads)] = {"rounds": rounds, **_session(folder, threads, rounds, options)}
    _say("cold starts")
    cold = whole.cold(folder, options.weights, options.cold_rounds)
    after = environment.state()
    sets = json.loads((folder / prepare.SETS).read_text())
    for made in sets.values():
        del made["expected"]
    return {
        "schema": SCHEMA,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "environment": {**environment.machine(), "before": before, "after": after},
        "throttled": environment.throttled(before, after),
        "invokes_per_turn": options.invokes + 1,
        "sets": sets,
        "peak_multiply_adds": floor.MULTIPLY_ADDS,
        "threads": sessions,
        "cold": {"rounds": options.cold_rounds, **cold},
    }


def without_folders(result: dict[str, Any], folders: list[Path]) -> dict[str, Any]:
    """Return a result without the folders that a library's message may have named."""
    text = json.dumps(result)
    for folder in folders:
        text = text.replace(f"{folder}/", "")
    cleaned: dict[str, Any] = json.loads(text)
    return cleaned


def _session(
    folder: Path, threads: int, rounds: int, options: argparse.Namespace
) -> dict[str, Any]:
    numbers = map(str, (threads, rounds, options.invokes))
    command = [sys.executable, "-m", "benchmarks.session", folder, *numbers, options.weights]
    result = subprocess.run(
        command, cwd=ROOT, env=quiet_environment(), check=True, stdout=subprocess.PIPE
    )
    # Libraries print greetings too; the last line is ours.
    session: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return session


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure", description=__doc__)
    model = ROOT / "models" / "model.h5"
    parser.add_argument("--machine", help="folder of the results (default: the processor's name)")
    parser.add_argument(
        "--weights", type=Path, default=model, help="the shipped network (default: models/model.h5)"
    )
    parser.add_argument(
        "--dense", type=Path, help="a model.h5 with all channels live (default: random weights)"
    )
    cores = usable_cores()
    parser.add_argument(
        "--threads", type=int, nargs="*", default=[cores], help=f"besides 1 (default: {cores})"
    )
    parser.add_argument("--rounds", type=int, default=40, help="turns of a route (default: 40)")
    parser.add_argument(
        "--sweep-rounds", type=int, default=10, help="for each further --threads (default: 10)"
    )
    parser.add_argument(
        "--invokes", type=int, default=5, help="invokes in a turn besides the first (default: 5)"
    )
    parser.add_argument("--cold-rounds", type=int, default=10, help="processes (default: 10)")
    parser.add_argument(
        "--folder", type=Path, help="keeps the peers' files, and uses those that are there"
    )
    parser.add_argument("--results", type=Path, default=report.RESULTS, help=argparse.SUPPRESS)
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
