"""The machine's own clock and threads, as the loop uses them."""

from __future__ import annotations

import queue
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class _SystemMailbox:
    def __init__(self) -> None:
        # Its put() is reentrant: a signal handler may call it whatever this thread is doing.
        # An Event's set() could wait for a lock that the interrupted code holds.
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def put(self, message: Any) -> None:
        self._queue.put(message)

    def get(self, timeout_s: float | None) -> Any:
        try:
            return self._queue.get(timeout=None if timeout_s is None else max(0.0, timeout_s))
        except queue.Empty:
            return None


class SystemClock:
    """The machine's own time."""

    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)
    mailbox = staticmethod(_SystemMailbox)

    def utc(self) -> datetime:
        """Return the wall clock's time."""
        return datetime.now(timezone.utc)

    def start(self, work: Callable[[], None]) -> None:
        """Run ``work`` on a daemon thread: one that hangs must not keep the process alive."""
        threading.Thread(target=work, name="camera", daemon=True).start()
