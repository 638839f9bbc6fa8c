"""What the command line names as pictures: files, folders, patterns, standard input."""

from __future__ import annotations

import errno
import os
from itertools import takewhile
from typing import TYPE_CHECKING

from .errors import PictureError
from .files import printable
from .leftout import LeftOut, is_hidden, was_annotated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png")


def expand(
    sources: Sequence[str],
    *,
    leave_out: str | None = None,
    tell: Callable[[str], object] | None = None,
) -> Iterator[str | PictureError]:
    """Yield the path of each picture, in order; an error where a source holds none.

    A folder gives the JPEG and PNG files in it and below it, sorted by path.  Links to folders are
    followed, and each folder is entered once.  Left out are hidden and system names, pictures that
    this package annotated, and ``leave_out``.  A folder that can't be read is an error in its
    place.  A name that doesn't exist and has a wildcard in it is a pattern (``**`` goes through
    folders): whatever fits it is taken, but for the same that is left out of a folder.  Anything
    else is passed on as it is: opening it will tell.

    Args:
        sources: files, folders and patterns; ``"-"`` is standard input.
        leave_out: a folder below a source that is no input: where results are written.
        tell: called at the end, once, with a line that says what was left out, if anything was.

    """
    total = LeftOut()
    output = _identity(leave_out) if leave_out and os.path.isdir(leave_out) else None
    for source in sources:
        left = LeftOut()
        if source != "-" and os.path.isdir(source):
            found, none = _walk(source, left, output), "no JPEG or PNG in this folder"
        elif source == "-" or os.path.lexists(source) or not any(map(source.count, "*?[")):
            yield source
            continue
        else:
            found, none = _match(source, left, output), "no file fits this pattern"
        count = 0
        for count, path in enumerate(found, 1):  # noqa: B007 - counted, and yielded as it comes
            yield path
        if count or (left.is_results and len(sources) > 1):
            total.add(left)
        else:
            yield _error(source, f"{none}{left.text('; left out: ')}{left.advice()}")
    if tell and (text := total.text("left out: ")):
        tell(text)


def _walk(
    top: str,
    left: LeftOut,
    output: tuple[int, int] | None,
    pattern: Sequence[str] = (),
) -> Iterator[str | PictureError]:
    """Yield the files below a folder that fit a pattern, or the pictures if there is none."""
    seen: set[tuple[int, int]] = set()
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            identity = _identity(folder)
        except OSError as error:
            yield _unreadable(folder, error)
            continue
        if identity == output:
            left.is_results = folder == top
            if folder != top:
                left.counts[f"folder of results ({printable(folder)})"] += 1
                continue
        # Some network disks number nothing: there every folder is 0.
        if identity in seen and identity[1]:
            continue
        seen.add(identity)
        names, below, bad = _list(folder, top, left, pattern)
        yield from bad
        for path in (os.path.join(folder, name) for name in sorted(names)):
            if was_annotated(path):
                left.counts["annotated by us"] += 1
            else:
                yield path
        folders += (os.path.join(folder, name) for name in sorted(below, reverse=True))


def _list(
    folder: str, top: str, left: LeftOut, pattern: Sequence[str]
) -> tuple[list[str], list[str], list[PictureError]]:
    """Return the names of files and of folders in a folder, and what can't be told apart."""
    names: list[str] = []
    below: list[str] = []
    bad: list[PictureError] = []
    above = os.path.relpath(folder, top).split(os.sep) if pattern and folder != top else []
    try:
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                name = entry.name
                if is_hidden(name, pattern):
                    left.counts["hidden"] += 1
                    continue
                try:
                    is_folder = entry.is_dir()
                except OSError as error:  # a link that goes round, or into a folder of another
                    bad.append(_unreadable(os.path.join(folder, name), error))
                    continue
                if is_folder:
                    if not (entry.is_symlink() and _comes_anyway(entry.path, top, pattern)):
                        below.append(name)
                elif _fits([*above, name], pattern) if pattern else _is_picture(name):
                    names.append(name)
                elif not pattern:
                    left.add_kind(entry)
    except OSError as error:  # what was listed until then is taken
        bad.append(_unreadable(folder, error))
    return names, below, bad


def _match(
    pattern: str, left: LeftOut, output: tuple[int, int] | None
) -> Iterator[str | PictureError]:
    """Yield the files that fit a pattern."""
    import glob  # not needed by most calls

    parts = pattern.split(os.sep)
    # glob's own ** would go round with links that do.
    deep = parts.index("**") if "**" in parts else len(parts)
    head, tail = os.sep.join(parts[:deep]), parts[deep:]
    if deep == 1 and not head:
        head = os.sep
    literal = os.sep.join(takewhile(lambda part: not glob.has_magic(part), parts))
    if os.path.isdir(literal) and not os.access(literal, os.R_OK | os.X_OK):
        yield _unreadable(literal, PermissionError(errno.EACCES, os.strerror(errno.EACCES)))
        return
    # A folder that the pattern names is meant, as one that is named without a pattern is.
    results = output if glob.has_magic(os.path.dirname(head)) else None
    for path in sorted(glob.iglob(head)) if head else [""]:
        if any(is_hidden(name, parts) for name in path.split(os.sep)):
            left.counts["hidden"] += 1
        elif tail:
            if os.path.isdir(path or "."):
                yield from _walk(path, left, output, tail)
        elif os.path.isfile(path):
            if was_annotated(path):
                left.counts["annotated by us"] += 1
            elif results and _identity(os.path.dirname(path)) == results:
                left.counts["in the folder of results"] += 1
            else:
                yield path


def _fits(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Tell whether the names of a path fit the parts of a pattern; ``**`` is any number of them."""
    from fnmatch import fnmatchcase

    if not pattern:
        return not names
    if pattern[0] == "**":
        return any(_fits(names[skipped:], pattern[1:]) for skipped in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], pattern[0]) and _fits(names[1:], pattern[1:])


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _comes_anyway(link: str, top: str, pattern: Sequence[str]) -> bool:
    """Tell whether the folder that a link leads to is below ``top``, and entered under its name."""
    target, root = os.path.realpath(link), os.path.realpath(top)
    below = os.path.relpath(target, root).split(os.sep)
    return below[0] != os.pardir and not any(is_hidden(name, pattern) for name in below)


def _identity(folder: str) -> tuple[int, int]:
    about = os.stat(folder or ".")
    return about.st_dev, about.st_ino


def _error(path: str, text: str) -> PictureError:
    error = PictureError(f"{printable(path)}: {text}")
    error.path = path
    return error


def _unreadable(path: str, error: OSError) -> PictureError:
    if isinstance(error, PermissionError):
        import shlex

        way_out = f'; if it is yours: sudo chown -R "$USER" {shlex.quote(path)}'
    else:
        way_out = "; check the disk, or leave it out"
    return _error(path, f"can't be read: {error.strerror}{way_out}")
