"""Findings: what a check found, and how to put it right.

Nothing here needs numpy, OpenCV or a TFLite runtime to be there: finding that out is the point.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from edge.cli.output import write_line
from edge.files import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

Level: TypeAlias = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    """What was looked at: one word, such as "model"."""
    level: Level
    message: str
    """One line."""
    fix: str | None = None
    """A command that puts it right, or a sentence where no command does."""


def failed(findings: Sequence[Finding]) -> bool:
    """Return whether any finding is "failed"."""
    return any(finding.level == "failed" for finding in findings)


def print_findings(findings: Sequence[Finding], *, as_json: bool = False) -> None:
    """Print findings to standard output: a line each with its fix below, or one JSON object.

    The object is ``{"ok": whether none failed, "findings": [{"check", "level", "message", "fix"},
    ...]}``.

    Raises:
        BrokenPipeError: whoever read our output is gone.
        OutputError: standard output can't be written.

    """
    if as_json:
        document = {"ok": not failed(findings), "findings": [asdict(each) for each in findings]}
        write_line(json.dumps(document))
        return
    width = max((len(finding.check) for finding in findings), default=0)
    for each in findings:
        write_line(f"{each.level:<8} {each.check:<{width}}  {printable(each.message)}")
        if each.fix:
            write_line(f"{'':<8} {'':<{width}}  fix: {printable(each.fix)}")
