"""What this machine answers, as JSON: run here and on each emulated processor.

    python -m tests.pi.answers BODY FOLDER REFERENCE

BODY is the int8 model cut after its dense layer, whose int8 values are then its output; FOLDER
holds pictures.  REFERENCE is a file of resized pictures: written where there is none, else these
are compared with it.  Of what has to be equal only hashes are given.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge import Analyzer, InputSpec, ModelError, read_picture
from edge.model.classifier import Classifier
from edge.model.interpreter import load_interpreter_class
from edge.model.preprocess import resize_into
from tests.support.pictures import HELD_OUT, MODELS, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_INTERPOLATIONS = ("nearest", "linear", "cubic", "area")
_SIZE_WH = (500, 500)


def main(body: str, folder: str, reference: str) -> None:
    """Print the answers for the project's pictures and for those in ``folder``."""
    runtime = load_interpreter_class()
    package = runtime.__module__.split(".")[0].replace("_", "-")
    interpreter = runtime(model_path=body, num_threads=1)
    interpreter.allocate_tensors()
    models, refused = _load()
    paths = (*SAMPLES, *HELD_OUT[:10], *sorted(Path(folder).iterdir()))
    compare = _Reference(Path(reference))
    pictures = {path.name: _answers(path, models, interpreter, compare) for path in paths}
    compare.save()
    versions = {
        "python": platform.python_version(),
        "glibc": platform.libc_ver()[1],
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        package: version(package),
    }
    print(
        json.dumps(
            {
                "machine": platform.machine(),
                "versions": versions,
                "refused": refused,
                "pictures": pictures,
            }
        )
    )


def _load() -> tuple[dict[str, tuple[Analyzer, Classifier]], dict[str, str]]:
    models: dict[str, tuple[Analyzer, Classifier]] = {}
    refused: dict[str, str] = {}
    for variant, model in MODELS.items():
        try:
            models[variant] = Analyzer(model, threads=1), Classifier(model, num_threads=1)
        except ModelError as error:
            refused[variant] = str(error)
    return models, refused


def _answers(
    path: Path,
    models: Mapping[str, tuple[Analyzer, Classifier]],
    body: Any,
    compare: _Reference,
) -> dict[str, Any]:
    image_bgr = read_picture(path).image_bgr
    # OpenCV promises the same bytes of this one everywhere: so the networks see the same.
    exact = np.empty((_SIZE_WH[1], _SIZE_WH[0], 3), np.uint8)
    cv2.resize(image_bgr, _SIZE_WH, dst=exact, interpolation=cv2.INTER_LINEAR_EXACT)
    found = {variant: analyzer.analyze(path) for variant, (analyzer, _) in models.items()}
    first = next(iter(found.values()))
    return {
        "decoded": _hash(image_bgr),
        "decoded_fast": _hash(read_picture(path, fast=True).image_bgr),
        "regions": [asdict(region) for region in first.regions],
        "labels": {variant: analysis.label for variant, analysis in found.items()},
        "probabilities": {variant: analysis.probability for variant, analysis in found.items()},
        "resized": {
            name: compare(f"{path.name} {name}", _resize(image_bgr, name))
            for name in _INTERPOLATIONS
        },
        "same_input": {
            "hash": _hash(exact),
            "int8_values": _int8_values(body, exact),
            "probabilities": {
                variant: float(classifier.predict(exact)[1])
                for variant, (_, classifier) in models.items()
            },
        },
    }


def _int8_values(body: Any, image_bgr: NDArray[np.uint8]) -> list[int]:
    elements = (image_bgr ^ 0x80).view(np.int8)[None]
    body.set_tensor(body.get_input_details()[0]["index"], elements)
    body.invoke()
    values: list[int] = body.get_tensor(body.get_output_details()[0]["index"]).ravel().tolist()
    return values


def _resize(image_bgr: NDArray[np.uint8], interpolation: str) -> NDArray[np.uint8]:
    resized = np.empty((_SIZE_WH[1], _SIZE_WH[0], 3), np.uint8)
    resize_into(image_bgr, resized, InputSpec(_SIZE_WH, interpolation))
    return resized


class _Reference:
    """The pictures that another machine has resized."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._theirs = np.load(path) if path.exists() else None
        self._ours: dict[str, NDArray[np.uint8]] = {}

    def __call__(self, name: str, image: NDArray[np.uint8]) -> dict[str, float]:
        """Return by how much the largest byte and how many differ."""
        if self._theirs is None:
            self._ours[name] = image
            return {"max": 0, "share": 0.0}
        difference = cv2.absdiff(image, self._theirs[name])
        return {"max": int(difference.max()), "share": float((difference > 0).mean())}

    def save(self) -> None:
        if self._theirs is None:
            np.savez(self._path, allow_pickle=False, **self._ours)


def _hash(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()[:16]


if __name__ == "__main__":
    main(*sys.argv[1:])
