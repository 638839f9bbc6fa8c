"""What a would-be weights file is, by its content: HDF5, a ``.keras`` archive, or what else."""

from __future__ import annotations

import io
import os
import re
import zipfile
from dataclasses import dataclass

from convert.errors import WeightsError
from edge.files import open_regular, read_bounded

from .declared import one_line
from .hdf5 import SIGNATURE
from .plan import MAX_CONFIG_BYTES

_ZIP_MEMBER = "model.weights.h5"
_ZIP_SIGNATURE = b"PK\x03\x04"
_CONFIG_MEMBER = "config.json"
_ABOUT_MEMBER = "metadata.json"
_PACK_AGAIN = "pack its files themselves: cd FOLDER; zip ../model.keras *.json *.h5"


@dataclass(frozen=True, slots=True)
class Opened:
    """What is looked at of a file of weights."""

    hdf5: bytes
    config: str | None = None
    """The description of the model in a ``.keras`` archive."""
    version: str | None = None
    """Of the Keras that wrote the archive."""


def is_weights(data: bytes) -> bool:
    """Return whether it begins as an HDF5 file or a ``.keras`` archive does."""
    return data.startswith((SIGNATURE, _ZIP_SIGNATURE))


def unreadable(path: str | os.PathLike[str], error: Exception) -> str:
    """Return why a weights file can't be opened, and what to give; without the path."""
    from edge.picture.kinds import identify_folder

    kind = identify_folder(path)
    if kind is not None:
        return f"{kind.name}; {kind.way_out}"
    reason = getattr(error, "strerror", None) or error
    return (
        f"the weights can't be read: {reason}; give the path of an .h5 or .keras file, upstream, "
        "gdrive:ID or https://..."
    )


def config_beside(path: str | os.PathLike[str]) -> str | None:
    """Return the description of the model in an unpacked ``.keras`` archive, or None.

    Raises:
        WeightsError: there is one, and it can't be read.

    """
    folder, name = os.path.split(os.fspath(path))
    config = os.path.join(folder, _CONFIG_MEMBER)
    if name != _ZIP_MEMBER or not os.path.exists(config):
        return None
    try:
        with open_regular(config) as stream:
            data = read_bounded(stream, MAX_CONFIG_BYTES)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{_CONFIG_MEMBER} beside it can't be read: {error}") from error
    if not data:
        raise WeightsError(f"{_CONFIG_MEMBER} beside it is empty or too large; {_PACK_AGAIN}")
    return _text(data)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except ValueError as error:
        raise WeightsError(
            f"its {_CONFIG_MEMBER} is damaged ({one_line(error)}); save the model again with Keras"
        ) from error


def open_up(data: bytes, name: str, max_bytes: int) -> Opened:
    """Return what is in a file, or in the parts of an archive.

    Args:
        data: the file's content, which decides what it is.
        name: its name, which is only told.
        max_bytes: what an archive unpacks to at most.

    Raises:
        WeightsError: it is something else, or the archive is damaged or lacks a part.

    """
    if data.startswith(SIGNATURE):
        return Opened(data)
    if data.startswith(_ZIP_SIGNATURE):
        return _from_archive(data, max_bytes)
    raise _refuse_kind(data, name)


def _refuse_kind(data: bytes, name: str) -> WeightsError:
    from edge.picture.kinds import identify

    kind = identify(data)
    if kind is not None:
        return WeightsError(f"{kind.name}, not weights of Keras; {kind.way_out}")
    # Nothing in a checkpoint's data tells what it is.
    if re.search(r"\.data-\d{5}-of-\d{5}$", name):
        return WeightsError(
            "the data of a TensorFlow checkpoint; load it in the program that made it, and give "
            "the file of model.save_weights('model.weights.h5')"
        )
    return WeightsError(f"no HDF5 file and no .keras archive: it starts with {data[:16]!r}")


def _from_archive(data: bytes, max_bytes: int) -> Opened:
    names, found = _read_members(data, max_bytes)
    if (inner := found.get(_ZIP_MEMBER)) is None:
        if any(each.endswith(f"/{_ZIP_MEMBER}") for each in names):
            raise WeightsError(f"a zip of a folder that holds {_ZIP_MEMBER}; {_PACK_AGAIN}")
        raise WeightsError(f"a zip without {_ZIP_MEMBER}: {_refuse_kind(data, '')}")
    if not inner.startswith(SIGNATURE):
        raise WeightsError(f"{_ZIP_MEMBER} is no HDF5 file: it starts with {inner[:16]!r}")
    if not (config := found.get(_CONFIG_MEMBER)):
        raise WeightsError(
            f"a .keras archive without {_CONFIG_MEMBER}, so that it doesn't say what network it "
            "is; save the model again with Keras"
        )
    version = re.search(rb'"keras_version": *"([0-9.]{1,20})', found.get(_ABOUT_MEMBER, b""))
    return Opened(inner, _text(config), version[1].decode() if version else None)


def _read_members(data: bytes, max_bytes: int) -> tuple[list[str], dict[str, bytes]]:
    """Return the names of all members, and the content of those that are looked at."""
    found: dict[str, bytes | None] = {}
    limits = {_ZIP_MEMBER: max_bytes, _CONFIG_MEMBER: MAX_CONFIG_BYTES, _ABOUT_MEMBER: 1 << 20}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            for member in limits.keys() & set(names):
                with archive.open(member) as stream:
                    found[member] = read_bounded(stream, limits[member])  # type: ignore[arg-type]
    except Exception as error:  # zipfile passes on whatever its decompressors raise
        raise WeightsError(f"the archive is damaged ({one_line(error)}); fetch it again") from error
    whole = {}
    for member, content in found.items():
        if content is None:
            raise WeightsError(f"{member} unpacks to more than {limits[member] >> 20} MiB")
        if names.count(member) > 1:
            raise WeightsError(f"the archive has two members {member}; save the model again")
        whole[member] = content
    return names, whole
