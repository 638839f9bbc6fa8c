"""Tests of the camera: what each module promises, and the command as a user meets it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from tests.conftest import run_module, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.camera import Snapshot, SnapshotLoop
    from tests.conftest import Run


def run_camera(options: str, *more: str, env: dict[str, str] | None = None, **named: Any) -> Run:
    """Run the command with options as they are typed, and others whose values may hold spaces."""
    words = options.split()
    for name, value in named.items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return run_module("edge.camera", *words, *more, env=env)


def pass_an_outage(
    loop: SnapshotLoop,
    snapshots: Iterator[Snapshot],
    begin: Callable[[], None],
    end: Callable[[], None],
) -> None:
    """Take snapshots from before a fault until the loop is over it; none is of an old frame.

    The fault ends when the loop has seen it, however long that takes.
    """
    failures = loop.status.failures

    def end_it() -> None:
        until(lambda: loop.status.failures > failures)
        end()

    begin()
    threading.Thread(target=end_it, daemon=True).start()
    while loop.status.failures == failures or loop.status.failed_tries:
        snapshot = next(snapshots)
        assert snapshot.analysis is None or snapshot.age_ms < 2000
