"""Reads a folder of snapshots while a loop writes to it: thousands of them, and quickly."""

from __future__ import annotations

import csv
import io
import json
import os
import threading
import zipfile
from collections import Counter
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import cv2

from edge.analyzer import read_picture
from edge.camera.store import LOG_NAME, PICTURE_NAME
from edge.errors import PictureError
from edge.files import open_regular, read_bounded
from edge.picture.comment import read_comment
from edge.picture.limits import MAX_BYTES
from edge.report.table import cell

if TYPE_CHECKING:
    from collections.abc import Iterator

_THUMBNAIL_SIDE = 240
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 78)
_COLUMNS = ("name", "captured_at", "label", "probability", "threshold", "frame_state")
_SAID = ("note", "place")


@dataclass(frozen=True, slots=True)
class Item:
    """A picture of the folder, as its line tells of it."""

    name: str
    captured_at: str
    label: str
    probability: float
    threshold: float | None
    frame_state: str
    note: str
    place: str

    @property
    def day(self) -> str:
        """Its day in UTC, as in 20260131."""
        return self.name[9:17]


class History:
    """The pictures of a folder that have a line in a day's log.  Any thread may use it.

    Logs are read once and then only as they grow; what else is in the folder is left alone.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._one_at_a_time = threading.Lock()
        self._read: dict[str, tuple[int, int]] = {}
        self._items: dict[str, dict[str, Item]] = {}

    def page(self, *, day: str, label: str, before: str, limit: int) -> dict[str, Any]:
        """Return the days there are and some items, the newest first, as plain JSON types.

        Args:
            day: of this day alone, as in 20260131; empty for all.
            label: with this label alone; empty for all.
            before: those that come after the picture of this name; empty from the start.
            limit: how many items.

        """
        items = self.items()
        days = Counter(item.day for item in items)
        chosen = [
            item
            for item in items
            if (not day or item.day == day)
            and (not label or item.label == label)
            and (not before or _place(item.name) < _place(before))
        ]
        shown = chosen[:limit]
        return {
            "days": [{"day": day, "count": count} for day, count in days.items()],
            "labels": sorted({item.label for item in items}),
            "items": [
                asdict(item) | {"thumb": f"/api/history/thumb/{item.name}"} for item in shown
            ],
            "next": shown[-1].name if len(chosen) > limit else None,
        }

    def items(self) -> list[Item]:
        """Return all that are there, the newest first; none where the folder can't be read."""
        with self._one_at_a_time:
            try:
                names = set(os.listdir(self._folder))
            except OSError:
                return []
            logs = set(filter(LOG_NAME.fullmatch, names))
            for gone in self._items.keys() - logs:
                del self._items[gone], self._read[gone]
            for log in logs:
                self._update(log)
            found = [
                item for log in logs for item in self._items[log].values() if item.name in names
            ]
        return sorted(found, key=lambda item: _place(item.name), reverse=True)

    def picture(self, name: str) -> bytes | None:
        """Return the bytes of a picture of ours; None if there is none of this name."""
        path = self._path(name)
        if path is None:
            return None
        try:
            with open_regular(path) as stream:
                return read_bounded(stream, MAX_BYTES)
        except OSError:
            return None

    def thumbnail(self, name: str) -> bytes | None:
        """Return a JPEG whose longer side has 240 pixels; None where there is no such picture."""
        path = self._path(name)
        try:
            return None if path is None else _thumbnail(path)
        except PictureError:
            return None

    def line(self, name: str) -> dict[str, Any] | None:
        """Return what a picture carries as its line; None where there is none."""
        path = self._path(name)
        return None if path is None else read_comment(path)

    def has(self, day: str) -> bool:
        """Tell whether there is a picture of a day."""
        return any(item.day == day for item in self.items())

    def archive(self, day: str) -> Iterator[bytes]:
        """Yield a ZIP file of a day's pictures and a table of them, a piece at a time."""
        table = io.StringIO()
        writer = csv.writer(table)
        writer.writerow((*_COLUMNS, *_SAID))
        out = _Pieces()
        # Pictures are compressed already.
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            for item in reversed(self.items()):
                if item.day == day and (data := self.picture(item.name)) is not None:
                    values = asdict(item).values()
                    writer.writerow(cell(v) if isinstance(v, str) else v for v in values)
                    archive.writestr(item.name, data)
                    yield out.take()
            archive.writestr(f"snapshots-{day}.csv", "\ufeff" + table.getvalue())
        yield out.take()

    def _path(self, name: str) -> str | None:
        path = os.path.join(self._folder, name)
        return path if PICTURE_NAME.fullmatch(name) and not os.path.islink(path) else None

    def _update(self, log: str) -> None:
        """Read what is new in a log; all of it if it is another file than before."""
        items = self._items.setdefault(log, {})
        file, done = self._read.setdefault(log, (0, 0))
        try:
            with open_regular(os.path.join(self._folder, log)) as stream:
                status = os.fstat(stream.fileno())
                if status.st_ino != file or status.st_size < done:
                    items.clear()
                    done = 0
                if status.st_size > done:
                    stream.seek(done)
                    whole, _, _half = stream.read().rpartition(b"\n")
                    for line in whole.splitlines():
                        item = _parse(line)
                        if item is not None:
                            items[item.name] = item
                    done += len(whole) + 1 if whole else 0
                self._read[log] = (status.st_ino, done)
        except OSError:
            return


class _Pieces(io.RawIOBase):
    """A file that is written to and emptied, and can't go back."""

    def __init__(self) -> None:
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._data += data
        return len(data)

    def take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


def _parse(line: bytes) -> Item | None:
    """Return the item of a log's line; None if it has no picture, or is no line of ours."""
    try:
        values = json.loads(line)
        if not PICTURE_NAME.fullmatch(values["saved"]):
            return None
        threshold = values["threshold"]
        return Item(
            name=values["saved"],
            captured_at=str(values["captured_at"]),
            label=str(values["label"]),
            probability=float(values["probability"]),
            threshold=None if threshold is None else float(threshold),
            frame_state=str(values["frame_state"]),
            note=str(values.get("note", "")),
            place=str(values.get("place", "")),
        )
    except (ValueError, TypeError, KeyError):
        return None


def _place(name: str) -> tuple[str, str]:
    """Return what pictures are in order by: the day, then the number, as a clock may go back."""
    return name[9:17], name[-14:-4]


@lru_cache(maxsize=512)  # a file of ours is written once
def _thumbnail(path: str) -> bytes:
    image = read_picture(path).image_bgr
    scale = _THUMBNAIL_SIDE / max(image.shape[:2])
    size_wh = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    small = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, _JPEG)[1].tobytes()
