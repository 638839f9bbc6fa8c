"""Runs a command's work, and ends as every command does: one line, and an exit status."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge.errors import LesionEdgeError
from edge.picture.limits import limit_opencv

from .terminal import open_streams, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def needing_extra(name: str, what: str) -> Iterator[None]:
    """Import what an extra of the package brings; where it isn't installed, name the pip command.

    Args:
        name: the extra's.
        what: needs it, such as "--page".

    Raises:
        LesionEdgeError: a package that isn't ours is missing.

    """
    try:
        yield
    except ModuleNotFoundError as error:
        if str(error.name).startswith("edge"):
            raise
        from edge.libraries import extra

        missing = f"{error.name} is missing, which {what} needs: {extra(name)}"
        raise LesionEdgeError(missing) from error


def run(name: str, work: Callable[[], int]) -> int:
    """Return the exit status of ``work``, or of what it raised, told in one line.

    What loads numpy, OpenCV or a TFLite runtime is to be imported within ``work``: where that
    fails, the line says which package is missing.  Anything else that isn't ours is raised on.

    Args:
        name: what the line begins with, such as "edge.run".
        work: parses the arguments and does what they ask for.

    """
    open_streams()
    limit_opencv()
    try:
        return work()
    except LesionEdgeError as error:
        say(f"{name}: {error}")
        return error.exit_status
    except KeyboardInterrupt:
        say(f"{name}: interrupted")
        return 130
    except MemoryError:
        say(f"{name}: not enough memory is free")
        return 1
    except BrokenPipeError:  # whoever read our output has enough
        return 1
    except Exception as error:
        from edge.libraries import explain_start

        reason = explain_start(error)
        if reason is None:
            raise
        say(f"{name}: {reason}")
        return 1
