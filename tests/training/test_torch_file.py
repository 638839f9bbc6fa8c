"""Start weights are read without PyTorch, and nothing else is."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convert.errors import WeightsError
from models.training.torch_file import read_tensors

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = 0x1950A86A20F9469CFC6C


class Named:
    """A global that pickles under a name that needn't exist here."""

    def __init__(self, name: str) -> None:
        self.name = name


class Storage:
    """Pickles as the persistent id that PyTorch gives a storage."""

    def __init__(self, kind: str, key: str, size: int) -> None:
        self.id = ("storage", Named(f"ctorch\n{kind}\n"), key, "cpu", size, None)


class Tensor:
    def __init__(self, *parts: Any) -> None:
        self.parts = parts


PurePickler: Any = pickle._Pickler


class Writer(PurePickler):  # type: ignore[misc]
    """Writes what PyTorch 1.x wrote, as its serialization.py and _utils.py describe it."""

    def persistent_id(self, obj: Any) -> Any:
        return obj.id if isinstance(obj, Storage) else None

    def save(self, obj: Any, *rest: Any, **named: Any) -> None:
        if isinstance(obj, Named):
            self.write(obj.name.encode())
        elif isinstance(obj, Tensor):
            self.write(b"ctorch._utils\n_rebuild_tensor_v2\n")
            self.save((*obj.parts, False, OrderedDict()))
            self.write(pickle.REDUCE)
        else:
            super().save(obj, *rest, **named)


def write(path: Path, objects: Any, storages: dict[str, np.ndarray[Any, Any]]) -> Path:
    with path.open("wb") as stream:
        for item in (MAGIC, 1001, {"little_endian": True}, objects, list(storages)):
            Writer(stream, 2).dump(item)
        for numbers in storages.values():
            stream.write(len(numbers).to_bytes(8, "little") + numbers.tobytes())
    return path


def test_tensors_come_out_with_shape_offset_and_strides(tmp_path: Path) -> None:
    numbers = np.arange(12, dtype="<f4")
    storage = Storage("FloatStorage", "1", 12)
    tensors = OrderedDict(
        plain=Tensor(storage, 0, (3, 4), (4, 1)),
        turned=Tensor(storage, 0, (4, 3), (1, 4)),
        part=Tensor(storage, 5, (2,), (1,)),
        count=Tensor(Storage("LongStorage", "2", 1), 0, (), ()),
    )
    count = np.array([7], "<i8")
    got = read_tensors(write(tmp_path / "a.pth", tensors, {"1": numbers, "2": count}))
    np.testing.assert_array_equal(got["plain"], numbers.reshape(3, 4))
    np.testing.assert_array_equal(got["turned"], numbers.reshape(3, 4).T)
    np.testing.assert_array_equal(got["part"], [5, 6])
    assert got["count"].shape == ()
    assert got["count"] == 7
    assert got["plain"].dtype == np.float32


class Call:
    def __reduce__(self) -> Any:
        return os.system, ("false",)


def test_a_file_that_calls_something_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pth", OrderedDict(a=Call()), {})
    with pytest.raises(WeightsError, match="expected tensors only"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [(9, (4,), (1,)), (0, (3, 4), (8, 1)), (0, (2,), (-1,)), (0, (-2,), (1,))],
)
def test_a_tensor_outside_its_storage_is_refused(
    tmp_path: Path, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]
) -> None:
    tensor = Tensor(Storage("FloatStorage", "1", 12), offset, shape, stride)
    path = write(tmp_path / "a.pth", OrderedDict(a=tensor), {"1": np.zeros(12, "<f4")})
    with pytest.raises(WeightsError, match="doesn't lie within"):
        read_tensors(path)


def test_a_file_that_ends_early_or_is_no_such_file_is_refused(tmp_path: Path) -> None:
    tensor = Tensor(Storage("FloatStorage", "1", 12), 0, (12,), (1,))
    path = write(tmp_path / "a.pth", OrderedDict(a=tensor), {"1": np.zeros(12, "<f4")})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="ends within"):
        read_tensors(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(WeightsError, match="old form"):
        read_tensors(path)
