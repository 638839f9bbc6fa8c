"""A connection that nobody can hold on to by being slow or silent.

uvicorn waits for ever for a request's header, and for one who takes nothing of an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

HEADER_S = 10.0
"""How long a request's header may take to come."""
STALLED_S = 20.0
"""How long one may take none of what is sent."""
_WAITING_MOST = 48
"""How many connections may be without a request; the oldest goes for a new one."""


class Connection(H11Protocol):
    """HTTP/1.1, with a time limit on all that the other side does."""

    _waiting: ClassVar[dict[Connection, None]] = {}
    """Those without a whole header as yet, the oldest first."""
    _limit: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin: a header is to come."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Take what came; wait no more if that was a whole header."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._wait_no_more()
        elif self.cycle is not None and self.cycle.response_complete:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._wait_no_more()
        self._take_up()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Note that the other side takes nothing."""
        super().pause_writing()
        self._take_up()
        self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that it does again."""
        self._take_up()
        super().resume_writing()

    def _wait(self) -> None:
        if self._limit is None:
            self._limit = self.loop.call_later(HEADER_S, self.transport.abort)
            self._waiting[self] = None
            if len(self._waiting) > _WAITING_MOST:
                next(iter(self._waiting)).drop()

    def drop(self) -> None:
        """Let go of the other side at once."""
        self._wait_no_more()
        self.transport.abort()

    def _wait_no_more(self) -> None:
        self._waiting.pop(self, None)
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _take_up(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
