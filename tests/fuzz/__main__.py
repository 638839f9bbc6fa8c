"""Attack the readers of files with mutated ones: see the package's docstring."""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count as numbers
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cli.arguments import count
from edge.cli.terminal import Progress

from .supervise import Finding, Tally, run_cases
from .targets import TARGETS, run_case, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BATCH = 500
_EPILOG = """\
exit status: 0 nothing was found, 1 something was (its file is in the folder of --save),
2 wrong usage. An interrupt ends it as --seconds does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parse(arguments)
    if options.file:
        return _run_file(options)
    if not options.json:
        print(f"seed {options.seed}; a finding's case depends on target, seed and number")
    tallies = {name: Tally(name) for name in options.targets}
    _run(options, tallies)
    _report(options, tallies)
    return 1 if any(tally.findings for tally in tallies.values()) else 0


def _run(options: argparse.Namespace, tallies: dict[str, Tally]) -> None:
    end = time.monotonic() + options.seconds if options.seconds else float("inf")
    progress = Progress("cases:")
    pool = ThreadPoolExecutor(options.jobs)

    def run(batch: tuple[str, int, int]) -> Tally:
        # Once the time is over, what is left is not begun.
        if time.monotonic() >= end:
            return Tally(batch[0])
        return run_cases(batch[0], options.seed, *batch[1:])

    try:
        for batches in _rounds(options):
            if time.monotonic() >= end:
                break
            for tally in pool.map(run, batches):
                tallies[tally.target].add(tally)
                for finding in tally.findings:
                    progress.clear()
                    _keep(options, finding)
                progress.update(sum(tally.cases for tally in tallies.values()))
    except KeyboardInterrupt:
        end = 0.0
    finally:
        progress.clear()
        pool.shutdown(cancel_futures=True)


def _rounds(options: argparse.Namespace) -> Iterator[list[tuple[str, int, int]]]:
    """Yield what to run side by side: a batch or more of each target, round after round."""
    wanted = options.count or sys.maxsize
    ends = {name: len(TARGETS[name].corpus()) + wanted for name in options.targets}
    for first in numbers(0, _BATCH * options.jobs):
        batches = [
            (name, start, min(start + _BATCH, end))
            for name, end in ends.items()
            for start in range(first, min(first + _BATCH * options.jobs, end), _BATCH)
        ]
        if not batches:
            return
        yield batches


def _keep(options: argparse.Namespace, finding: Finding) -> None:
    target = TARGETS[finding.target]
    options.save.mkdir(parents=True, exist_ok=True)
    path = options.save / f"{finding.target}-{options.seed}-{finding.number}"
    path.write_bytes(target.case(target.corpus(), options.seed, finding.number))
    again = f"python -m tests.fuzz {finding.target} --file {path}"
    print(f"{finding.outcome}: {finding.detail}; again: {again}", file=sys.stderr)


def _report(options: argparse.Namespace, tallies: dict[str, Tally]) -> None:
    if options.json:
        rows = [
            {
                "target": tally.target,
                "cases": tally.cases,
                **tally.outcomes,
                "slowest_s": round(tally.slowest_s, 3),
                "slowest_processor_s": round(tally.slowest_processor_s, 3),
                "findings": len(tally.findings),
            }
            for tally in tallies.values()
        ]
        print(json.dumps({"seed": options.seed, "targets": rows}))
        return
    print("target      cases accepted  refused findings slowest s processor s")
    for tally in tallies.values():
        accepted, refused = (tally.outcomes[key] for key in ("accepted", "refused"))
        print(
            f"{tally.target:10} {tally.cases:6} {accepted:8} {refused:8} "
            f"{len(tally.findings):8} {tally.slowest_s:9.3f} {tally.slowest_processor_s:11.3f}"
        )


def _run_file(options: argparse.Namespace) -> int:
    """Run one file here, without limits, so that a debugger can look on."""
    with temporary_folder() as folder:
        check = TARGETS[options.targets[0]].prepare(Path(folder))
        outcome, detail = run_case(check, options.file.read_bytes())
    print(f"{outcome}: {detail}" if detail else outcome)
    return 0 if outcome in ("accepted", "refused") else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    add(
        "--count",
        type=count,
        metavar="N",
        help="mutations of each target, after its corpus (default: endless)",
    )
    add("--seconds", type=count, metavar="S", help="begin nothing after so long")
    add("--seed", type=int, metavar="N", help="other cases for another seed (default: the time)")
    add("--jobs", type=count, default=1, metavar="N", help="child processes at once (default: 1)")
    add(
        "--save",
        type=Path,
        default=Path("out/fuzz"),
        metavar="DIR",
        help="where findings are written (default: out/fuzz)",
    )
    add("--file", type=Path, metavar="FILE", help="run this one case of one TARGET, unlimited")
    add("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.targets if name not in TARGETS]:
        parser.error(f"no such target: {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if options.file and len(options.targets) != 1:
        parser.error("--file goes with one TARGET")
    options.targets = options.targets or list(TARGETS)
    if options.seed is None:
        options.seed = int(time.time())
    return options


if __name__ == "__main__":
    sys.exit(main())
