"""What was captured or uploaded and waits for a person to keep or discard it."""

from __future__ import annotations

import os
import secrets
import threading
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import cv2

from edge.camera.frames import Frame
from edge.camera.snapshot import Snapshot
from edge.drawing import encode_annotated
from edge.errors import OutputError
from edge.picture.decode import decode

if TYPE_CHECKING:
    from edge.analyzer import Analyzer
    from edge.camera.store import Store

_MOST, _MOST_BYTES = 8, 250_000_000
"""How many wait, and of how many bytes of pixels; the oldest go, but never the newest."""


class Captures:
    """Snapshots in memory, by identifier, until each is kept or discarded.

    Args:
        store: where they are kept; None keeps none.

    """

    def __init__(self, store: Store | None) -> None:
        self._store = store
        self._waiting: dict[str, Snapshot] = {}
        self._one_at_a_time = threading.Lock()

    def add(self, snapshot: Snapshot) -> dict[str, Any]:
        """Take a snapshot in; return it as plain JSON types, with where its pictures are."""
        identifier = secrets.token_hex(8)
        with self._one_at_a_time:
            self._waiting[identifier] = snapshot
            while len(self._waiting) > 1 and (
                len(self._waiting) > _MOST or self._bytes() > _MOST_BYTES
            ):
                del self._waiting[next(iter(self._waiting))]
        return self._tell(identifier, snapshot)

    def tell(self, identifier: str) -> dict[str, Any] | None:
        """Return what :meth:`add` did; None if there is no such capture."""
        snapshot = self._waiting.get(identifier)
        return None if snapshot is None else self._tell(identifier, snapshot)

    def _tell(self, identifier: str, snapshot: Snapshot) -> dict[str, Any]:
        answer = snapshot.to_dict() | {
            "id": identifier,
            "state": "pending",
            "picture": f"/api/captures/{identifier}.jpg",
            "plain": f"/api/captures/{identifier}/plain.jpg",
        }
        if (analysis := snapshot.analysis) is not None:
            answer |= {"answer": analysis.answer, "found": analysis.found}
            answer |= {"positive": analysis.positive, "can_keep": self._store is not None}
        return answer

    def picture(self, identifier: str) -> bytes | None:
        """Return a JPEG, annotated if there is an analysis; None if there is no such capture."""
        snapshot = self._waiting.get(identifier)
        if snapshot is None or snapshot.analysis is None:
            return self.plain(identifier)
        return encode_annotated(identifier, snapshot.frame.image_bgr, snapshot.analysis)

    def plain(self, identifier: str) -> bytes | None:
        """Return a JPEG as it was captured; None if there is none."""
        snapshot = self._waiting.get(identifier)
        if snapshot is None or not snapshot.frame.image_bgr.size:
            return None
        return cv2.imencode(".jpg", snapshot.frame.image_bgr)[1].tobytes()

    def keep(self, identifier: str, note: str, place: str) -> dict[str, Any] | None:
        """Save a capture with what is said about it; return its name, None if there is none.

        Raises:
            OutputError: it can't be saved; it still waits.

        """
        with self._one_at_a_time:
            snapshot = self._waiting.get(identifier)
            if snapshot is None:
                return None
            if self._store is None or snapshot.analysis is None:
                raise OutputError("nothing was analysed, or this camera saves nothing")
            path = self._store.keep(replace(snapshot, note=note, place=place))
            if path is None:
                raise OutputError(f"can't be saved: {self._store.reason}")
            del self._waiting[identifier]
            return {"name": os.path.basename(path)}

    def discard(self, identifier: str) -> dict[str, Any] | None:
        """Forget a capture; None if there is none."""
        with self._one_at_a_time:
            return None if self._waiting.pop(identifier, None) is None else {}

    def _bytes(self) -> int:
        return sum(each.frame.image_bgr.nbytes for each in self._waiting.values())


def analyze_upload(analyzer: Analyzer, data: bytes, name: str) -> Snapshot:
    """Return the analysis of a file's bytes, as ``edge.run`` analyses the file.

    Raises:
        PictureError: see :func:`edge.picture.decode.decode`.
        PredictionError: the model's output is no probability.

    """
    picture = replace(decode(data, name, fast=analyzer.fast), name=name)
    return Snapshot(
        source=name,
        captured_at=datetime.now(timezone.utc),
        age_ms=0.0,
        frame_state="ok",
        frame=Frame(picture.image_bgr, 0.0, picture.decode_ms, None, picture.warnings),
        analysis=analyzer.analyze(picture),
    )
