"""What the report and the table share: a file that is written as results come."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from edge.cli.naming import make_folder
from edge.cli.sources import GONE
from edge.errors import OutputError
from edge.files import printable, replacing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.errors import LesionEdgeError


class GrowingFile:
    """Takes text and hands it to the system at once, as UTF-8."""

    at_end: Callable[[bool], None] | None = None
    """Writes what comes last; told whether the run ended early."""
    failed = False
    """Something could not be written."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self._name, self._stream = name, stream

    def write(self, text: str) -> None:
        """Write ``text``.

        Raises:
            OutputError: it can't be written.

        """
        try:
            self._stream.write(text.encode())
            self._stream.flush()
        except OSError as error:
            self.failed = True
            raise _not_written(self._name, error) from error


@contextmanager
def growing_file(path: str, *endings: str) -> Iterator[GrowingFile]:
    """Yield what becomes the file ``path`` when the block ends.

    Where the block ends early, by Ctrl-C or any error but one of writing, the file gets its end
    and its name all the same: what was done is not lost.  Where it can't be written, what was
    there before stays as it was.

    Args:
        path: the file; its folder is made if it isn't there.
        endings: what its name may end in, in small letters.  A shell that puts a picture's name
            behind the option, as ``--report *.jpg`` does, must not cost that picture.

    Raises:
        OutputError: it can't be written, or it is no name for such a file.

    """
    name = printable(path)
    if not path.lower().endswith(endings):
        raise OutputError(f"{name}: choose a name that ends in {' or '.join(endings)}")
    if os.path.lexists(path) and not os.path.isfile(path):  # a folder, a device, a broken link
        raise OutputError(f"{name}: exists and is not an ordinary file; choose another name")
    try:
        folder = os.path.dirname(os.path.abspath(path))
    except FileNotFoundError as error:
        raise OutputError(f"{name}: can't be written: {GONE}") from error
    make_folder(folder)
    early: BaseException | None = None
    try:
        with replacing(path) as stream:
            file = GrowingFile(name, stream)
            try:
                yield file
            except BaseException as error:
                if file.failed:
                    raise
                early = error
            if file.at_end:
                file.at_end(early is not None)
    except OutputError:
        raise
    except OSError as error:
        from edge.rights import advice  # where it can be written, none is needed

        written = _not_written(name, error)
        raise OutputError(f"{written}{advice(folder, error, write=True)}") from error
    if early is not None:
        raise early


def reason(name: str, error: LesionEdgeError) -> str:
    """Return an error's message, one line, without the picture's name if it begins with that."""
    return printable(str(error)).removeprefix(f"{printable(name)}: ")


def _not_written(name: str, error: OSError) -> OutputError:
    return OutputError(f"{name}: can't be written: {error.strerror or error}")
