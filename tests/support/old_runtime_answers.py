"""Run by the second environment: what graphs in a folder answer, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edge.model.contract import InputSpec
from edge.model.interpreter import load_interpreter_class
from edge.model.preprocess import encode_into


def main() -> None:
    """Ask each NUMBER-VARIANT.tflite about NUMBER.npy; where it can't be run, say why."""
    found: dict[str, Any] = {}
    for path in sorted(Path(sys.argv[1]).glob("*.tflite")):
        settings = json.loads(path.with_suffix(".json").read_text())
        lists = {key: tuple(value) for key, value in settings.items() if isinstance(value, list)}
        images = np.load(path.with_name(f"{path.stem.split('-')[0]}.npy"))
        try:
            found[path.stem] = ask(path.read_bytes(), InputSpec(**{**settings, **lists}), images)
        except (RuntimeError, ValueError) as error:
            found[path.stem] = str(error)
    print(json.dumps(found))


def ask(flatbuffer: bytes, spec: InputSpec, images: Any) -> list[list[float]]:
    """Return a graph's answers."""
    interpreter = load_interpreter_class()(model_content=flatbuffer, num_threads=1)
    interpreter.allocate_tensors()
    (source,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for image in images:
        tensor = np.empty(image.shape, source["dtype"])
        encode_into(image, tensor, spec)
        interpreter.set_tensor(source["index"], tensor[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(answer["index"])[0].tolist())
    return found


if __name__ == "__main__":
    main()
