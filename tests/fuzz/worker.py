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
            begun, used_s = time.perf_counter(), _processor_s()
            outcome, detail = run_case(check, data)
            line = {"number": number, "outcome": outcome, "detail": detail[:300]}
            line |= {"s": time.perf_counter() - begun, "processor_s": _processor_s() - used_s}
            _say(line)


def _processor_s() -> float:
    """Return the processor time of this process and of the children it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
