"""What of a folder is no input: hidden names, systems' own, our results; and how it is counted."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from edge.files import printable
from edge.picture.comment import is_ours

if TYPE_CHECKING:
    from collections.abc import Sequence

_SYSTEM = frozenset(
    (
        *("$recycle.bin", "recycler", "system volume information", "found.000", "thumbs.db"),
        *("ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),  # Windows
        *("__macosx", "network trash folder", "temporary items", "icon\r"),  # macOS
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", "~snapshot"),
        *("lost+found", "lost.dir"),  # Linux, Android
    )
)
"""What systems and network disks put into every folder, in lower case; beside any ``.name``."""
JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
_OTHER_PICTURES = (
    *(".heic", ".heif", ".avif", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".jp2", ".jxl"),
    *(".dng", ".raw", ".cr2", ".cr3", ".nef", ".arw", ".dcm", ".dicom", ".psd", ".pdf"),
)
_ENDINGS_TOLD = 5


class LeftOut:
    """What was left out, counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.endings: Counter[str] = Counter()
        self.is_given = False
        """The source itself is the folder of results or of ours, as a shell's ``*`` names it."""

    def add(self, other: LeftOut) -> None:
        """Count what another has counted, too."""
        self.counts += other.counts
        self.endings += other.endings

    def add_kind(self, entry: os.DirEntry[str]) -> None:
        """Count a file whose name is no picture's, by its ending."""
        if entry.is_symlink() and not os.path.exists(entry.path):
            self.counts["linked to nothing"] += 1
        else:
            ending = os.path.splitext(entry.name)[1].lower().rstrip(".")
            self.endings[printable(ending)[:12] or "without an ending"] += 1

    def text(self, start: str) -> str:
        """Return all of it as one line behind ``start``; empty if nothing was left out."""
        parts = [f"{count} {what}" for what, count in sorted(self.counts.items())]
        if self.endings:
            by_count = sorted(self.endings.items(), key=lambda each: (-each[1], each[0]))
            most = by_count[:_ENDINGS_TOLD]
            told = ", ".join(f"{count} {ending}" for ending, count in most)
            more = ", ..." if len(self.endings) > len(most) else ""
            parts.append(f"{self.endings.total()} of other kinds ({told}{more})")
        return start + ", ".join(parts) if parts else ""

    def advice(self) -> str:
        """Return what to do about it, where it was all that there is."""
        others = not self.endings.keys().isdisjoint(_OTHER_PICTURES)
        return "; save pictures of other kinds as JPEG or PNG first" if others else ""


def is_hidden(name: str, pattern: Sequence[str]) -> bool:
    """Tell whether a name is hidden or a system's, unless the pattern itself names it."""
    if not (name.startswith(".") or name.lower() in _SYSTEM) or name in (".", ".."):
        return False
    if not pattern:
        return True
    from fnmatch import fnmatchcase  # only patterns need it

    return not any(fnmatchcase(name, part) for part in pattern if part[:1] not in ("*", "?"))


def was_annotated(path: str) -> bool:
    """Tell whether a picture is one that this package annotated; only JPEGs' names are opened."""
    return path.lower().endswith(JPEG_SUFFIXES) and is_ours(path)
