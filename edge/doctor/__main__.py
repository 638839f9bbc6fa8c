"""Say whether pictures can be analysed on this machine, what stands in the way, and the fix."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge.cli.arguments import make_parser
from edge.cli.terminal import open_streams, say
from edge.errors import OutputError

from . import machine as system
from . import video
from .findings import Finding, check_folder, check_model, check_runtime, print_findings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

_MIN_FREE_BYTES = 100_000_000
_NEEDED = ("python", "numpy", "opencv", "model", "runtime", "picture")
"""What no picture can be analysed without."""
_EPILOG = """\
exit status: 0 a picture can be analysed (other findings may still be warnings), 1 it can't be,
2 wrong usage.

--json writes one object: {"ok": bool, "findings": [{"check", "level": "ok", "warning" or "failed",
"message", "fix": a command, a sentence or null}, ...]}."""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m edge.doctor") -> int:
    """Run the command and return its exit status."""
    open_streams()
    options = _parse(arguments, prog)
    findings = examine(options.model, options.out, options.contract)
    try:
        print_findings(findings, as_json=options.json)
    except BrokenPipeError:  # whoever read our output has enough
        return 1
    except OutputError as error:
        say(f"edge.doctor: {error}")
        return 1
    return 0 if findings[-1].level == "ok" else 1


def examine(
    model: str | None = None, folder: str = ".", contract: str | None = None
) -> list[Finding]:
    """Look at everything; the last finding says whether a picture can be analysed.

    Args:
        model: the model file; None is the model that the package ships.
        folder: where pictures or results are to be written.
        contract: the contract's file, where the model is a TFLite file without one.

    """
    findings = [
        system.check_machine(),
        system.check_python(),
        system.check_numpy(),
        *system.check_opencv(),
        check_model(model, contract),
        check_runtime(model, contract),
    ]
    usable = not any(finding.level == "failed" for finding in findings)
    others = [
        *system.check_cameras(),
        system.check_picamera2(needed=any(camera.csi for camera in video.cameras())),
        check_folder(folder, _MIN_FREE_BYTES),
        *system.check_board(),
        system.check_clock(),
    ]
    # None of these keeps a picture from being analysed.
    findings += [
        replace(finding, level="warning") if finding.level == "failed" else finding
        for finding in others
        if finding is not None
    ]
    verdict = (
        Finding("picture", "ok", "pictures can be analysed: python -m edge.run PICTURE")
        if usable
        else Finding("picture", "failed", "no picture can be analysed yet", _first_fix(findings))
    )
    return [*findings, verdict]


def _first_fix(findings: list[Finding]) -> str | None:
    return next((each.fix for each in findings if each.level == "failed" and each.fix), None)


def _parse(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = make_parser(prog, __doc__, _EPILOG)
    add: Any = parser.add_argument
    add("--json", action="store_true", help="one JSON object instead of text")
    add("--model", metavar="FILE", help="the model file to check (default: the shipped one)")
    add(
        "--contract",
        metavar="FILE",
        help="the contract (JSON) of a --model that has none of its own: see docs/models.md",
    )
    add(
        "--out",
        "--folder",
        metavar="DIR",
        default=".",
        help="where results are to be written (default: this folder)",
    )
    options = parser.parse_args(arguments)
    if options.contract and not options.model:
        parser.error("--contract goes with --model: the default model has its own")
    return options


if __name__ == "__main__":
    sys.exit(main())
