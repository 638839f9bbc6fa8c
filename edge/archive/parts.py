"""The answers as Parquet files, each written whole or not at all, and what is there already.

A row is the object that ``edge.run --json`` prints for a picture, under the same names, and the
three columns that only an archive has.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from edge.errors import LesionEdgeError, OutputError
from edge.files import printable, write_atomically

from .pictures import STORES, address_options, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VERSION = "1"
"""Of the schema: it changes with the name, type or meaning of a column."""
_KEY = b"lesion_edge_archive"
_BOX = [("x", pa.int32()), ("y", pa.int32()), ("width", pa.int32()), ("height", pa.int32())]
_STEPS = ("decode", "segment", "resize", "invoke", "total")
_OUTLINE = ("outline", pa.list_(pa.list_(pa.list_(pa.int32()))))
SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("size", pa.list_(pa.int32())),
        ("label", pa.string()),
        ("probability", pa.float64()),
        ("probabilities", pa.map_(pa.string(), pa.float64())),
        ("threshold", pa.float64()),
        ("uncertain", pa.list_(pa.float64())),
        ("familiar", pa.bool_()),
        ("operating_point", pa.string()),
        ("regions", pa.list_(pa.struct([*_BOX, ("area", pa.float64())]))),
        (
            "lesion",
            pa.struct([*_BOX, ("area", pa.int64()), ("share", pa.float64()), _OUTLINE]),
        ),
        ("warnings", pa.list_(pa.string())),
        ("error", pa.struct([("type", pa.string()), ("message", pa.string())])),
        (
            "model",
            pa.struct(
                [(key, pa.string()) for key in ("name", "variant", "sha256", "outline_sha256")]
            ),
        ),
        ("timings_ms", pa.struct([(step, pa.float64()) for step in _STEPS])),
        ("read_ms", pa.float64()),
        ("bytes", pa.int64()),
        ("analysed_at", pa.timestamp("ms", "UTC")),
    ],
    metadata={_KEY: VERSION},
)


def text(name: str) -> str:
    """Return a picture's name as a text: a byte that is none in UTF-8 is written as an escape."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


class Parts:
    """The Parquet files in a folder, local or of an object store.

    Args:
        folder: a path, or an address such as ``s3://bucket/folder``.

    Raises:
        OutputError: the folder can't be made.

    """

    def __init__(self, folder: str) -> None:
        self._local = not folder.startswith(STORES)
        try:
            if self._local:
                self._store, self._folder = fs.LocalFileSystem(), os.path.abspath(folder)
                os.makedirs(self._folder, exist_ok=True)
            else:
                name = folder.partition("?")[0]
                self._store, self._folder = open_store(name, address_options(folder))
        except (OSError, ValueError) as error:
            if isinstance(error, LesionEdgeError):  # has no address in it
                raise
            raise _unwritable(folder, error) from error

    def write(self, names: Sequence[str], table: pa.Table) -> None:
        """Write the rows of these pictures as one file, under a name that follows from theirs.

        So a part that is worked on twice, since a node died before it said that it was done,
        takes its own place.

        Raises:
            OutputError: it can't be written.

        """
        digest = sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:32]
        self._write(f"{self._folder}/part-{digest}.parquet", table)

    def done(self, *, retry: bool = False) -> Iterator[tuple[str, str | None]]:
        """Yield the name of each picture that is there, and its label; None where it failed.

        What a killed process left is taken away: temporary files, and files that are no Parquet,
        such as a copy that ended early.

        Args:
            retry: take the rows of pictures that failed out of the files first.

        Raises:
            OutputError: a file can't be read or written, or is of another version of the schema.

        """
        try:
            selector = fs.FileSelector(self._folder, allow_not_found=True)
            for info in self._store.get_file_info(selector):
                if self._local and info.base_name.startswith(".part-"):
                    with suppress(OSError):
                        os.unlink(info.path)
                elif info.base_name.startswith("part-") and info.extension == "parquet":
                    yield from self._rows(info.path, retry=retry)
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OutputError):
                raise
            raise _unwritable(self._folder, error) from error

    def _rows(self, path: str, *, retry: bool) -> Iterator[tuple[str, str | None]]:
        try:
            with self._store.open_input_file(path) as file:
                parquet = pq.ParquetFile(file)
                version = (parquet.schema_arrow.metadata or {}).get(_KEY, b"none").decode()
                if version != VERSION:
                    raise OutputError(
                        f"{printable(path)}: rows of version {version}, this is {VERSION}:"
                        " give another --out"
                    )
                table = parquet.read(["image", "label"])
                if retry and table["label"].null_count:
                    whole = parquet.read()
                    table = whole.filter(pc.is_valid(whole["label"]))
                    self._write(path, table) if len(table) else self._store.delete_file(path)
        except pa.ArrowInvalid:
            self._store.delete_file(path)
            return
        yield from zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True)

    def _write(self, path: str, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        data = sink.getvalue()
        try:
            if self._local:
                write_atomically(path, data)
            else:  # an object is there once all of it is
                with self._store.open_output_stream(path) as stream:
                    stream.write(data)
        except (OSError, pa.ArrowException) as error:
            raise _unwritable(path, error) from error


def to_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Return rows as a table of the schema; what a row hasn't is null."""
    return pa.Table.from_pylist(rows, SCHEMA)


def _unwritable(path: str, error: BaseException) -> OutputError:
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return OutputError(f"{printable(path.partition('?')[0])}: can't be read or written: {reason}")
