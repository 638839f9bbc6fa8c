"""What files of a person's tell of a model beside its numbers: licence, figures, thresholds."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from edge.errors import ModelError
from edge.files import printable
from edge.model.about import parse_about
from edge.model.reader import Reader
from edge.model.rule import parse_operating_points, parse_rule

from .errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_ABOUT = ("licence", "evaluation")
_THRESHOLDS = ("threshold", "uncertain", "operating_points")


def read_about(
    options: argparse.Namespace, declared: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the contract's ``licence`` and ``evaluation``, as options or the weights give them.

    Args:
        options: with ``--licence`` and ``--evaluation``, which come first.
        declared: what the file of weights declares, if it is one of ours.

    Raises:
        UsageError: one of them isn't as a device would have it.

    """
    said = {key: value for key, value in (declared or {}).items() if key in _ABOUT}
    name = "what the weights declare"
    if options.licence is not None:
        name, said["licence"] = "--licence", options.licence
    if options.evaluation is not None:
        name = printable(options.evaluation)
        said["evaluation"] = _read_json(options.evaluation)
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


def read_thresholds(options: argparse.Namespace) -> dict[str, Any]:
    """Return the keys of the contract that the file of ``--thresholds`` gives, unchecked.

    Raises:
        UsageError: it can't be read, or has other keys.

    """
    if options.thresholds is None:
        return {}
    name, said = printable(options.thresholds), _read_json(options.thresholds)
    if not isinstance(said, dict) or not set(said) <= set(_THRESHOLDS):
        raise UsageError(f"{name}: must be an object with no keys but {', '.join(_THRESHOLDS)}")
    return said


def check_thresholds(said: dict[str, Any], labels: Sequence[str], name: str) -> None:
    """Check what :func:`read_thresholds` returned as a device does.

    Raises:
        UsageError: a device would refuse it.

    """
    try:
        parse_rule(Reader(said, name), labels)
        parse_operating_points(Reader(said, name), labels)
    except ModelError as error:
        raise UsageError(str(error)) from error


def _read_json(path: Path) -> Any:
    name = printable(path)
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{name}: can't be read: {error.strerror or error}") from error
    except ValueError as error:  # also what is no UTF-8
        raise UsageError(f"{name}: no JSON ({error})") from error
    except RecursionError as error:
        raise UsageError(f"{name}: nested without end") from error
