"""The child process: runs cases of one target one after the other, within limits.

It writes a line of JSON before and after each case, so that whoever started it knows which one it
died of, or hangs in.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from .targets import TARGETS, run_case, temporary_folder

CPU_S = 20
"""A case that takes so much of the processor ends its process by SIGXCPU."""


def main() -> None:
    """Run the cases that the command line names: target, seed, first, end, bytes of memory."""
    name, *numbers = sys.argv[1:]
    seed, first, end, memory = map(int, numbers)
    # Before anything large is imported: the libraries count, as they do on a small computer.
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    target = TARGETS[name]
    corpus = target.corpus()
    with temporary_folder() as folder:
        check = target.prepare(Path(folder))
        for number in range(first, end):
            data = target.case(corpus, seed, number)
            used = int(time.process_time())
            resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_S, resource.RLIM_INFINITY))
            _say({"number": number})
            begun = time.perf_counter()
            outcome, detail = run_case(check, data)
            seconds = round(time.perf_counter() - begun, 4)
            _say({"number": number, "outcome": outcome, "detail": detail[:300], "s": seconds})


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
