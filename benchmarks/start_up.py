"""One picture, one process: ``python -m edge.run`` beside a bare script that does the least.

The bare script imports the same three packages, loads the same flatbuffer and invokes it once.
The two take turns, so that whatever else the machine does meets both; the figure is the ratio of
their medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from edge.modelfile import unpack

from .common import MODEL, PICTURE, timed_process

BARE = """
import sys
import cv2
import numpy
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1], num_threads=int(sys.argv[2]))
interpreter.allocate_tensors()
interpreter.invoke()
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_up", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="runs of each (default: 20)")
    parser.add_argument("--threads", type=int, default=1, help="interpreter threads (default: 1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.tflite"
        plain.write_bytes(unpack(MODEL.read_bytes(), MODEL.name)[0])
        threads = str(options.threads)
        commands = {
            "bare script": [sys.executable, "-c", BARE, str(plain), threads],
            "edge.run": [sys.executable, "-m", "edge.run", str(PICTURE), "--threads", threads],
        }
        # Without bytecode, each start would compile the package, unlike an installed one.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for command in commands.values():
            timed_process(command, environment)  # bytecode and disk caches warm for both
        for _ in range(options.rounds):
            for name, command in commands.items():
                taken[name].append(timed_process(command, environment))
    for name, seconds in taken.items():
        median, least = statistics.median(seconds) * 1e3, min(seconds) * 1e3
        print(f"{name}: median {median:.0f} ms, min {least:.0f} ms")
    bare, edge = (statistics.median(seconds) for seconds in taken.values())
    print(f"ratio of medians: {edge / bare:.2f}")


if __name__ == "__main__":
    main()
