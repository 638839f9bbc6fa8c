"""The options of ``python -m convert``."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.cli import arguments
from edge.cli.arguments import count, share

VARIANTS = ("float32", "float16", "dynamic", "int8")
_EPILOG = """\
The weights' preprocessing (how pixels became the network's input when it was trained) is folded
into the first layer, so that every model file takes raw BGR bytes. Our own model.h5 names it; for
other weights give --preprocessing, or --channel-order, --scale and --offset. A whole model (.keras,
or .h5 of model.save) has to be the notebook's network; if it scales its input itself (Rescaling,
Normalization), give it without: --channel-order RGB --scale 1 --offset 0.

exit status: 0 every model file is within its budget and written; 1 one is not, or the conversion
failed: then none is written; 2 wrong usage; 130 interrupted.

Research and education only, not a diagnosis."""


def make_parser(prog: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser; --help shows the description first."""
    parser = arguments.make_parser(prog, description, _EPILOG)
    add = parser.add_argument
    add(
        "--out", type=Path, default=Path("out"), metavar="DIR", help="where to write (default: out)"
    )
    add(
        "--variants",
        type=_variants,
        default=VARIANTS,
        metavar="LIST",
        help=f"which to make, with commas (default: {','.join(VARIANTS)})",
    )
    add("--json", action="store_true", help="print the report as JSON instead of the table")
    add(
        "--no-rewrite",
        dest="rewrite",
        action="store_false",
        help="the int8 graph as the quantiser writes it, not the faster one with the same values",
    )
    add(
        "--no-compact",
        dest="compact",
        action="store_false",
        help="keep channels whose output is constant",
    )
    add(
        "--tune-for",
        choices=("x86", "arm"),
        default="x86",
        help="the processor to lay the int8 graph out for (default: x86; it runs on both)",
    )
    group = parser.add_argument_group("weights")
    add = group.add_argument
    add(
        "--weights",
        metavar="SPEC",
        help="a file (.h5, .weights.h5, .keras), upstream (the notebook's, by gdown), gdrive:ID, "
        "or an https address (default: models/model.h5 of a checkout)",
    )
    add("--sha256", metavar="HEX", help="refuse weights with another hash")
    add(
        "--timeout",
        type=_positive,
        default=300.0,
        metavar="S",
        help="for a download (default: 300)",
    )
    add("--cache", type=Path, metavar="DIR", help="where downloads are kept")
    group = parser.add_argument_group("what the weights were trained for")
    add = group.add_argument
    add(
        "--preprocessing",
        "--contract",
        choices=("notebook", "keras"),
        help="BGR 0..255, or RGB divided by 255 (--contract is the same)",
    )
    add("--channel-order", choices=("BGR", "RGB"))
    add(
        "--scale",
        metavar="S",
        help="input = pixel * scale + offset; one number, or three with commas",
    )
    add("--offset", metavar="O", help="one number, or three with commas; write --offset=-1")
    add("--labels", type=_labels, metavar="A,B", help="default: benign,malignant")
    add(
        "--threshold",
        type=share,
        metavar="P",
        help="B from this P(B) on (default: the weights', or 0.5)",
    )
    add("--name", help="what to call the model (default: the weights', or the file's)")
    group = parser.add_argument_group("proof")
    add = group.add_argument
    add(
        "--calibration",
        type=Path,
        metavar="DIR",
        help="real pictures for int8 (default: the project's)",
    )
    add(
        "--calibration-count",
        type=count,
        default=100,
        metavar="N",
        help="use at most N (default: 100)",
    )
    add("--seed", type=int, default=0, metavar="N", help="which N of them (default: 0)")
    add(
        "--held-out",
        type=Path,
        metavar="DIR",
        help="real pictures to compare with Keras on (default: the project's)",
    )
    for name, metavar, what in (
        ("--max-delta", "VARIANT=X", "largest |Δp| allowed"),
        ("--mean-delta", "VARIANT=X", "mean |Δp| allowed"),
        ("--flips", "VARIANT=X", "share of labels allowed to differ, 0 to 1"),
    ):
        add(name, type=_budget, action="append", default=[], metavar=metavar, help=what)
    add("--rounds", type=count, default=50, metavar="N", help="timed invokes of each (default: 50)")
    return parser


def _variants(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := [variant for variant in chosen if variant not in VARIANTS]:
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(unknown)}; there are {', '.join(VARIANTS)}"
        )
    return chosen


def _labels(text: str) -> tuple[str, str]:
    first, _, second = text.partition(",")
    if not first or not second or "," in second or first == second:
        raise argparse.ArgumentTypeError("give two different labels, such as benign,malignant")
    if not all(label.isprintable() and len(label) <= 200 for label in (first, second)):
        raise argparse.ArgumentTypeError(
            "a label has 1 to 200 printable characters; where it has accents, the terminal's "
            "encoding has to be UTF-8"
        )
    return first, second


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be positive")
    return value


def _budget(text: str) -> tuple[str, float]:
    variant, _, number = text.partition("=")
    if variant not in VARIANTS:
        raise argparse.ArgumentTypeError(f"give VARIANT=X with one of {', '.join(VARIANTS)}")
    value = float(number)
    if not value >= 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return variant, value
