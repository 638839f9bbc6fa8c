"""The contract that is written into a model file: ``model.json``, schema 2."""

from __future__ import annotations

import hashlib
import json
from importlib import metadata
from typing import TYPE_CHECKING, Any

from edge.model.contract import SCHEMA, OutputSpec
from edge.model.file import pack
from edge.results import NOTICE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from convert.quantise.plain import Exported
    from convert.verify.pictures import SamplePicture

    from .job import Job

_TOOLS = (
    "tensorflow",
    "keras",
    "ai-edge-quantizer",
    "ai-edge-litert",
    "numpy",
    "opencv-python-headless",
)


def identify(flatbuffer: bytes) -> dict[str, Any]:
    """Return what a contract knows a flatbuffer by."""
    return {"sha256": hashlib.sha256(flatbuffer).hexdigest(), "bytes": len(flatbuffer)}


def describe(
    variant: str, exported: Exported, job: Job, outline: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the contract of a graph, all but its parity figures.

    Args:
        variant: float32, float16, dynamic or int8.
        exported: the graph.
        job: what it was made for.
        outline: what the contract says of the network that outlines the lesion, if there is one.

    """
    weights, meaning, flatbuffer = job.weights, job.meaning, exported.flatbuffer
    what = f"P({meaning.labels[1]})" if weights.activation == "sigmoid" else "P of each label"
    return {
        "schema": SCHEMA,
        "name": job.name,
        "variant": variant,
        "intended_use": NOTICE,
        "flatbuffer": identify(flatbuffer),
        "input": exported.input.to_dict(),
        "output": {**OutputSpec(weights.activation).to_dict(), "meaning": what},
        "labels": list(meaning.labels),
        "positive": meaning.positive,
        "threshold": meaning.threshold,
        **meaning.thresholds,
        **({} if job.familiar is None else {"familiar": {"limit": job.familiar}}),
        "quantisation": exported.quantisation,
        "weights": {
            "file": weights.name,
            "sha256": weights.sha256,
            "contract": job.preprocessing(),
        },
        "calibration": manifest(job.calibration, job.seed) if variant == "int8" else None,
        **({"segmentation": "outline", "outline": dict(outline)} if outline else {}),
        **job.about,
        "versions": {tool: metadata.version(tool) for tool in _TOOLS},
    }


def pack_document(
    flatbuffer: bytes, document: Mapping[str, Any], outline: bytes | None = None
) -> bytes:
    """Return the model file of a graph, its contract, and the outline's graph, if there is one."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return pack(flatbuffer, f"{text}\n".encode(), outline)


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
