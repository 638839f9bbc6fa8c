"""Every error the package raises on purpose: one small tree, and this module imports nothing.

Each error is also the built-in it is a case of, so that code that knows nothing of this package
can still catch it.  The message is one line that names the thing and the way out.
"""

from __future__ import annotations


class LesionEdgeError(Exception):
    """The base of them all."""

    exit_status = 1
    """What a command ends with that can't go on for it."""
    path: str | None = None
    """The picture, folder or pattern that it is about, as it was named; None where there is none.

    The message has it, too, but made printable.
    """

    def to_dict(self) -> dict[str, str]:
        """Return the error as plain JSON types."""
        return {"type": type(self).__name__, "message": str(self)}


class PictureError(LesionEdgeError, ValueError):
    """A picture that is missing, unreadable, damaged, too large or not of a supported kind."""


class ModelError(LesionEdgeError, ValueError):
    """A model file that is missing or damaged, or whose contract the runtime can't honour."""


class RuntimeMissingError(LesionEdgeError, ImportError):
    """No TFLite runtime that works is installed."""

    fix: str | None = None
    """The command that helps most likely; the message has it, too."""


class PredictionError(LesionEdgeError, ArithmeticError):
    """The model gave something that is no probability."""


class CameraError(LesionEdgeError, OSError):
    """A camera that can't be opened, or gives no frame that can be used.

    Args:
        problem: what is wrong.
        fix: how to mend it, where that is known; the message ends with it.

    """

    def __init__(self, problem: str, fix: str | None = None) -> None:
        super().__init__(problem if fix is None else f"{problem}: {fix}")
        self.problem, self.fix = problem, fix


class OutputError(LesionEdgeError, OSError):
    """A result could not be written."""


def shown(value: object) -> str:
    """Return a value that came from a file as one short line: at most 80 characters."""
    # A repr of all of it could take a second and a megabyte.
    text = repr(value[:80] if isinstance(value, str | bytes | list) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
