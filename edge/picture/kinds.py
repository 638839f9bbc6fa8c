"""What a file is that was refused, and what to do with it: pictures, weights and models alike.

Read only where something is refused.  A file is named by its content, never by its own name, and
only where that is certain: what nothing here fits stays unnamed.
"""

from __future__ import annotations

import os
import re
from typing import Literal

from .signatures import (
    BRANDS,
    CHECKPOINT,
    CORE_ML,
    HEIC,
    KERAS_INDEX,
    MAGIC,
    NUMPY,
    OFFICE,
    PATTERNS,
    PYTORCH,
    RAW,
    SAVED_MODEL,
    SAVED_MODEL_ZIP,
    TF_JS,
    VIDEO,
    Kind,
    archive,
    foreign,
    keras,
)

_BLANK = 512
_NEW_SUBFILE_TYPE, _MAKE, _DNG_VERSION = 254, 271, 50706


_UNPACKED = Kind(
    "an unpacked .keras archive",
    "pack its files themselves: (cd FILE && zip ../model.keras *.json *.h5); "
    "python -m convert --weights FILE/../model.keras",
)
# By what the names in it have to match, each by one at least.
_FOLDERS = tuple(
    ([re.compile(mark).fullmatch for mark in marks], kind)
    for marks, kind in (
        ((r"coremldata\.bin",), CORE_ML),
        (("Manifest.json", "Data"), CORE_ML),
        ((r"model\.json", r".*\.bin"), TF_JS),
        ((r".*\.data-\d{5}-of-\d{5}",), CHECKPOINT),
        ((r"manifest\.ocdbt",), CHECKPOINT),  # of Orbax
    )
)


def identify(data: bytes) -> Kind | None:
    """Return what kind of file ``data`` is the whole content of, or None if that isn't certain."""
    finders = (
        _by_emptiness,
        _by_tags,
        _by_magic,
        _by_pattern,
        _by_brand,
        _by_member,
        _by_frame,
        _by_text,
    )
    return next((kind for find in finders if (kind := find(data))), None)


def identify_folder(path: str | os.PathLike[str]) -> Kind | None:
    """Return what kind of model the folder ``path`` holds, or None if none is seen."""
    try:
        names = sorted(os.listdir(path))
    except (OSError, ValueError):
        return None
    if "saved_model.pb" in names:
        return SAVED_MODEL
    for name in names:
        if name.endswith(".tflite"):
            return Kind("a folder", f"give the model file in it: FILE/{name}")
    if "model.weights.h5" in names:
        return _UNPACKED
    found = (kind for marks, kind in _FOLDERS if all(any(map(mark, names)) for mark in marks))
    return next(found, None)


def _by_emptiness(data: bytes) -> Kind | None:
    if not data:
        return Kind("an empty file", "copy it again, or fetch it again")
    way_out = "it was recovered, or never written whole: copy it again from its source"
    if data.count(data[:1]) >= max(len(data), 16):
        return Kind("a blank file (zeros or one other byte throughout)", way_out)
    if data[:_BLANK] in (bytes(_BLANK), b"\xff" * _BLANK):
        return Kind("a file whose beginning is blank (zeros or one other byte)", way_out)
    return None


def _by_tags(data: bytes) -> Kind | None:
    """Tell a raw picture from a TIFF by its first directory (TIFF 6.0, section 2)."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return None
    start = int.from_bytes(data[4:8], order)
    end = start + 2 + 12 * int.from_bytes(data[start : start + 2], order)
    entries = [data[at : at + 12] for at in range(start + 2, min(end, len(data)), 12)]
    values = {int.from_bytes(entry[:2], order): entry[8:12] for entry in entries}
    # The raw formats of Nikon, Sony and others: a preview comes first, by a camera's maker.
    preview = int.from_bytes(values.get(_NEW_SUBFILE_TYPE, b""), order) == 1
    return RAW if _DNG_VERSION in values or (preview and _MAKE in values) else None


def _by_magic(data: bytes) -> Kind | None:
    found = (kind for offset, magic, kind in MAGIC if data.startswith(magic, offset))
    return next(found, None)


def _by_pattern(data: bytes) -> Kind | None:
    head = data[:4096]
    return next((kind for pattern, kind in PATTERNS if pattern.match(head)), None)


def _by_brand(data: bytes) -> Kind | None:
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 256, len(data))
    brands = [data[8:12], *(data[start : start + 4] for start in range(16, end, 4))]
    general = HEIC if {b"mif1", b"msf1"} & set(brands) else VIDEO
    return next((BRANDS[brand] for brand in brands if brand in BRANDS), general)


def _by_member(data: bytes) -> Kind | None:
    """Tell a zip by the names in it, which its first bytes and its directory at the end hold."""
    if not data.startswith(b"PK\3\4"):
        return None
    names = data[:4096] + data[-65536:]
    for mark, kind in (
        (rb"model\.weights\.h5", keras("a Keras file (.keras)")),
        (rb"saved_model\.pb", SAVED_MODEL_ZIP),
        (rb"/data\.pkl", PYTORCH),
        (rb"\[Content_Types\]\.xml|mimetypeapplication/vnd\.oasis", OFFICE),
        (rb"PK\x03\x04.{26}[\w./-]+\.npy", NUMPY),
    ):
        if re.search(mark, names, re.DOTALL):
            return kind
    return archive("a zip archive", "unzip FILE")


def _by_frame(data: bytes) -> Kind | None:
    """Tell what shows by its two ends together, or by a length that fits."""
    if data.endswith(b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"):  # LevelDB's table_format.md
        return foreign("a TensorFlow checkpoint's index")
    if data[:1] == b"\x80" and data[1:2] in b"\2\3\4\5" and data.endswith(b"."):
        return foreign("a Python pickle")
    if data[8:9] == b"{" and 2 <= int.from_bytes(data[:8], "little") <= len(data) - 8:
        return foreign("a safetensors file")
    return None


def _by_text(data: bytes) -> Kind | None:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    head = data[:1024]
    # A character may be cut where the head ends.
    text = head.decode(encoding, "ignore")
    lost = len(head) - len(text.encode(encoding))
    if lost > min(3, len(text) // 4) or not all(
        character.isprintable() or character.isspace() for character in text
    ):
        return None
    if re.match(r'\s*(\{\s*["}]|\[\s*["{\[\]\d-])', text):
        if re.search(r'"(modelTopology|weightsManifest)"|"format": ?"(layers|graph)-model"', text):
            return TF_JS
        if '"weight_map"' in text and ".weights.h5" in text:
            return KERAS_INDEX
        way_out = "a contract goes with --contract; it may also be the answer of a failed download"
        return Kind("a JSON file", f"read it (head FILE): {way_out}")
    lines = text.splitlines()[:2]
    # Behind a mark of a sentence stands a space.
    marks = [mark for mark in ",;\t" if not any(f"{mark} " in line for line in lines)]
    if len(lines) == 2 and any(lines[0].count(mark) == lines[1].count(mark) > 0 for mark in marks):
        return Kind("a table (CSV)", "give the picture or the model itself")
    way_out = "read it (head FILE): where it is the message of a failed download, fetch it again"
    return Kind("a text file", way_out)
