"""What the command line names as pictures: files, folders, patterns, standard input."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge.errors import PictureError
from edge.files import printable

from .leftout import JPEG_SUFFIXES, LeftOut, is_hidden, was_annotated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

SUFFIXES = (*JPEG_SUFFIXES, ".png")
_ADDRESS = "an address; python -m edge.camera --source takes a camera's, edge.run takes files"
_EMPTY = "an empty name is no picture; if a variable of the shell was to give it, that is empty"
GONE = "the folder that the shell is in was deleted; go to another one with: cd"


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
    else is passed on as it is: opening it will tell.  Only a picture that this package annotated
    is left out among several sources, since a shell's ``*`` names it, too.

    Args:
        sources: files, folders and patterns; ``"-"`` is standard input.
        leave_out: a folder below a source that is no input: where results are written.
        tell: called at the end, once, with a line that says what was left out, if anything was.

    """
    total = LeftOut()
    output = _identity(leave_out) if leave_out and os.path.isdir(leave_out) else None
    empty = True
    for source in sources:
        left = LeftOut()
        pattern: Sequence[str] = ()
        top = source
        if source == "":
            found: Iterable[str | PictureError] = [_error(source, "''", _EMPTY)]
        elif (name := without_secrets(source)) != source:
            found = [_error(name, name, _ADDRESS)]
        elif source == "-" or not (os.path.isdir(source) or _is_pattern(source)):
            found = _named(source, left, alone=len(sources) == 1)
        else:
            if not os.path.isdir(source):
                top, pattern = _split(source)
            found = _walk(top, left, output, pattern)
        count = 0
        for count, path in enumerate(found, 1):  # noqa: B007 - counted, and yielded as it comes
            yield path
        empty &= not count
        if count or (left.is_given and len(sources) > 1):
            total.add(left)
        else:
            none = _nothing(top, pattern)
            yield _error(source, source, f"{none}{left.text('; left out: ')}{left.advice()}")
    if empty and total.counts:
        text = f"no picture to analyse; left out: {total.text('')}"
        yield _error(sources[0], sources[0], f"{text}; to analyse one all the same, name it alone")
        return
    if tell and (text := total.text("left out: ")):
        tell(text)


def without_secrets(source: str) -> str:
    """Return a source as it may be shown: of an address, which may hold a password, the scheme."""
    scheme, mark, _ = source.partition("://")
    return source if not mark or os.path.lexists(source) else f"{printable(scheme)}://..."


def _is_pattern(source: str) -> bool:
    return not os.path.lexists(source) and any(map(source.count, "*?["))


def _named(source: str, left: LeftOut, *, alone: bool) -> Iterator[str]:
    """Yield a file that was named, unless it is one of ours among others, as ``*`` names it."""
    if not alone and source != "-" and was_annotated(source):
        left.is_given = True
        left.counts["annotated by us"] += 1
    else:
        yield source


def _split(source: str) -> tuple[str, list[str]]:
    """Return the folder in which a pattern begins, and the parts of what is below it."""
    import glob  # not needed by most calls

    top = os.sep if source.startswith(os.sep) else ""
    parts = [part for part in source.split(os.sep) if part]
    # A folder may be called fold[1].
    while parts and (not glob.has_magic(parts[0]) or os.path.lexists(os.path.join(top, parts[0]))):
        top = os.path.join(top, parts.pop(0))
    return top, parts


def _nothing(top: str, pattern: Sequence[str]) -> str:
    """Return why a folder or a pattern gave nothing."""
    try:
        os.path.abspath(top)
    except FileNotFoundError:
        return GONE
    if not pattern:
        return "no JPEG or PNG in this folder"
    there = os.path.isdir(top or ".")
    return f"no file fits this pattern{'' if there else f'; no folder {printable(top)}'}"


def _walk(
    top: str, left: LeftOut, output: tuple[int, int] | None, pattern: Sequence[str]
) -> Iterator[str | PictureError]:
    """Yield the files below a folder that fit a pattern, or the pictures if there is none."""
    if pattern and not os.path.lexists(top or "."):
        return
    start = _skip(frozenset((0,)), pattern)
    seen: set[tuple[tuple[int, int], frozenset[int]]] = set()
    folders = [(top, start)]
    while folders:
        folder, places = folders.pop()
        try:
            identity = _identity(folder)
        except OSError as error:
            yield _unreadable(folder, error)
            continue
        if identity == output:
            left.is_given = folder == top
            if folder != top:
                left.counts[f"folder of results ({printable(folder)})"] += 1
                continue
        # Some network disks number nothing: there every folder is 0.
        if (identity, places) in seen and identity[1]:
            continue
        seen.add((identity, places))
        names, below, bad = _list(folder, top, left, pattern, places)
        yield from bad
        for path in (os.path.join(folder, name) for name in sorted(names)):
            if was_annotated(path):
                left.counts["annotated by us"] += 1
            else:
                yield path
        folders += ((os.path.join(folder, name), below[name]) for name in sorted(below)[::-1])


def _list(
    folder: str, top: str, left: LeftOut, pattern: Sequence[str], places: frozenset[int]
) -> tuple[list[str], dict[str, frozenset[int]], list[PictureError]]:
    """Return the names of files and of folders in a folder, and what can't be told apart."""
    names: list[str] = []
    below: dict[str, frozenset[int]] = {}
    bad: list[PictureError] = []
    try:
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                name = entry.name
                then = _step(places, name, pattern)
                if pattern and not then:
                    continue
                if is_hidden(name, pattern):
                    left.counts["hidden"] += 1
                    continue
                try:
                    is_folder = entry.is_dir()
                except OSError as error:  # a link that goes round, or into a folder of another
                    bad.append(_unreadable(os.path.join(folder, name), error))
                    continue
                if is_folder:
                    leads = not pattern or any(place < len(pattern) for place in then)
                    if leads and not (
                        entry.is_symlink() and _comes_anyway(entry.path, top, pattern, then)
                    ):
                        below[name] = then
                elif len(pattern) in then if pattern else _is_picture(name):
                    names.append(name)
                elif not pattern:
                    left.add_kind(entry)
    except OSError as error:  # what was listed until then is taken
        bad.append(_unreadable(folder, error))
    return names, below, bad


def _step(places: frozenset[int], name: str, pattern: Sequence[str]) -> frozenset[int]:
    """Return at which parts of a pattern a path may be behind ``name``; the last one: it fits.

    Args:
        places: where it may be before.
        name: the path's next name.
        pattern: the parts; ``**`` is any number of names.

    """
    if not pattern:
        return places
    from fnmatch import fnmatchcase

    after = set()
    for place in places:
        part = pattern[place] if place < len(pattern) else None
        if part == "**":
            after.add(place)
        elif part is not None and fnmatchcase(name, part):
            after.add(place + 1)
    return _skip(frozenset(after), pattern)


def _skip(places: frozenset[int], pattern: Sequence[str]) -> frozenset[int]:
    """Return the places and those behind each ``**``, which may be no name at all."""
    after = set(places)
    for place, part in enumerate(pattern):
        if place in after and part == "**":
            after.add(place + 1)
    return frozenset(after)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _comes_anyway(link: str, top: str, pattern: Sequence[str], places: frozenset[int]) -> bool:
    """Tell whether the folder that a link leads to is entered under its own name, to the same."""
    target, root = os.path.realpath(link), os.path.realpath(top)
    below = os.path.relpath(target, root).split(os.sep)
    if below[0] == os.pardir or any(is_hidden(name, pattern) for name in below):
        return False
    there = _skip(frozenset((0,)), pattern)
    for name in below:
        there = there if name == os.curdir else _step(there, name, pattern)
    return there == places


def _identity(folder: str) -> tuple[int, int]:
    about = os.stat(folder or ".")
    return about.st_dev, about.st_ino


def _error(path: str, name: str, text: str) -> PictureError:
    error = PictureError(f"{printable(name)}: {text}")
    error.path = path
    return error


def _unreadable(path: str, error: OSError) -> PictureError:
    from edge.rights import advice  # where all can be read, none is needed

    way_out = advice(path, error) or "; check the disk, or leave it out"
    return _error(path, path, f"can't be read: {error.strerror}{way_out}")
