"""Results on standard output, line by line."""

from __future__ import annotations

import os
import sys

from edge.errors import OutputError


def write_line(text: str) -> None:
    """Print a line at once.

    Raises:
        BrokenPipeError: whoever read our output is gone.
        OutputError: it can't be written, or there is no standard output.

    """
    if sys.stdout is None:  # print would say nothing
        raise OutputError("standard output is closed")
    try:
        print(text, flush=True)
    except OSError as error:
        # The line is still in the buffer, and Python's own flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise OutputError(f"standard output can't be written: {error.strerror}") from error
