"""Say whether pictures can be analysed on this machine, what stands in the way, and the fix."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.cli import command
from edge.cli.arguments import add_model_options, make_parser
from edge.files import printable

from . import machine, software, video
from .finding import Finding, failed, print_findings
from .folder import check_folder

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_MIN_FREE_BYTES = 100_000_000
_EPILOG = """\
exit status: 0 a picture can be analysed (other findings may still be warnings), 1 it can't be,
2 wrong usage.

--json writes one object: {"ok": bool, "findings": [{"check", "level": "ok", "warning" or "failed",
"message", "fix": a command, a sentence or null}, ...]}."""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m edge.doctor") -> int:
    """Run the command and return its exit status."""
    return command.run("edge.doctor", lambda: _work(_parse(arguments, prog)))


def _work(options: argparse.Namespace) -> int:
    findings = examine(options.model, options.out, options.contract)
    print_findings(findings, as_json=options.json)
    return 1 if failed(findings) else 0


def examine(model: str | None, folder: str, contract: str | None) -> list[Finding]:
    """Look at everything; the last finding says whether a picture can be analysed."""
    needed = [
        machine.check_machine(),
        software.check_python(),
        software.check_numpy(),
        *software.check_opencv(),
        software.check_model(model, contract),
        software.check_runtime(model, contract),
    ]
    others = [
        *machine.check_cameras(),
        software.check_picamera2(needed=any(camera.csi for camera in video.cameras())),
        check_folder(folder, _MIN_FREE_BYTES),
        *machine.check_board(),
        machine.check_clock(),
    ]
    # None of these keeps a picture from being analysed.
    warnings = [
        replace(each, level="warning") if each.level == "failed" else each
        for each in others
        if each is not None
    ]
    use = "python -m edge.run PICTURE"
    for option, value in (("--model", model), ("--contract", contract)):
        if value:
            use += f" {option} {printable(shlex.quote(value))}"
    verdict = Finding("picture", "ok", f"pictures can be analysed: {use}")
    if failed(needed):
        fix = next((each.fix for each in needed if each.level == "failed" and each.fix), None)
        verdict = Finding("picture", "failed", "no picture can be analysed yet", fix)
    return [*needed, *warnings, verdict]


def _parse(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = make_parser(prog, __doc__, _EPILOG)
    add = parser.add_argument
    add("--json", action="store_true", help="one JSON object instead of text")
    add_model_options(parser, answering=False)
    where = "where results are to be written (default: this folder)"
    add("--out", "--folder", metavar="DIR", default=".", help=where)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
