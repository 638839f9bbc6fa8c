"""One command for all there is: ``lesion-edge NAME ...``, or ``python -m edge NAME ...``.

Each is also a module of its own, which does the same: ``python -m edge.run``.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "run": ("edge.run", "analyse pictures: regions, benign or malignant, P(malignant)"),
    "camera": ("edge.camera.__main__", "the same through a camera, every few seconds, for months"),
    "page": ("edge.page.__main__", "the same in a browser: look, press a button, see; history"),
    "archive": (
        "edge.archive.__main__",
        "100,000s of pictures, on many cores or machines; Parquet",
    ),
    "models": ("edge.models", "the models that are here: size, milliseconds, how good, licence"),
    "bench": ("edge.bench.__main__", "how fast each variant is here, and which to use"),
    "doctor": ("edge.doctor.__main__", "what keeps pictures from being analysed here, and the fix"),
    "convert": ("convert.__main__", "turn a trained model.h5 into verified model files"),
}
"""The module of each command, whose ``main`` takes arguments and returns the exit status."""

_USAGE = f"""\
usage: lesion-edge {{{",".join(COMMANDS)}}} ...

{chr(10).join(f"  {name:<9}{what}" for name, (_, what) in COMMANDS.items())}

  lesion-edge NAME --help    all that it can
  lesion-edge --version      versions of package, runtime, OpenCV and model

Research and education only, not a diagnosis."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names, and return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_USAGE)
        return 0
    if words[0] == "--version":
        from edge.cli.version import text

        print(text())
        return 0
    if words[0] not in COMMANDS:
        print(
            f"lesion-edge: there is no {words[0]!r}; there are {', '.join(COMMANDS)}",
            file=sys.stderr,
        )
        return 2
    status: int = import_module(COMMANDS[words[0]][0]).main(words[1:], f"lesion-edge {words[0]}")
    return status


def command() -> None:
    """Run :func:`main` and end the process, as each command does of itself: see edge.run."""
    try:
        status = main()
    except BrokenPipeError:  # whoever read our output has enough
        status = 1
    for stream in filter(None, (sys.stdout, sys.stderr)):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    command()
