"""Results as a person reads them: a line a picture, and one of all at the end.

On a terminal the lines are aligned and the positive label stands out; elsewhere nothing is
shortened, so that a line can be searched and cut.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, TextIO

from edge.errors import LesionEdgeError
from edge.files import printable
from edge.results import NOTICE

from .terminal import say

if TYPE_CHECKING:
    from edge.results import Analysis

_BOLD_YELLOW, _PLAIN = "\033[1;33m", "\033[0m"
_NAME_LEAST, _NAME_MOST = 16, 48
_REST = 54
"""How much of a terminal's width is left to what stands behind the name."""


class Lines:
    """Makes the lines, and counts.

    Args:
        labels: the model's two, the positive one last.
        threshold: the probability from which on it is that one, 0..1.
        stream: where the lines go; whether it is a terminal decides about their form.
        colour: False for none; on a terminal only, and not where NO_COLOR is set (no-color.org).

    """

    def __init__(
        self, labels: tuple[str, str], threshold: float, stream: TextIO, *, colour: bool = True
    ) -> None:
        self._labels, self._threshold = labels, threshold
        self._tty = stream.isatty()
        self._colour = (
            colour
            and self._tty
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM") != "dumb"
        )
        columns = (os.get_terminal_size(stream.fileno()).columns or 80) if self._tty else 0
        self._width = min(max(columns - _REST, _NAME_LEAST), _NAME_MOST)
        self._counts: Counter[str] = Counter()
        self.failed = 0
        """How many pictures failed, so far."""

    def result(self, analysis: Analysis, saved: str | None = None) -> str:
        """Return the line of a picture."""
        name = printable(analysis.image)
        found = analysis.found
        time = f"{analysis.timings_ms.total:.1f} ms"
        if self._tty:
            label = analysis.label.ljust(max(map(len, self._labels)))
            if self._colour and analysis.label == self._labels[1]:
                label = f"{_BOLD_YELLOW}{label}{_PLAIN}"
            shown = _shorten(name, self._width).ljust(self._width)
            text = f"{shown}  {label}  {analysis.answer}  {found:>10}  {time:>8}"
        else:
            if analysis.regions:
                first = analysis.regions[0]
                found += f", largest {first.width}x{first.height} at ({first.x}, {first.y})"
            text = f"{name}: {analysis.label}, {analysis.answer}, {found}, {time}"
        for warning in analysis.warnings:
            text += f"; warning: {warning}"
        return f"{text} -> {printable(saved)}" if saved else text

    def count(self, result: Analysis | LesionEdgeError) -> None:
        """Count a result for the summary."""
        if isinstance(result, LesionEdgeError):
            self.failed += 1
        else:
            self._counts[result.label] += 1

    def end(self, seconds: float) -> None:
        """Say on standard error what was counted, where there was more than one, and the notice."""
        done = self._counts.total()
        total = done + self.failed
        if total > 1:
            parts = ", ".join(f"{self._counts[label]} {label}" for label in self._labels)
            rate = total / seconds
            rule = f"{self._labels[1]} from P {self._threshold:g} on"
            say(f"{total} pictures: {parts}, {self.failed} failed; {rule}; {rate:.3g} a second")
        if done:
            say(NOTICE)


def _shorten(text: str, most: int) -> str:
    """Return the end of a path, which tells most, in ``most`` characters."""
    return text if len(text) <= most else f"…{text[1 - most :]}"
