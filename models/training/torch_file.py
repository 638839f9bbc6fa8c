"""Read the tensors of a PyTorch ``.pth`` file of the old form, without PyTorch.

Such a file is five pickles (a magic number, the version, the machine, the objects, the keys of
the storages) and behind them the storages' numbers.  A pickle can call anything; this reader
knows three names, and refuses every other.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from convert.errors import WeightsError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(slots=True)
class _Storage:
    dtype: np.dtype[Any]
    size: int
    numbers: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> NDArray[Any]:
        """Return a copy of the tensor, in C order."""
        numbers = self.storage.numbers
        assert numbers is not None
        steps = zip(self.shape, self.stride, strict=True)
        last = self.offset + sum((size - 1) * step for size, step in steps)
        if min((self.offset, *self.stride, *(size - 1 for size in self.shape))) < 0 or not (
            last < numbers.size
        ):
            raise WeightsError(f"a tensor of shape {self.shape} doesn't lie within its storage")
        strides = [step * numbers.itemsize for step in self.stride]
        view = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides)
        return np.array(view, order="C")


class _TensorsOnly(pickle.Unpickler):
    """Makes dictionaries of tensors, and nothing else."""

    def __init__(self, stream: BinaryIO, storages: dict[str, _Storage]) -> None:
        super().__init__(stream)
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, stride, *_: _Tensor(
                storage, offset, tuple(shape), tuple(stride)
            )
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise WeightsError(f"the file asks for {module}.{name}; expected tensors only")

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _, size, *_ = pid
        return self._storages.setdefault(key, _Storage(dtype, size))


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a ``.pth`` file by name, each with its own shape and dtype.

    Raises:
        WeightsError: it can't be read, has another form, or holds something else than tensors.

    """
    storages: dict[str, _Storage] = {}
    try:
        with path.open("rb") as stream:
            heads = [_TensorsOnly(stream, storages).load() for _ in range(3)]
            objects = _TensorsOnly(stream, storages).load()
            for key in _TensorsOnly(stream, storages).load():
                _read_storage(stream, storages[key])
    except WeightsError:
        raise
    except Exception as error:  # a pickle fails in any way it likes
        raise WeightsError(f"{path}: can't be read as a PyTorch file of the old form") from error
    if heads[0] != _MAGIC:
        raise WeightsError(f"{path}: no PyTorch file of the old form")
    return {name: tensor.array() for name, tensor in objects.items()}


def _read_storage(stream: BinaryIO, storage: _Storage) -> None:
    if int.from_bytes(stream.read(8), "little") != storage.size:
        raise WeightsError("a storage of another length than the file says of it")
    data = stream.read(storage.size * storage.dtype.itemsize)
    storage.numbers = np.frombuffer(data, storage.dtype)
    if storage.numbers.size != storage.size:
        raise WeightsError("the file ends within a storage")
