"""What the commands of the package share of :mod:`argparse`: the parser, types of arguments."""

from __future__ import annotations

import re
from argparse import (
    Action,
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    RawDescriptionHelpFormatter,
)
from functools import partial
from typing import Any, NoReturn

from edge.model.named import VARIANTS
from edge.results import SEGMENTATIONS

_MODEL_SETTINGS = {
    "model", "contract", "variant", "threads", "threshold", "operating_point", "segmentation",
}  # fmt: skip


def make_parser(prog: str, description: str | None, epilog: str) -> ArgumentParser:
    """Return a parser whose help is printed as it is written, and which knows --version."""
    # Without a width it imports shutil, help or no help: 1.5 ms of every start.
    formatter = partial(RawDescriptionHelpFormatter, width=98)
    parser = _Parser(prog=prog, description=description, epilog=epilog, formatter_class=formatter)
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="versions of package, runtime, OpenCV, model"
    )
    return parser


def add_model_options(
    parser: ArgumentParser, *, answering: bool = True, threads: bool = True
) -> None:
    """Add what says which model is meant and, if it is to answer, how; alike in all commands."""
    add = parser.add_argument
    model = (
        "a model that is shipped, notebook (the default) or dermoscopy, or a .tflite file made by"
        " python -m convert, or the folder of its variants; python -m edge.models lists those that"
        " are shipped"
    )
    add("--model", metavar="NAME|FILE", help=model)
    contract = (
        "the contract (JSON) of a --model that has none of its own, such as a TFLite file of"
        " yours: see docs/models.md"
    )
    add("--contract", metavar="FILE", help=contract)
    if answering:
        variant = (
            "which of the model's files runs, where it has several (default: the one that is"
            " fastest on this processor; python -m edge.bench measures them)"
        )
        add("--variant", choices=VARIANTS, help=variant)
    if answering and threads:
        cores = "cores to use, for one picture or for as many at once (default: all, four at most)"
        add("--threads", type=count, metavar="N", help=cores)
    if answering:
        limit = (
            "the positive label, such as malignant, from this probability on, 0 to 1; below it the"
            " most probable other (default: the model's own, which may also have a band of"
            " probabilities whose label is uncertain)"
        )
        rule = parser.add_mutually_exclusive_group()
        rule.add_argument("--threshold", type=share, metavar="P", help=limit)
        point = (
            "another threshold and band of the model's own, by name: python -m edge.models lists"
            " those that it has"
        )
        rule.add_argument("--operating-point", metavar="NAME", help=point)
        segmentation = (
            "what finds lesions: the notebook's rule for regions (Otsu's threshold), the network"
            " for the lesion's outline that the model brings, or both (default: what it brings)"
        )
        add("--segmentation", choices=SEGMENTATIONS, help=segmentation)


def model_settings(options: Namespace) -> dict[str, Any]:
    """Return what :func:`add_model_options` added, as :class:`edge.analyzer.Analyzer` takes it."""
    return {name: value for name, value in vars(options).items() if name in _MODEL_SETTINGS}


class _Parser(ArgumentParser):
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse, and check what no single option can."""
        options, unknown = super().parse_known_args(args, namespace)
        if getattr(options, "contract", None) and not options.model:
            self.error("--contract goes with --model: the default model has its own")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, without an address that was given as a value: it may be secret."""
        super().error(re.sub(r"(?:[\"'].*?|[^\s\"']*)(?:://|@).*", "...", message, flags=re.DOTALL))


class _Version(Action):
    """Asked only when it is wanted: it loads the runtime and the model."""

    def __call__(self, parser: ArgumentParser, *_: object) -> NoReturn:
        from .version import text

        print(text())
        parser.exit()


def path(text: str) -> str:
    """Return a file's or folder's name.

    Raises:
        ArgumentTypeError: it is empty, as a variable is that nobody set.

    """
    if not text:
        raise ArgumentTypeError("must not be empty")
    return text


def count(text: str) -> int:
    """Return a whole number of 1 or more.

    Raises:
        ValueError: not a whole number.
        ArgumentTypeError: below 1.

    """
    value = int(text)
    if value < 1:
        raise ArgumentTypeError("must be 1 or more")
    return value


def share(text: str) -> float:
    """Return a number from 0 to 1.

    Raises:
        ValueError: not a number.
        ArgumentTypeError: outside, or NaN.

    """
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise ArgumentTypeError("must be from 0 to 1")
    return value
