"""Time one picture in one process: ``python -m edge.run`` beside a bare script in turns.

The bare script does the least: it imports the same three packages, loads the same flatbuffer and
invokes it once.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from edge.bench.turns import ratio, summary, take_turns
from edge.model.file import unpack

from .common import MODEL, PICTURE, make_parser, process_seconds

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
    parser = make_parser("benchmarks.start_up", __doc__)
    parser.add_argument("--rounds", type=int, default=20, help="runs of each (default: 20)")
    parser.add_argument("--threads", default="1", help="interpreter threads (default: 1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.tflite"
        plain.write_bytes(unpack(MODEL.read_bytes(), MODEL.name)[0])
        bare = ("-c", BARE, plain, options.threads)
        edge = ("-m", "edge.run", PICTURE, "--threads", options.threads)
        taken = take_turns(
            {
                "bare script": lambda: process_seconds(*bare, bytecode=folder),
                "edge.run": lambda: process_seconds(*edge, bytecode=folder),
            },
            options.rounds,
        )
    for name, seconds in taken.items():
        ms = summary(seconds)
        print(f"{name}: median {ms['p50']:.0f} ms, min {ms['min']:.0f} ms")
    times = ratio(taken["edge.run"], taken["bare script"])
    print(f"ratio, round by round: median {times['p50']:.2f} ({times['p5']} to {times['p95']})")


if __name__ == "__main__":
    main()
