"""Where annotated pictures go: a folder, and in it a name of its own for each picture."""

from __future__ import annotations

import os

from edge.errors import OutputError
from edge.files import printable
from edge.picture.comment import read_comment, source_mark


class ResultFolder:
    """The folder of annotated pictures.

    Args:
        folder: its path; it is made if missing.

    Raises:
        OutputError: it can't be made.

    """

    _ENDING = "_annotated.jpg"

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._taken: set[str] = set()
        self._number: dict[str, int] = {}
        self._others: dict[tuple[str, str], str] = {}
        make_folder(folder)
        # FAT counts up to 255 characters, and says that they may have 1530 bytes.
        self._most = min(255, os.pathconf(folder, "PC_NAME_MAX"))

    def name(self, source: str) -> str:
        """Return the path of a picture's annotated copy; of each call another one.

        A copy of an earlier run is written over where its comment says that it is of the same
        picture's file.
        """
        stem = "stdin" if source == "-" else os.path.splitext(os.path.basename(source))[0]
        first, mark = _fold(stem), source_mark(source)
        if mark and (path := self._others.pop((first, mark), None)):
            return path
        while True:
            # Two folders may hold pictures of the same name, and a.jpg may stand beside a.png.
            number = self._number[first] = self._number.get(first, 0) + 1
            ending = f"-{number}{self._ENDING}" if number > 1 else self._ENDING
            name = _shorten(stem, self._most - len(ending)) + ending
            path = os.path.join(self._folder, name)
            if _fold(name) in self._taken:
                continue
            self._taken.add(_fold(name))
            if not os.path.lexists(path):
                return path
            # A file of the user's stays, and so does the copy of another picture.
            theirs = (read_comment(path) or {}).get("source")
            if mark and theirs == mark:
                return path
            if isinstance(theirs, str):
                self._others.setdefault((first, theirs), path)


def _fold(name: str) -> str:
    """Return what names have in common that some file systems take for the same."""
    if name.isascii():
        return name.lower()
    import unicodedata

    return unicodedata.normalize("NFC", name).casefold()


def _shorten(text: str, most: int) -> str:
    """Return as many of the first characters as have no more than ``most`` bytes in a name."""
    while len(os.fsencode(text)) > most:
        text = text[:-1]
    return text


def make_folder(folder: str) -> None:
    """Make a folder and those above it, where they aren't there.

    Raises:
        OutputError: it can't be made.

    """
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        from edge.rights import advice  # where it can be made, none is needed

        way_out = advice(folder, error, write=True)
        raise OutputError(
            f"{printable(folder)}: can't be made a folder: {error.strerror}{way_out}"
        ) from error
