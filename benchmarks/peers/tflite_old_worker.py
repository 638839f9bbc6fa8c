"""Runs in the environment of tflite-runtime: a line of JSON in, a line out.

Imports nothing of this project, which that environment need not have.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
from tflite_runtime.interpreter import Interpreter


def main(model: str, threads: int) -> None:
    """Answer until standard input ends."""
    interpreter: Any = Interpreter(model_path=model, num_threads=threads)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    output = interpreter.get_output_details()[0]["index"]
    for line in sys.stdin:
        question = json.loads(line)
        reply: dict[str, Any] = {}
        if "load" in question:
            image = np.load(question["load"])
            if source["dtype"] == np.int8:
                image = (image ^ 0x80).view(np.int8)
            interpreter.set_tensor(
                source["index"], image.reshape(source["shape"]).astype(source["dtype"])
            )
        else:
            reply["seconds"] = []
            for _ in range(question["invoke"]):
                started = time.perf_counter()
                interpreter.invoke()
                reply["answer"] = float(interpreter.get_tensor(output)[0, 0])
                reply["seconds"].append(time.perf_counter() - started)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
