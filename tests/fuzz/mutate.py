"""Ways to damage a file: of any kind, and so that the damage gets past a first check."""

from __future__ import annotations

import copy
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

_BYTES = (0x00, 0x01, 0x20, 0x7F, 0x80, 0xFE, 0xFF)
_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 65500, 10**5, 10**9, 2**31 - 1, 2**32 - 1, 2**63)
_SIZES = {"B": 0xFF, "H": 0xFFFF, "L": 2**32 - 1, "Q": 2**64 - 1}
_PNG = b"\x89PNG\r\n\x1a\n"


def mutate_bytes(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return ``data`` after one to eight changes: bits, bytes, numbers, blocks moved or lost."""
    result = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 5, 8))):
        if not result:
            break
        draw.choice(_CHANGES)(draw, result, others)
    return bytes(result)


def _place(draw: random.Random, result: bytearray) -> int:
    # Half of the time near the front, where headers are.
    share = draw.random()
    return int(len(result) * (share if draw.random() < 0.5 else share**4))


def _block(draw: random.Random, result: bytearray) -> slice:
    start = _place(draw, result)
    longest = max(1, len(result) - start)
    return slice(start, start + draw.randint(1, draw.choice((4, 16, 200, longest))))


def _flip(draw: random.Random, result: bytearray, _: Sequence[bytes]) -> None:
    result[_place(draw, result)] ^= 1 << draw.randrange(8)


def _set(draw: random.Random, result: bytearray, _: Sequence[bytes]) -> None:
    result[_place(draw, result)] = draw.choice((*_BYTES, draw.randrange(256)))


def _number(draw: random.Random, result: bytearray, _: Sequence[bytes]) -> None:
    size, largest = draw.choice(tuple(_SIZES.items()))
    raw = struct.pack(draw.choice("<>") + size, draw.choice(_NUMBERS) & largest)
    start = _place(draw, result)
    result[start : start + len(raw)] = raw


def _cut(draw: random.Random, result: bytearray, _: Sequence[bytes]) -> None:
    del result[_place(draw, result) :]


def _delete(draw: random.Random, result: bytearray, _: Sequence[bytes]) -> None:
    del result[_block(draw, result)]


def _repeat(draw: random.Random, result: bytearray, _: Sequence[bytes]) -> None:
    block = _block(draw, result)
    result[block.stop : block.stop] = result[block] * draw.choice((1, 1, 2, 30))


def _zero(draw: random.Random, result: bytearray, _: Sequence[bytes]) -> None:
    block = _block(draw, result)
    result[block] = bytes(len(result[block]))


def _insert(draw: random.Random, result: bytearray, _: Sequence[bytes]) -> None:
    start = _place(draw, result)
    result[start:start] = draw.randbytes(draw.randint(1, 64))


def _splice(draw: random.Random, result: bytearray, others: Sequence[bytes]) -> None:
    other = bytearray(draw.choice(others))
    if other:
        start = _place(draw, result)
        result[start : start + draw.randint(0, 64)] = other[_block(draw, other)]


_CHANGES: tuple[Callable[[random.Random, bytearray, Sequence[bytes]], None], ...] = (
    _flip,
    _flip,
    _set,
    _set,
    _number,
    _number,
    _cut,
    _delete,
    _repeat,
    _zero,
    _insert,
    _splice,
)


def mutate_picture(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Damage a JPEG or PNG; often the size it claims, or a PNG's rows, with its checksums right."""
    kind = draw.random()
    if data.startswith(_PNG):
        if kind < 0.25:
            return _png_with(data, lambda rows: mutate_bytes(draw, rows, others))
        damaged = mutate_bytes(draw, data, others)
        return _right_checksums(damaged) if kind < 0.8 else damaged
    if kind < 0.15:
        return mutate_bytes(draw, _jpeg_sized(draw, data), others)
    return mutate_bytes(draw, data, others)


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, position = [], len(_PNG)
    while position + 8 <= len(data):
        (size,) = struct.unpack_from(">L", data, position)
        found.append((data[position + 4 : position + 8], data[position + 8 : position + 8 + size]))
        position += 12 + size
    return found


def _join(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return _PNG + b"".join(
        struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _right_checksums(data: bytes) -> bytes:
    return _join(_chunks(data)) if data.startswith(_PNG) else data


def _png_with(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """Return a PNG whose unpacked rows were changed."""
    chunks = _chunks(data)
    packed = b"".join(body for kind, body in chunks if kind == b"IDAT")
    try:
        rows = zlib.compress(change(zlib.decompress(packed)))
    except zlib.error:  # a corpus file may be damaged itself
        return change(data)
    kept = [chunk for chunk in chunks if chunk[0] not in (b"IDAT", b"IEND")]
    return _join([*kept, (b"IDAT", rows), (b"IEND", b"")])


def _jpeg_sized(draw: random.Random, data: bytes) -> bytes:
    result = bytearray(data)
    for marker in (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2"):
        start = data.find(marker)
        if start >= 0:
            sides = (0, 1, 7, 500, 4000, 8000, 65500, 65535)
            result[start + 5 : start + 9] = struct.pack(
                ">2H", draw.choice(sides), draw.choice(sides)
            )
    return bytes(result)


_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    0.5,
    1.0,
    2**31,
    10**40,
    10**400,
    -(10**400),
    float("nan"),
    float("inf"),
    "",
    "int8",
    "uint8",
    "BGR",
    "a\nb",
    "\x1b[2J",
    "\ud800",
    "x" * 5000,
    [],
    {},
    ["a", "b"],
    ["a", "a"],
    [[[[[]]]]],
    {"a": {"a": {}}},
)


def mutate_json(draw: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Change values, keys and types of a JSON object; now and then its bytes."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or draw.random() < 0.2:
        return mutate_bytes(draw, data, others)
    for _ in range(draw.choice((1, 1, 2, 4))):
        target: Any = document
        while isinstance(target, dict) and target:
            key = draw.choice(tuple(target))
            if isinstance(target[key], dict) and target[key] and draw.random() < 0.8:
                target = target[key]
                continue
            _change_value(draw, target, key)
            break
    text = json.dumps(document).encode()
    if draw.random() < 0.1:
        text = text.replace(b"[]", b"[" * 60_000 + b"]" * 60_000, 1)
    return mutate_bytes(draw, text, others) if draw.random() < 0.15 else text


def _change_value(draw: random.Random, target: dict[str, Any], key: str) -> None:
    value, kind = target[key], draw.random()
    if kind < 0.1:
        del target[key]
    elif kind < 0.2:
        target[draw.choice((key.upper(), key + " ", "schema", "input", "labels"))] = target.pop(key)
    elif kind < 0.4 and isinstance(value, int | float) and abs(value) < 10**40:
        target[key] = value * draw.choice((-1, 2, 0.5, 1000)) + draw.choice((0, 1))
    elif kind < 0.4 and isinstance(value, str):
        middle = draw.randint(0, len(value))
        target[key] = value[:middle] + chr(draw.randrange(0x110000)) + value[middle:]
    else:
        target[key] = copy.deepcopy(draw.choice(_VALUES))  # it may be changed next
