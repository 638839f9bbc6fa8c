"""What runs in each worker's process: one analyzer on one thread, and threads that read ahead."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import cv2
import pyarrow as pa

from edge.analyzer import Analyzer, without_frames
from edge.cli.printer import Done
from edge.errors import LesionEdgeError, ModelError
from edge.files import printable
from edge.parallel import map_ordered
from edge.picture.decode import decode, within_memory

from .parts import Parts, text, to_table
from .pictures import STORES, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

READERS = 16
"""Threads of a worker that wait for an object store: 64 pictures are on their way at once."""
_MANY_REGIONS = 20_000
"""So many are made into a table at once: as Python's objects they take twenty times the memory."""


def open_analyzer(settings: Mapping[str, Any]) -> Analyzer:
    """Return an analyzer on one thread.

    Raises:
        ModelError: see :class:`edge.analyzer.Analyzer`.

    """
    cv2.setNumThreads(1)
    return Analyzer(**settings, threads=1)


def answers_key(analyzer: Analyzer) -> str:
    """Return what the answers depend on, as 12 hexadecimal digits: model, rule, segmentation."""
    rule = analyzer.rule
    model = list(analyzer.identity.values())
    parts = (model, analyzer.segmentation, rule.threshold, rule.uncertain, rule.operating_point)
    return sha256(json.dumps(parts).encode()).hexdigest()[:12]


class Worker:
    """Analyses the pictures of one part after the other and writes each part's rows.

    Args:
        settings: those of the analyzer.
        key: the :func:`answers_key` that its answers must have.
        folder: where the parts are.
        options: those of the object store that has the pictures.

    Raises:
        ModelError: this machine's model or package isn't the one that the run began with.

    """

    def __init__(self, settings: Mapping[str, Any], key: str, folder: str, options: str) -> None:
        self._analyzer = open_analyzer(settings)
        if answers_key(self._analyzer) != key:
            raise ModelError(
                f"{os.uname().nodename}: its model isn't that of the machine that began;"
                " install the same model and package on every node"
            )
        self._parts, self._options = Parts(folder), options

    def __call__(self, part: pa.Table) -> pa.Table:
        """Return the labels of a part's pictures, once their rows are written; null: it failed.

        Args:
            part: the column ``name`` has their names, as the file system's bytes.

        """
        names = [os.fsdecode(name) for name in part["name"].to_pylist()]
        labels: list[str | None] = []
        tables, rows, regions = [], [], 0
        for row in self._rows(names):
            labels.append(row.get("label"))
            rows.append(row)
            regions += len(row.get("regions", ()))
            if regions > _MANY_REGIONS:
                tables.append(to_table(rows))
                rows, regions = [], 0
        self._parts.write(names, pa.concat_tables([*tables, to_table(rows)]))
        return pa.table({"label": pa.array(labels, pa.string())})

    def _rows(self, names: list[str]) -> Iterator[dict[str, Any]]:
        fetch = partial(_fetch, options=self._options)
        stored = any(name.startswith(STORES) for name in names)
        fetched: Iterator[tuple[str, bytes | LesionEdgeError, float]] = map(fetch, names)
        if stored:
            fetched = map_ordered(names, lambda: fetch, workers=READERS)
        for name, data, read_ms in fetched:
            row = Done(text(name), self._analyse(name, data)).to_dict()
            size = None if isinstance(data, LesionEdgeError) else len(data)
            now = datetime.now(timezone.utc)
            row |= {"read_ms": read_ms, "bytes": size, "analysed_at": now}
            if "probabilities" in row:
                row["probabilities"] = list(row["probabilities"].items())
            yield {**row, "image": text(name), "model": self._analyzer.identity}

    def _analyse(self, name: str, data: bytes | LesionEdgeError) -> Any:
        try:
            if isinstance(data, LesionEdgeError):
                raise data
            started = time.perf_counter()
            with within_memory(name):
                picture = decode(data, printable(name))
            ms = (time.perf_counter() - started) * 1e3
            return self._analyzer.analyze_decoded(replace(picture, decode_ms=ms, name=name))
        except LesionEdgeError as error:
            return without_frames(error)


def _fetch(name: str, options: str) -> tuple[str, bytes | LesionEdgeError, float]:
    """Return a picture's bytes, or why there are none, and how long that took in milliseconds."""
    started = time.perf_counter()
    data: bytes | LesionEdgeError
    try:
        data = read(name, options)
    except LesionEdgeError as error:
        data = error
    return name, data, (time.perf_counter() - started) * 1e3
