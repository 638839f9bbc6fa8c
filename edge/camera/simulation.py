"""A scripted camera and a simulated clock, to test a loop without waiting.

clock = SimulatedClock()
camera = ScriptedCamera(clock, [picture, "fail", picture, "hang"])
for snapshot in SnapshotLoop(camera, analyzer, clock=clock):
    ...
"""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from edge.camera.interfaces import Camera
from edge.errors import CameraError, PictureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Step: TypeAlias = "NDArray[np.uint8] | Literal['fail', 'none', 'hang', 'raise', 'damaged']"


class SimulatedClock:
    """Time that stands still while any thread works, then jumps to when the next one wakes.

    A day passes in as long as its work takes.  Threads must wait by this clock alone.
    """

    def __init__(self, utc: datetime = datetime(2026, 1, 1, tzinfo=timezone.utc)) -> None:
        self._changed = threading.Condition()
        self._now = 0.0
        self._utc = utc
        self._working = 1  # the thread that made the clock
        self._waiters: dict[object, float] = {}  # when each wakes

    def monotonic(self) -> float:
        """Return seconds since the clock was made."""
        return self._now

    def utc(self) -> datetime:
        """Return the wall clock's time."""
        return self._utc + timedelta(seconds=self._now)

    def set_wall_clock(self, utc: datetime) -> None:
        """Let the wall clock jump; the monotonic one doesn't notice."""
        self._utc = utc - timedelta(seconds=self._now)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self.wait(lambda: False, seconds)

    def mailbox(self) -> _SimulatedMailbox:
        """Return a new mailbox."""
        return _SimulatedMailbox(self)

    def start(self, work: Callable[[], None]) -> None:
        """Run ``work`` on a daemon thread that this clock waits for."""
        with self._changed:
            self._working += 1

        def run() -> None:
            try:
                work()
            finally:
                with self._changed:
                    self._working -= 1
                    self._jump()

        threading.Thread(target=run, name="simulated", daemon=True).start()

    def wait(self, done: Callable[[], bool], seconds: float | None) -> None:
        """Wait until ``done()``, or for ``seconds`` (None: for ever)."""
        with self._changed:
            wake_at = float("inf") if seconds is None else self._now + max(0.0, seconds)
            while not done() and self._now < wake_at:
                waiter = object()
                self._waiters[waiter] = wake_at
                self._working -= 1
                self._jump()
                while waiter in self._waiters:
                    self._changed.wait()

    def change(self, action: Callable[[], None]) -> None:
        """Do something that others may wait for; they count as working from now on."""
        with self._changed:
            action()
            self._wake_all()

    def _jump(self) -> None:
        # Everyone waits: on to the moment when the first of them wants to go on.
        if self._working == 0 and self._waiters:
            soonest = min(self._waiters.values())
            if soonest < float("inf"):
                self._now = max(self._now, soonest)
                self._wake_all()

    def _wake_all(self) -> None:
        # Counted as working before they run, or time would jump under them; those with nothing
        # to do wait again at once.
        self._working += len(self._waiters)
        self._waiters.clear()
        self._changed.notify_all()


class _SimulatedMailbox:
    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._messages: deque[Any] = deque()

    def put(self, message: Any) -> None:
        self._clock.change(lambda: self._messages.append(message))

    def get(self, timeout_s: float | None) -> Any:
        self._clock.wait(lambda: bool(self._messages), timeout_s)
        return self._messages.popleft() if self._messages else None


class ScriptedCamera(Camera):
    """A camera whose frames and faults are written down.

    Args:
        clock: what its time passes by.
        steps: one for each snapshot that is asked for, then as many plain frames as wanted:
            a picture (height, width, 3) uint8 BGR; ``"fail"``: no frame comes; ``"none"``: no
            frame can be decoded; ``"damaged"``: this one can't; ``"raise"``: the driver raises;
            ``"hang"``: the read doesn't return until :meth:`release`.
        slow_s: how long each read takes, in seconds.

    """

    name = "scripted"
    live = False
    fixed_size = True

    def __init__(
        self, clock: SimulatedClock, steps: Iterable[Step] = (), *, slow_s: float = 0.0
    ) -> None:
        self._clock, self._steps, self._slow_s = clock, iter(steps), slow_s
        self._step: Step | None = None
        self._rng = np.random.default_rng(0)
        self._released = False
        self.absent = False
        """While true, every opening fails."""
        self.opened = self.closed = 0
        self.is_open = False

    def open(self) -> None:
        """Open, unless told to be absent."""
        self.opened += 1
        if self.absent:
            raise CameraError("scripted: absent, as told")
        self.is_open = True

    def grab(self) -> bool:
        """Do the script's next step."""
        self._clock.sleep(self._slow_s)
        if self.absent:
            return False
        self._step = next(self._steps, None)
        if self._step is None:
            self._step = self._rng.integers(60, 200, (120, 160, 3), dtype=np.uint8)
        if not isinstance(self._step, str):
            return True
        if self._step == "hang":
            self._clock.wait(lambda: self._released, None)
        if self._step == "raise":
            raise RuntimeError("the driver is at a loss")
        return self._step in ("none", "damaged")

    def retrieve(self) -> NDArray[np.uint8] | None:
        """Return the step's picture."""
        if isinstance(self._step, str):
            if self._step == "damaged":
                raise PictureError("scripted: damaged, as told")
            return None
        return self._step

    def close(self) -> None:
        """Close."""
        self.closed += self.is_open
        self.is_open = False

    def plug_in(self) -> None:
        """Be there again."""
        self.absent = False

    def release(self) -> None:
        """Let a read that hangs return."""
        self._clock.change(lambda: setattr(self, "_released", True))
