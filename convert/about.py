"""What is told of a model in its contract beside its numbers: licence and figures."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge.errors import ModelError
from edge.files import printable
from edge.model.about import parse_about

from .errors import UsageError

if TYPE_CHECKING:
    import argparse


def read_about(options: argparse.Namespace) -> dict[str, Any]:
    """Return the keys of the contract that ``--licence`` and ``--evaluation`` give.

    Raises:
        UsageError: one of them isn't as a device would have it.

    """
    said: dict[str, Any] = {}
    name = "--licence"
    if options.licence is not None:
        said["licence"] = options.licence
    if options.evaluation is not None:
        name = printable(options.evaluation)
        try:
            said["evaluation"] = json.loads(options.evaluation.read_bytes())
        except OSError as error:
            raise UsageError(f"{name}: can't be read: {error.strerror or error}") from error
        except ValueError as error:  # also what is no UTF-8
            raise UsageError(f"{name}: no JSON ({error})") from error
        except RecursionError as error:
            raise UsageError(f"{name}: no list of figures, but nested without end") from error
    try:
        about = parse_about(said, name)
    except ModelError as error:
        raise UsageError(str(error)) from error
    known: dict[str, Any] = {}
    if about.licence is not None:
        known["licence"] = about.licence
    if about.evaluation:
        known["evaluation"] = [asdict(each) for each in about.evaluation]
    return known
