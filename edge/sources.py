"""What the command line names as pictures: files, folders, patterns, standard input."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .errors import PictureError
from .picture import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUFFIXES = (".jpg", ".jpeg", ".png")


def expand(sources: Sequence[str]) -> Iterator[str | PictureError]:
    """Yield the path of each picture, in order; an error where a source holds none.

    A folder gives the JPEG and PNG files in it and below it, sorted by path.  A name that
    doesn't exist and has a wildcard in it is a pattern (``**`` goes through folders).  Anything
    else is passed on as it is: opening it will tell.
    """
    for source in sources:
        if source == "-" or os.path.isfile(source):
            yield source
        elif os.path.isdir(source):
            yield from _or_error(
                _walk(source), f"{printable(source)}: no JPEG or PNG in this folder"
            )
        elif os.path.lexists(source) or not any(character in source for character in "*?["):
            yield source
        else:
            yield from _or_error(_match(source), f"{printable(source)}: no file fits this pattern")


def _walk(folder: str) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES):
                yield os.path.join(parent, name)


def _match(pattern: str) -> Iterator[str]:
    import glob  # not needed by most calls

    return (path for path in sorted(glob.iglob(pattern, recursive=True)) if os.path.isfile(path))


def _or_error(paths: Iterator[str], message: str) -> Iterator[str | PictureError]:
    count = 0
    for count, path in enumerate(paths, 1):  # noqa: B007 - counted, and yielded as it comes
        yield path
    if not count:
        yield PictureError(message)
