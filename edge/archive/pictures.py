"""Where the pictures of an archive are: a folder, a list, an object store; and their bytes."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import pyarrow as pa
from pyarrow import fs

from edge.cli.leftout import is_hidden
from edge.cli.sources import SUFFIXES, expand
from edge.errors import PictureError
from edge.files import open_regular, printable
from edge.picture.decode import read_bytes
from edge.picture.limits import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STORES = ("s3://", "gs://")
_TRIES, _SILENCE_S = 4, 10.0
"""How often a read is tried that fails, and how long a store may be silent."""
_AGAIN = "; try again later with --retry-failed"
_KEYS = (
    "no keys in an address: they belong into the environment or a file, see docs/archive.md"
    " (AWS_ACCESS_KEY_ID, ~/.aws/credentials, GOOGLE_APPLICATION_CREDENTIALS)"
)


def find_pictures(
    source: str, leave_out: str | None, tell: Callable[[str], object]
) -> Iterator[str | PictureError]:
    """Yield the name of each picture: an absolute path, or ``s3://bucket/key``.

    Args:
        source: a folder; a ``.txt`` file that names one in each line; or the address of a folder
            in an object store, of which every JPEG and PNG that isn't hidden is taken.
        leave_out: a folder that is no input; see :func:`edge.cli.sources.expand`.
        tell: called with a line that says what of a folder was left out.

    Yields:
        An error in the place of a folder that can't be read, or where there is no picture.

    """
    if source.startswith("file://"):
        source = fs.FileSystem.from_uri(source)[1]
    if source.startswith(STORES):
        yield from _stored(source)
    elif source.endswith(".txt") and not os.path.isdir(source):
        yield from _listed(source)
    else:
        yield from expand([os.path.abspath(source)], leave_out=leave_out, tell=tell)


def address_options(source: str) -> str:
    """Return what of an address is for the whole store: ``?region=eu-west-1``, or nothing."""
    return "".join(source.partition("?")[1:]) if source.startswith(STORES) else ""


def read(name: str, options: str = "") -> bytes:
    """Return a picture's bytes, whole.

    Args:
        name: as :func:`find_pictures` gives it.
        options: those of :func:`address_options`.

    Raises:
        PictureError: it can't be read, ends early, or is larger than the limit, in which case
            nothing of it is read.

    """
    if not name.startswith(STORES):
        return read_bytes(name)
    try:
        store, path = open_store(name, options)
        with store.open_input_file(path) as file:
            size = file.size()
            data = b"" if size > MAX_BYTES else file.read(size)
    except (OSError, pa.ArrowException) as error:
        raise PictureError(f"{printable(name)}: can't be read: {_reason(error)}{_AGAIN}") from error
    if size > MAX_BYTES:
        raise PictureError(f"{printable(name)}: larger than the limit of {MAX_BYTES} bytes")
    if len(data) != size:
        text = f"cut short on the way: {len(data)} of {size} bytes came{_AGAIN}"
        raise PictureError(f"{printable(name)}: {text}")
    return data


def open_store(address: str, options: str = "") -> tuple[fs.FileSystem, str]:
    """Return an object store and the path in it: bucket and key, any character of which counts.

    Raises:
        PictureError: the address has a key in it.
        OSError: the store can't be asked, or the address is none.

    """
    scheme, _, path = address.partition("://")
    bucket = path.partition("/")[0]
    if "@" in bucket:
        raise PictureError(f"{scheme}://...: {_KEYS}")
    return _store(scheme, bucket, options), path


@lru_cache
def _store(scheme: str, bucket: str, options: str) -> fs.FileSystem:
    try:
        if scheme != "s3":
            return fs.FileSystem.from_uri(f"{scheme}://{bucket}{options}")[0]
        given = dict(parse_qsl(options[1:]))
        if "region" not in given and "endpoint_override" not in given:
            given["region"] = fs.resolve_s3_region(bucket)
        # Left alone, Arrow tries a read that stalls 31 times, in five minutes.
        tries = fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES)
        return fs.S3FileSystem(
            retry_strategy=tries, request_timeout=_SILENCE_S, connect_timeout=_SILENCE_S, **given
        )
    except (ValueError, TypeError) as error:
        raise OSError(f"the address can't be used: {_reason(error)}") from error


def _stored(source: str) -> Iterator[str | PictureError]:
    scheme = source.partition("://")[0]
    shown = source.partition("?")[0]
    try:
        store, path = open_store(shown, address_options(source))
        found = store.get_file_info(fs.FileSelector(path.rstrip("/"), recursive=True))
    except PictureError as error:
        yield error
        return
    except (OSError, pa.ArrowException) as error:
        yield PictureError(f"{printable(shown)}: can't be listed: {_reason(error)}")
        return
    start, count = len(path.rstrip("/")) + 1, 0
    found.reverse()  # taken from its end, it gives back its memory, 245 bytes a picture
    while found:
        each = found.pop()
        parts = each.path[start:].split("/")
        if not each.is_file or not parts[-1].lower().endswith(SUFFIXES):
            continue
        if not any(is_hidden(part, ()) for part in parts):
            count += 1
            yield f"{scheme}://{each.path}"
    if not count:
        yield PictureError(f"{printable(shown)}: no JPEG or PNG in this folder of the store")


def _listed(path: str) -> Iterator[str | PictureError]:
    try:
        with open_regular(path) as file:
            for line in file:
                if name := os.fsdecode(line.rstrip(b"\r\n")):
                    yield name if name.startswith(STORES) else os.path.abspath(name)
    except OSError as error:
        yield PictureError(f"{printable(path)}: the list can't be read: {error.strerror}")


def _reason(error: BaseException) -> str:
    """Return the first sentence of what Arrow says, on one line."""
    return printable(re.split(r"[\n]|\. Detail:", str(error))[0])[:300]
