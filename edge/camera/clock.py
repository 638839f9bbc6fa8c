"""Time and messages between threads, as the loop is handed them: a test hands in its own."""

from __future__ import annotations

import queue
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Mailbox(Protocol):
    """What one thread waits on and others, signal handlers among them, put messages into."""

    def put(self, message: Any) -> None:
        """Add a message; never waits, and may be called from a signal handler."""

    def get(self, timeout_s: float | None) -> Any:
        """Return the oldest message, or None after ``timeout_s`` seconds (None: wait for ever)."""


class Clock(Protocol):
    """Time as the loop sees it."""

    def monotonic(self) -> float:
        """Return seconds that never jump."""

    def utc(self) -> datetime:
        """Return the wall clock's time, which may jump."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def mailbox(self) -> Mailbox:
        """Return a new mailbox whose time-outs are this clock's."""

    def start(self, work: Callable[[], None]) -> None:
        """Run ``work`` on a daemon thread of its own."""


class SystemClock:
    """The machine's own time."""

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return time.monotonic()

    def utc(self) -> datetime:
        """Return the wall clock's time."""
        return datetime.now(timezone.utc)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def mailbox(self) -> Mailbox:
        """Return a new mailbox."""
        return _SystemMailbox()

    def start(self, work: Callable[[], None]) -> None:
        """Run ``work`` on a daemon thread: one that hangs must not keep the process alive."""
        threading.Thread(target=work, name="camera", daemon=True).start()


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
