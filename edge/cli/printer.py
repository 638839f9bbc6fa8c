"""What became of a picture, and how it is told on standard output: a line of text, or JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.errors import LesionEdgeError, OutputError

from .output import write_line
from .terminal import say

if TYPE_CHECKING:
    from edge.results import Analysis

    from .lines import Lines


@dataclass(slots=True)
class Done:
    """A picture's path, what became of it, and what was made or could not be."""

    path: str
    result: Analysis | LesionEdgeError
    saved: str | None = None
    not_saved: OutputError | None = None
    thumbnail: bytes | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the line that --json prints."""
        if isinstance(self.result, LesionEdgeError):
            return {"image": self.path, "error": self.result.to_dict()}
        line = self.result.to_dict()
        if self.not_saved:
            line["error"] = self.not_saved.to_dict()
        return {**line, "saved": self.saved} if self.saved else line


class Printer:
    """Prints results as they come.

    Args:
        lines: makes the lines, and counts.
        as_json: JSON Lines rather than text.
        keep_on: whether the run goes on where nothing can be printed any more.

    """

    def __init__(self, lines: Lines, *, as_json: bool, keep_on: bool) -> None:
        self._lines, self._json, self._keep_on = lines, as_json, keep_on
        self.broken: OSError | None = None
        """Why nothing can be printed."""
        self.unsaved = 0
        """How many annotated pictures could not be written."""

    def tell(self, done: Done) -> None:
        """Print a result, and why its annotated picture could not be written."""
        self._lines.count(done.result)
        if self._json:
            self._write(json.dumps(done.to_dict()))
        elif isinstance(done.result, LesionEdgeError):
            say(f"edge.run: {done.result}")
        else:
            self._write(self._lines.result(done.result, done.saved))
        if done.not_saved:
            self.unsaved += 1
            if not self._json:
                say(f"edge.run: {done.not_saved}")

    def _write(self, text: str) -> None:
        try:
            write_line(text)
        except (BrokenPipeError, OutputError) as error:
            if not self._keep_on:
                raise
            self.broken = self.broken or error
