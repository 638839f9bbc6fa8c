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
from edge.model.rule import UNCERTAIN
from edge.results import NOTICE

from .labels import describe_rule, name_some, seen
from .terminal import say

if TYPE_CHECKING:
    from edge.model.contract import Contract
    from edge.model.rule import Rule
    from edge.results import Analysis

_BOLD_YELLOW, _BOLD, _PLAIN = "\033[1;33m", "\033[1m", "\033[0m"
_NAME_LEAST, _NAME_MOST = 16, 48
_REST = 54
"""How much of a terminal's width is left to what stands behind the name."""
_REST_OF_SEVERAL, _LABEL_LEAST = 40, 12
"""The same for more than two labels, but for the labels, and the width that one has at least."""
_COUNTED_MOST = 8
_FOUND = {"otsu": 10, "outline": 12, "both": 24}
"""How wide what was found is, by segmentation."""


class Lines:
    """Makes the lines, and counts.

    Args:
        contract: the model's.
        rule: the one in use.
        stream: where the lines go; whether it is a terminal decides about their form.
        colour: False for none; on a terminal only, and not where NO_COLOR is set (no-color.org).
        segmentation: what is looked for, ``otsu``, ``outline`` or ``both``.

    """

    def __init__(
        self,
        contract: Contract,
        rule: Rule,
        stream: TextIO,
        *,
        colour: bool = True,
        segmentation: str = "otsu",
    ) -> None:
        self._contract, self._rule = contract, rule
        self._two = len(contract.labels) == 2
        self._tty = stream.isatty()
        self._colour = (
            colour
            and self._tty
            and not os.environ.get("NO_COLOR")
            and os.environ.get("TERM") != "dumb"
        )
        columns = (os.get_terminal_size(stream.fileno()).columns or 80) if self._tty else 0
        labels = (*contract.labels, *([UNCERTAIN] if contract.may_be_uncertain(rule) else ()))
        self._label = max(map(len, labels))
        self._found = _FOUND[segmentation]
        rest = _REST
        if not self._two:
            room = (columns - _NAME_MOST - _REST_OF_SEVERAL) // 2
            self._label = min(self._label, max(room, _LABEL_LEAST))
            rest = _REST_OF_SEVERAL + 2 * self._label
        rest += self._found - _FOUND["otsu"]
        self._width = min(max(columns - rest, _NAME_LEAST), _NAME_MOST)
        self._styles = {contract.positive: _BOLD_YELLOW}
        if contract.may_be_uncertain(rule):
            self._styles[UNCERTAIN] = _BOLD
        self._counts: Counter[str] = Counter()
        self.failed = 0
        """How many pictures failed, so far."""

    def result(self, analysis: Analysis, saved: str | None = None) -> str:
        """Return the line of a picture."""
        name = printable(analysis.image)
        time = f"{analysis.timings_ms.total:.1f} ms"
        if self._tty:
            label = self._cut(analysis.label).ljust(self._label)
            if self._colour and (style := self._styles.get(analysis.label)):
                label = f"{style}{label}{_PLAIN}"
            shown = _shorten(name, self._width).ljust(self._width)
            answer = self._answer(analysis)
            found = analysis.found.replace(" of the picture", "").replace(" found", "")
            text = f"{shown}  {label}  {answer}  {found:>{self._found}}  {time:>8}"
        else:
            text = f"{name}: {analysis.label}, {analysis.answer}, {_locate(analysis)}, {time}"
        for warning in analysis.warnings:
            text += f"; warning: {warning}"
        return f"{text} -> {printable(saved)}" if saved else text

    def count(self, result: Analysis | LesionEdgeError) -> None:
        """Count a result for the summary."""
        self.add(None if isinstance(result, LesionEdgeError) else result.label)

    def add(self, label: str | None) -> None:
        """Count a label for the summary; None is a picture that failed."""
        if label is None:
            self.failed += 1
        else:
            self._counts[label] += 1

    @property
    def total(self) -> int:
        """How many were counted."""
        return self._counts.total() + self.failed

    @property
    def labels(self) -> dict[str, int]:
        """How often each label was counted."""
        return dict(self._counts)

    def end(self, seconds: float, before: int = 0) -> None:
        """Say on standard error what was counted, where there was more than one, and the notice.

        Args:
            seconds: what all but the first ``before`` of them took.
            before: how many others were counted.

        """
        done, total = self._counts.total(), self.total
        if total > 1:
            rate = (total - before) / seconds
            rule = describe_rule(self._contract, self._rule, "P {:g}")
            say(
                f"{total} pictures: {self._tally()}, {self.failed} failed; {rule}; "
                f"{rate:.3g} a second, {self._contract.variant}"
            )
        if done:
            say(NOTICE)

    def _tally(self) -> str:
        labels = seen(self._contract, self._rule, self._counts)
        if self._two:
            labels = [*self._contract.labels, *labels[2:]]
        parts = [f"{self._counts[label]} {label}" for label in labels]
        return name_some(parts, _COUNTED_MOST)

    def _answer(self, analysis: Analysis) -> str:
        """Return the probabilities: of more than two labels the first stands beside its label."""
        if self._two:
            return analysis.answer
        (_, first), (label, second) = analysis.shown
        other = f"P({self._cut(label)}) {second}"
        return f"{first}  {other.ljust(self._label + 8)}"

    def _cut(self, label: str) -> str:
        return label if len(label) <= self._label else f"{label[: self._label - 1]}…"


def _locate(analysis: Analysis) -> str:
    """Return what was found and where: the lesion, the largest region."""
    parts = []
    for found, it, which in (
        (analysis.lesion_found, analysis.lesion, ""),
        (analysis.regions_found, next(iter(analysis.regions), None), "largest "),
    ):
        parts += [found] if found else []
        parts += [f"{which}{it.width}x{it.height} at ({it.x}, {it.y})"] if it is not None else []
    return ", ".join(parts)


def _shorten(text: str, most: int) -> str:
    """Return the end of a path, which tells most, in ``most`` characters."""
    return text if len(text) <= most else f"…{text[1 - most :]}"
