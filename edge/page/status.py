"""How camera, disk, model and page are doing, as plain JSON types."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from edge.camera.notify import health
from edge.camera.supervisor import State
from edge.results import NOTICE

if TYPE_CHECKING:
    from edge.analyzer import Analyzer
    from edge.camera.loop import SnapshotLoop
    from edge.camera.store import Store

    from .live import Live

_STALE_S = 2.0


async def short(loop: SnapshotLoop, store: Store | None, live: Live) -> dict[str, Any]:
    """Return what stands over the live picture; ``frame`` is None while nobody looks."""
    status, frame = loop.status, None
    view, age_s = await live.view(), live.age_s
    if view is not None and age_s is not None:
        frame = {
            "state": "stale" if age_s > _STALE_S else view.state,
            "sharpness": round(view.sharpness, 3),
            "age_ms": round(age_s * 1e3),
            "size": list(view.size_wh),
        }
    if status.camera is not State.RUNNING:
        frame = (frame or {"sharpness": 0.0, "age_ms": None, "size": None}) | {"state": "lost"}
    return {
        "frame": frame,
        "status": {
            "camera": status.camera.value,
            "reason": status.reason or None,
            "snapshots": status.counts.get("snapshots", 0),
            "captures": status.counts.get("captures", 0),
            "not_saving": store and store.reason,
        },
    }


def full(loop: SnapshotLoop, analyzer: Analyzer, store: Store | None, live: Live) -> dict[str, Any]:
    """Return all there is to know, as a status file has it, and more."""
    contract, rule = analyzer.contract, analyzer.rule
    disk: dict[str, int] | None = None
    if store is not None and store.reason is None:
        usage = shutil.disk_usage(store.folder)
        disk = {"free": usage.free, "total": usage.total}
    return health(loop.status, store) | {
        "disk": disk,
        "model": {
            **contract.identity(),
            "labels": list(contract.labels),
            "positive": contract.positive,
            "threshold": rule.threshold,
            "uncertain": rule.uncertain,
            "operating_point": rule.operating_point,
            "segmentation": analyzer.segmentation,
        },
        "lookers": live.lookers,
        "notice": NOTICE,
    }
