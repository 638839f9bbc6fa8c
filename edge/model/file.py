"""The one file a model travels in: a TFLite flatbuffer with its contract behind it.

The contract is ``model.json`` in a zip archive appended to the flatbuffer, the layout of TFLite
Metadata's associated files: TFLite tools read the front, ``unzip -p FILE model.json`` the back.
A second flatbuffer, a network that outlines the lesion, may stand beside it as ``outline.tflite``.
The file is canonical, which means that :func:`pack` can only write it one way, and a reader
refuses whatever :func:`pack` would not have written.  So a single flipped bit, a cut and an
appended byte are all found, wherever they are, before an interpreter sees the flatbuffer.

The archive is put together here rather than by :mod:`zipfile`, whose import alone takes as long
as reading the model; the tests open it with :mod:`zipfile`.  Format: PKWARE APPNOTE.TXT 6.3.10.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

from edge.errors import ModelError, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.picture.signatures import Kind

MEMBER, OUTLINE = b"model.json", b"outline.tflite"
MAX_CONTRACT_BYTES = 4 << 20
"""The largest contract that is parsed: one of 50,000 calibration pictures; ours have 8 kB."""
_MAKE_ONE = "make one with: python -m convert"
_DATE, _TIME = 0x0021, 0x0000  # 1980-01-01 00:00, the earliest zip can say: no clock in the file
_LOCAL_MARK = b"PK\x03\x04"
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")


def pack(flatbuffer: bytes, contract_json: bytes, outline: bytes | None = None) -> bytes:
    """Return the bytes of the model file; the same arguments always give the same bytes.

    Args:
        flatbuffer: the classifier.
        contract_json: the contract, a JSON object.
        outline: the flatbuffer of the network that outlines the lesion, if the model brings one;
            the contract's ``outline`` is about it.

    """
    return flatbuffer + _archive(len(flatbuffer), contract_json, outline)


def _archive(offset: int, contract_json: bytes, outline: bytes | None) -> bytes:
    """Return the zip archive that stands ``offset`` bytes into the file."""
    members = {MEMBER: contract_json, **({} if outline is None else {OUTLINE: outline})}
    locals_, centrals = [], []
    for name, content in members.items():
        size = len(content)
        about = (20, 0, 0, _TIME, _DATE, zlib.crc32(content), size, size, len(name), 0)
        local = _LOCAL.pack(_LOCAL_MARK, *about) + name
        # "Made by" 0x0314 is Unix and 0o100644 << 16 an ordinary file's mode: unzip extracts it so.
        more = (0, 0, 0, 0o100644 << 16, offset)
        centrals.append(_CENTRAL.pack(b"PK\x01\x02", 0x0314, *about, *more) + name)
        locals_ += [local, content]
        offset += len(local) + size
    central, count = b"".join(centrals), len(members)
    end = _END.pack(b"PK\x05\x06", 0, 0, count, count, len(central), offset, 0)
    return b"".join((*locals_, central, end))


def unpack(data: bytes, name: str) -> tuple[bytes, dict[str, Any]]:
    """Split a model file into its flatbuffer and its contract, or refuse it.

    Args:
        data: the whole file.
        name: what to call the file in an error.

    Raises:
        ModelError: the bytes are not exactly what :func:`pack` writes, or the flatbuffer is not
            the one that the contract's SHA-256 names; or so of the outline's.

    """
    flatbuffer, contract_json, outline = _split(data, name)
    if data[len(flatbuffer) :] != _archive(len(flatbuffer), contract_json, outline):
        raise ModelError(
            f"{name}: the model file is damaged (its archive is not as written); copy it again"
        )
    document = _check(flatbuffer, parse_json(contract_json, name), name)
    _check_outline(outline, document, name)
    return flatbuffer, document


def unpack_outline(data: bytes, name: str) -> bytes | None:
    """Return the flatbuffer that outlines the lesion, of a file that :func:`unpack` took, if any.

    Args:
        data: the whole file.
        name: what to call the file in an error.

    """
    return _split(data, name)[2]


def unpack_beside(
    data: bytes, contract_json: bytes, name: str, contract_name: str
) -> dict[str, Any]:
    """Return the contract that someone gives for a TFLite file that has none of its own.

    Args:
        data: the whole TFLite file, its trailing bytes included.
        contract_json: the contract, of the same form as the one behind a flatbuffer.
        name: what to call the TFLite file in an error.
        contract_name: what to call the contract's file in an error.

    Raises:
        ModelError: no TFLite file, one that has a contract, or not the one that the contract's
            SHA-256 names.

    """
    if has_contract(data, name):
        raise ModelError(f"{name}: this model has a contract of its own; leave --contract out")
    document = parse_json(contract_json, contract_name)
    if "outline" in document:
        raise ModelError(
            f"{contract_name}: has an 'outline', whose network travels inside a model file only; "
            "leave it out"
        )
    way_out = f"copy it again, or give the contract that was made for it, not {contract_name}"
    return _check(data, document, name, way_out)


def has_contract(data: bytes, name: str) -> bool:
    """Return whether a TFLite file has a contract behind it; raise ModelError if it is none."""
    _refuse_foreign(data, name)
    return _find_central(data) is not None


def _check(
    flatbuffer: bytes, document: dict[str, Any], name: str, way_out: str = "copy it again"
) -> dict[str, Any]:
    recorded = document.get("flatbuffer")
    sha256 = recorded.get("sha256") if isinstance(recorded, dict) else None
    actual = hashlib.sha256(flatbuffer).hexdigest()
    if sha256 != actual:
        raise ModelError(
            f"{name}: damaged, or not the model of this contract: its flatbuffer has SHA-256 "
            f"{actual}, the contract says {shown(sha256)}; {way_out}"
        )
    return document


def _check_outline(outline: bytes | None, document: Mapping[str, Any], name: str) -> None:
    described = document.get("outline")
    if outline is None and described is None:
        return
    if outline is None or described is None:
        missing = OUTLINE.decode() if outline is None else "'outline' in its contract"
        raise ModelError(f"{name}: has no {missing}, which the rest of it needs; copy it again")
    if not isinstance(described, dict):
        raise ModelError(f"{name}: its contract's outline must be an object, is {shown(described)}")
    _check(outline, described, f"{name}: {OUTLINE.decode()}")


def _refuse_foreign(data: bytes, name: str) -> None:
    if data[4:8] != b"TFL3":
        from edge.picture.kinds import identify  # read only where a file is refused

        raise ModelError(f"{name}: {describe(identify(data), 'not a TFLite model')}")


def describe(kind: Kind | None, problem: str) -> str:
    """Return what is wrong with a file that is no model file, and what to do, in one line."""
    if kind is None:
        return f"{problem}; {_MAKE_ONE}"
    way_out = (
        kind.way_out if "python -m convert" in kind.way_out else f"{kind.way_out}; or {_MAKE_ONE}"
    )
    return f"{problem} but {kind.name}; {way_out}"


def _find_central(data: bytes) -> tuple[Any, ...] | None:
    """Return the archive's entry for the contract, or None if there is none."""
    try:
        signature, *_, start, _ = _END.unpack(data[-_END.size :])
        central = _CENTRAL.unpack_from(data, start)
    except struct.error:
        return None
    named = data[start + _CENTRAL.size :].startswith(MEMBER)
    whole = signature == b"PK\x05\x06" and central[0] == b"PK\x01\x02" and named
    return central if whole else None


def _split(data: bytes, name: str) -> tuple[bytes, bytes, bytes | None]:
    """Return flatbuffer, contract and outline, where their headers say that they are."""
    _refuse_foreign(data, name)
    central = _find_central(data)
    if central is None:
        raise ModelError(
            f"{name}: a TFLite model without a contract behind it, or cut short; copy it again, "
            "put a contract behind it with: python -m convert --tflite FILE, or give one with "
            "--contract"
        )
    size, offset = central[9], central[-1]
    start = offset + _LOCAL.size + len(MEMBER)
    end = start + size
    outline = None
    if data.startswith(_LOCAL_MARK, end) and len(data) >= end + _LOCAL.size:
        size = _LOCAL.unpack_from(data, end)[8]
        behind = end + _LOCAL.size + len(OUTLINE)
        outline = data[behind : behind + size]
    return data[:offset], data[start:end], outline


def parse_json(contract_json: bytes, name: str) -> dict[str, Any]:
    """Return the object that a contract's text is, its values unchecked.

    Raises:
        ModelError: too large, or no JSON object.

    """
    if len(contract_json) > MAX_CONTRACT_BYTES:
        raise ModelError(
            f"{name}: its contract is larger than the limit of {MAX_CONTRACT_BYTES} bytes"
        )
    try:
        document = json.loads(contract_json)
    except (ValueError, RecursionError) as error:
        from edge.picture.kinds import identify

        # A JSON file that is cut would still be named one.
        kind = None if contract_json.lstrip()[:1] in (b"{", b"[") else identify(contract_json)
        problem = "not JSON as a contract has to be" + ("" if kind else f" ({error})")
        raise ModelError(f"{name}: {describe(kind, problem)}") from error
    if not isinstance(document, dict):
        raise ModelError(f"{name}: {describe(None, 'not a JSON object as a contract has to be')}")
    return document
