"""Check the package on emulated Raspberry Pi processors, beside this machine.

Unpacks Debian's systems for 64-bit Arm, installs the package in each from real wheels with the
network off, and runs it under qemu as a Raspberry Pi 4's and a Raspberry Pi 5's processor:
edge.run, part of the tests, and a comparison of all answers with this machine's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.verify.proof import body_only
from edge.errors import LesionEdgeError
from edge.model.load import load_model_file
from edge.parallel import usable_cores
from tests.support.pictures import MODELS, ROOT, SAMPLES

from .compare import compare, table
from .fixtures import make_pictures
from .machine import DEFAULT, PROCESSORS, SYSTEMS, Machine, install_test_packages, make_machine

if TYPE_CHECKING:
    from collections.abc import Sequence

TESTS = ("test_picture", "test_runtime", "test_segmentation")
_EPILOG = """\
exit status: 0 the promise is kept, or nothing could be checked (1 with --required); 1 it isn't."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parse(arguments)
    cache: Path = options.cache.resolve()
    here = _answers_here(cache)
    kept: list[bool] = []
    for name in options.systems:
        started = time.monotonic()
        try:
            machine = make_machine(name, cache, ROOT)
            site = install_test_packages(machine, ROOT) if machine.system.runs_tests else None
        except (OSError, LesionEdgeError) as error:
            print(f"{name}: skipped, since it can't be had: {error}")
            if options.required:
                kept.append(False)
            continue
        print(f"{name}: ready after {time.monotonic() - started:.0f} s", flush=True)
        # A thread waits for each processor; as many are at work as there are cores.
        with ThreadPoolExecutor(usable_cores()) as pool:
            checks = pool.map(partial(_check, machine, site, here), machine.system.processors)
            for text, is_kept in checks:
                print(text, flush=True)
                kept.append(is_kept)
    print("the promise is " + (("kept" if all(kept) else "BROKEN") if kept else "not checked"))
    return 0 if all(kept) else 1


def _check(machine: Machine, site: Path | None, here: Any, cpu: str) -> tuple[str, bool]:
    """Return what one system does on one processor, as text, and whether all is as promised."""
    started = time.monotonic()
    labels, problems = _run_command(machine, cpu)
    texts = [f"{machine.name} on {cpu} ({PROCESSORS[cpu]})", f"  edge.run: {labels}"]
    answers = machine.run(
        machine.installed_python,
        "-m",
        "tests.pi.answers",
        *_inputs(machine.folder.parent),
        cpu=cpu,
        PYTHONPATH=str(ROOT),
    )
    if answers.returncode:
        problems.append(f"tests.pi.answers: {answers.stderr.strip()[-2000:]}")
    else:
        there = json.loads(answers.stdout)
        versions = ", ".join(f"{name} {number}" for name, number in there["versions"].items())
        lines = compare(here, there)
        texts += [f"  {there['machine']}: {versions}", table(lines)]
        problems += [f"{line.what} differs" for line in lines if not line.kept]
    if site is not None:
        summary, failures = _run_tests(machine, site, cpu)
        texts.append(f"  tests: {summary}")
        problems += failures
    texts.append(f"  took {time.monotonic() - started:.0f} s")
    texts += [f"  BROKEN {problem}" for problem in problems]
    return "\n".join(texts), not problems


def _run_tests(machine: Machine, site: Path, cpu: str) -> tuple[str, list[str]]:
    result = machine.run(
        machine.installed_python,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=",
        f"--rootdir={ROOT}",
        *(ROOT / "tests/edge" / f"{name}.py" for name in TESTS),
        cpu=cpu,
        PYTHONPATH=f"{ROOT}:{site}",
    )
    summary = (result.stdout.strip().splitlines() or [result.stderr.strip()[-500:]])[-1]
    if not result.returncode:
        return summary, []
    return summary, [f"tests failed:\n{result.stdout[-4000:]}{result.stderr[-2000:]}"]


def _run_command(machine: Machine, cpu: str) -> tuple[str, list[str]]:
    """Run edge.run as it is installed, from a folder where nothing else could be found."""
    result = machine.run(machine.installed_python, "-m", "edge.run", "--json", *SAMPLES, cpu=cpu)
    if result.returncode:
        return "failed", [f"edge.run: {result.stderr.strip()}"]
    labels = [json.loads(line)["label"] for line in result.stdout.splitlines()]
    problems = [] if len(labels) == len(SAMPLES) else [f"edge.run: {len(labels)} answers"]
    return ", ".join(labels), problems


def _inputs(cache: Path) -> tuple[Path, Path, Path]:
    return cache / "body.tflite", cache / "pictures", cache / "resized.npz"


def _answers_here(cache: Path) -> Any:
    """Make what all machines are given, and return what this one answers."""
    body, pictures, reference = _inputs(cache)
    cache.mkdir(parents=True, exist_ok=True)
    make_pictures(pictures)
    body.write_bytes(body_only(load_model_file(MODELS["int8"]).flatbuffer))
    reference.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.pi.answers", *map(str, _inputs(cache))]
    result = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(result.stdout)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.pi",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--systems",
        nargs="+",
        choices=SYSTEMS,
        default=DEFAULT,
        metavar="NAME",
        help=f"of {', '.join(SYSTEMS)} (default: {' '.join(DEFAULT)})",
    )
    parser.add_argument(
        "--cache", type=Path, default=ROOT / ".pi", metavar="DIR", help="keeps the systems"
    )
    parser.add_argument(
        "--required", action="store_true", help="a system that can't be had is a failure"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
