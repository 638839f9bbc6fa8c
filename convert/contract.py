"""The contract that is written into a model file: ``model.json``, schema 2."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

from edge.model.contract import SCHEMA, InputSpec, OutputSpec
from edge.results import NOTICE

from .network import INPUT_SIZE_WH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convert.quantise.preprocessing import Preprocessing
    from convert.verify.pictures import SamplePicture
    from convert.weights.file import Weights

RESIZE = InputSpec(INPUT_SIZE_WH)
"""How a picture is resized for this network: to 500 x 500, the notebook's bilinear resize."""

_QUANTISATION = {
    "float32": "none",
    "float16": "weights float16, computed in float32",
    "dynamic": "weights int8, activations quantised to int8 at run time; "
    "convolutions per channel, dense1 per tensor, dense2 float32",
    "int8": "weights and activations int8 up to dense1's ten outputs; convolutions per channel, "
    "dense1 per tensor; dense2 and the sigmoid float32",
}
_TOOLS = (
    "tensorflow",
    "keras",
    "ai-edge-quantizer",
    "ai-edge-litert",
    "numpy",
    "opencv-python-headless",
)


def input_dtype(variant: str) -> str:
    """Return the dtype of the graph's input: int8 for int8, else uint8."""
    return "int8" if variant == "int8" else "uint8"


def describe(
    variant: str,
    flatbuffer: bytes,
    *,
    name: str,
    labels: tuple[str, str],
    threshold: float,
    weights: Weights,
    pixels: Preprocessing,
    calibration: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the contract of a flatbuffer, all but its parity figures."""
    dtype = input_dtype(variant)
    input_spec = replace(RESIZE, dtype=dtype, zero_point=-128 if dtype == "int8" else 0)
    return {
        "schema": SCHEMA,
        "name": name,
        "variant": variant,
        "intended_use": NOTICE,
        "flatbuffer": {"sha256": hashlib.sha256(flatbuffer).hexdigest(), "bytes": len(flatbuffer)},
        "input": input_spec.to_dict(),
        "output": {**OutputSpec().to_dict(), "meaning": f"P({labels[1]})"},
        "labels": list(labels),
        "positive": labels[1],
        "threshold": threshold,
        "quantisation": _QUANTISATION[variant],
        "weights": {
            "file": weights.name,
            "sha256": weights.sha256,
            "contract": {**pixels.to_dict(), "folded_into": "conv1"},
        },
        "calibration": calibration if variant == "int8" else None,
        "versions": {tool: metadata.version(tool) for tool in _TOOLS},
    }


def manifest(pictures: Sequence[SamplePicture], seed: int) -> dict[str, Any]:
    """Return which pictures were used, by name and content."""
    return {
        "seed": seed,
        "count": len(pictures),
        "pictures": {picture.name: picture.sha256 for picture in pictures},
    }


def manifest_sha256(pictures: Sequence[SamplePicture]) -> str:
    """Return one hash for a set of pictures: of their hashes, one a line, in order."""
    lines = "".join(f"{picture.sha256}\n" for picture in pictures)
    return hashlib.sha256(lines.encode()).hexdigest()
