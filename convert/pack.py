"""``python -m convert --tflite FILE``: what a person says of it, the gate, and the file written."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from convert.verify.pictures import SHIPPED, load_set, notes_on
from convert.verify.report import to_dict, to_text
from edge.cli.output import write_line
from edge.cli.terminal import say
from edge.files import printable, write_atomically
from edge.model.load import read_contract

from .about import read_thresholds
from .errors import ConvertError, ParityError, UsageError
from .meaning import given_pixels
from .tflite import pack_tflite

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from convert.verify.parity import Budget
    from convert.weights.file import Weights

    from .tflite import Packed

_BYTES_INSIDE = "the file's own input of bytes"


def pack(
    options: argparse.Namespace,
    *,
    budgets: Mapping[str, Budget],
    read_reference: Callable[[], Weights],
    about: Mapping[str, Any],
) -> int:
    """Do what the options ask and return the exit status.

    Args:
        options: those of the command.
        budgets: by variant.
        read_reference: gives the Keras model of ``--weights``; not called without that option.
        about: the contract's ``licence`` and ``evaluation``, as far as options give them.

    Raises:
        LesionEdgeError: whatever :func:`convert.tflite.pack_tflite` raises.
        ParityError: the file answers otherwise than its Keras model.
        ConvertError: it can't be written.

    """
    if options.outline:
        raise UsageError("--outline goes with --weights: give the Keras model without --tflite")
    said = {**said_by(options), **about}
    target = options.out / options.tflite.name
    if target.exists() and target.samefile(options.tflite):
        raise UsageError(f"{printable(target)} is the file itself: give another folder with --out")
    labels = said.get("labels")
    held_out = load_set(
        options.held_out or SHIPPED / "held_out",
        list(map(str, labels)) if isinstance(labels, list) else (),
        say if options.held_out else None,
    )
    packed = pack_tflite(
        options.tflite,
        said,
        reference=None if options.weights is None else read_reference(),
        held_out=held_out,
        budgets=budgets,
        rounds=options.rounds,
        say=say,
    )
    notes = [*packed.notes]
    if packed.row:
        instead = None if options.held_out else "--held-out"
        notes += notes_on("parity was judged", held_out, packed.contract.labels, instead)
    over = [] if packed.row is None else packed.row.over
    if not over:
        try:
            options.out.mkdir(parents=True, exist_ok=True)
            write_atomically(target, packed.data)
        except OSError as error:
            raise ConvertError(
                f"{printable(target)}: can't be written: {error.strerror or error}"
            ) from error
        say(f"use it: python -m edge.run PICTURES --model {printable(target)}")
    if not packed.row:
        for note in notes:
            say(note)
    _print(packed, notes, as_json=options.json)
    if packed.row and over:
        variant = packed.row.variant
        raise ParityError(
            f"nothing is written to {printable(options.out)}: {'; '.join(over)}. Where that is "
            f"what its quantisation costs, give another budget: --max-delta {variant}=X, "
            "--mean-delta or --flips; else look at --preprocessing, and at --weights"
        )
    return 0


def said_by(options: argparse.Namespace) -> dict[str, Any]:
    """Return what a person says of a file, as far as it goes, in the form of a contract.

    An option goes before the same key of the contract's file.

    Raises:
        ModelError: the contract's file can't be read.
        UsageError: options contradict each other, it has what no TFLite file can, or the file of
            thresholds can't be read.

    """
    document = read_contract(options.contract_file) if options.contract_file else {}
    if "outline" in document:
        raise UsageError(
            f"{printable(options.contract_file)}: has an 'outline', whose network travels inside a "
            "model file only; leave it out"
        )
    pixels = given_pixels(options, inside=_BYTES_INSIDE)
    values: dict[str, Any] = {}
    if pixels:
        values["channel_order"] = pixels.channel_order
        if options.preprocessing or options.scale or options.offset:
            values["values"] = {"scale": list(pixels.scale), "offset": list(pixels.offset)}
    if options.size:
        values["width"], values["height"] = options.size
    for key in ("resize", "interpolation"):
        if value := getattr(options, key):
            values[key] = value
    given = document.get("input", {})
    if values and isinstance(given, dict):
        document["input"] = {**given, **values}
    for key in ("labels", "positive", "threshold", "name"):
        if (value := getattr(options, key)) is not None:
            document[key] = list(value) if key == "labels" else value
    limit = options.familiar
    familiar = {} if limit is None else {"familiar": {"limit": limit}}
    return document | read_thresholds(options) | familiar


def _print(packed: Packed, notes: list[str], *, as_json: bool) -> None:
    rows = [packed.row] if packed.row else []
    if as_json:
        text = json.dumps(to_dict(rows, {"contract": packed.document, "notes": notes}), indent=2)
    else:
        text = to_text(rows, notes)
    if sys.stdout is not None and (rows or as_json):
        with contextlib.suppress(BrokenPipeError):
            write_line(text)
