"""Reads a model file, and its contract, from the disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from edge.errors import ModelError
from edge.files import open_regular, printable, read_bounded

from .file import MAX_CONTRACT_BYTES, describe, parse_json, unpack, unpack_beside, unpack_outline

MAX_MODEL_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What a model file holds, checked by hash."""

    flatbuffer: bytes
    document: dict[str, Any]
    """The contract, its values unchecked."""
    outline: bytes | None = None
    """The flatbuffer of the network that outlines the lesion, where the model brings one."""


def load_model_file(
    path: str | os.PathLike[str], contract: str | os.PathLike[str] | None = None
) -> ModelFile:
    """Read a model file once and return what it holds.

    Args:
        path: the model file.
        contract: the contract's file, where the model is a TFLite file without one.

    Raises:
        ModelError: missing, unreadable, too large, or not exactly as it was written.

    """
    name = printable(os.path.basename(path))
    data = read_whole(path)
    if contract is None:
        return ModelFile(*unpack(data, name), unpack_outline(data, name))
    contract_json = _read(contract, MAX_CONTRACT_BYTES, "the contract")
    return ModelFile(data, unpack_beside(data, contract_json, name, printable(contract)))


def read_whole(path: str | os.PathLike[str]) -> bytes:
    """Return a model file's bytes, unchecked; raise ModelError if it can't be read."""
    return _read(path, MAX_MODEL_BYTES, "the model")


def read_contract(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a contract's own file says, unchecked.

    Raises:
        ModelError: missing, unreadable, too large, or no JSON object.

    """
    return parse_json(_read(path, MAX_CONTRACT_BYTES, "the contract"), printable(path))


def _read(path: str | os.PathLike[str], max_bytes: int, what: str) -> bytes:
    try:
        with open_regular(path) as stream:
            data = read_bounded(stream, max_bytes)
    except (OSError, ValueError, MemoryError) as error:
        from edge.picture.kinds import identify_folder  # read only where a file is refused

        reason = getattr(error, "strerror", None) or error or "not enough memory is free"
        kind = identify_folder(path) if what == "the model" else None
        problem = "not a model file" if kind else f"{what} can't be read: {reason}"
        from edge.rights import advice

        way_out = advice(path, error)
        text = f"{problem}{way_out}" if way_out else describe(kind, problem)
        raise ModelError(f"{printable(path)}: {text}") from error
    if data is None:
        raise ModelError(
            f"{printable(path)}: larger than the limit of {max_bytes} bytes for {what}"
        )
    return data
