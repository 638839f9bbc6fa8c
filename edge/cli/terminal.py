"""What a person sees on standard error while a command works, and streams that are closed."""

from __future__ import annotations

import io
import os
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUIET_S, _TTY_STEP_S, _LOG_STEP_S = 2.0, 0.1, 10.0


def open_streams() -> None:
    """See to it that descriptors 0, 1 and 2 are open, as the first thing that a command does.

    A file that is opened while one of them is closed would get its number, and what native code
    or another program writes there would go into that file.  What was closed leads to nowhere.
    ``sys.stdout`` stays None: a command without it can't give its answer, and says so.  Where it
    is there, printing never fails for a name that is text in no encoding.
    """
    # The lowest free number is given first (POSIX, open).
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(opened, True)  # noqa: FBT003 - as a shell hands it on
    os.close(opened)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - for as long as the process lives
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def say(text: str) -> None:
    """Print a line to standard error; where that can't be written, answers matter more."""
    with suppress(OSError):
        print(text, file=sys.stderr, flush=True)


class Progress:
    """A counter that shows itself once the work has taken two seconds.

    On a terminal it is one line that is written over; elsewhere a line every ten seconds.  Where
    the total is known, it says how long the rest will take at the pace so far.
    """

    def __init__(self, what: str, total: int | None = None, stream: TextIO | None = None) -> None:
        self._what, self._total = what, total
        self._stream = stream or sys.stderr
        self._tty = self._stream.isatty()
        self._started = time.monotonic()
        self._next = self._started + _QUIET_S
        self._width = 0

    def update(self, done: int) -> None:
        """Say that ``done`` pieces of work are done."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (_TTY_STEP_S if self._tty else _LOG_STEP_S)
        text = f"{self._what} {done}"
        if self._total:
            text += f" of {self._total}"
            if 0 < done < self._total:
                left = (now - self._started) * (self._total / done - 1)
                text += f", about {_duration(left)} left"
        self._write(f"\r{text.ljust(self._width)}" if self._tty else f"{text}\n")
        self._width = len(text)

    def clear(self) -> None:
        """Take the line away, so that another can be written."""
        if self._tty and self._width:
            self._write("\r" + " " * self._width + "\r")
            self._width = 0

    def _write(self, text: str) -> None:
        with suppress(OSError):  # a full disk must not end the work
            self._stream.write(text)
            self._stream.flush()


def _duration(seconds: float) -> str:
    """Return a length of time in the largest unit of which it has two: "90 s", "2 min", "3 h"."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


@contextmanager
def quiet_native_stderr(into: BinaryIO | None = None) -> Iterator[None]:
    """Divert what native code writes to file descriptor 2, such as a library's greeting.

    Python's ``sys.stderr`` goes on reaching the terminal.  For a process of ours (a command, not
    a library): the descriptor belongs to all threads.

    Args:
        into: the open file that receives it; None drops it.

    """
    open_streams()
    with suppress(OSError):
        sys.stderr.flush()
    kept = os.dup(2)
    target = os.open(os.devnull, os.O_WRONLY) if into is None else os.dup(into.fileno())
    python_stderr = sys.stderr
    sys.stderr = open(os.dup(kept), "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    try:
        os.dup2(target, 2)
        yield
    finally:
        with suppress(OSError):
            sys.stderr.close()
        sys.stderr = python_stderr
        os.dup2(kept, 2)
        os.close(kept)
        os.close(target)
