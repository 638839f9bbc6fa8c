"""List the models that are here: what each is for, its size, its time on this machine, how good."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from edge.cli import command
from edge.cli.arguments import make_parser
from edge.cli.output import write_line
from edge.cli.terminal import quiet_native_stderr

from .errors import LesionEdgeError
from .files import printable
from .results import NOTICE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from edge.model.about import About
    from edge.model.classifier import Classifier

_EPILOG = f"""\
Milliseconds are those of one core, from a decoded picture of 1022 x 767 to the model's answer: the
median of 20. AUC and its 95 % interval are what the model's contract states: 0.5 is a coin, 1 is
never wrong.

exit status: 0 all can be used, 1 one of them can't, 2 wrong usage.

--json writes one object: {{"models": [{{"name", "file", "default": bool, "purpose", "variant",
"bytes", "milliseconds": {{"classifier", "outline": null without one}}, "segmentation": "otsu" or
"outline", "operating_points": [the names that --operating-point takes], "licence": text or null,
"evaluation": [{{"set", "pictures", "positives", "auc", "low", "high"}}, ...]}}, ...]}}; one that
can't be used has "error": {{"type", "message"}} in the place of all from "variant" on.

{NOTICE}"""
_PICTURE_WH = (1022, 767)
_ROUNDS, _WARM_UP = 20, 2
_LABELS_MOST = 8
_BRINGS = {
    "otsu": "regions, by the notebook's rule (Otsu)",
    "outline": "the lesion's outline, by a network",
}


def main(arguments: Sequence[str] | None = None, prog: str = "python -m edge.models") -> int:
    """Run the command and return its exit status."""
    return command.run("edge.models", lambda: _work(_parse(arguments, prog)))


def _parse(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = make_parser(prog, __doc__, _EPILOG)
    models = "a model's name or file (default: all that are shipped)"
    parser.add_argument("models", nargs="*", metavar="NAME|FILE", help=models)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    return parser.parse_args(arguments)


def _work(options: argparse.Namespace) -> int:
    import numpy  # noqa: F401, ICN001 - where it can't be loaded, cv2 prints lines to standard output

    # isort: split
    import cv2

    from edge.model.named import available

    cv2.setNumThreads(1)  # as the commands that answer do
    with quiet_native_stderr():
        found = [_examine(model) for model in options.models or available()]
    if options.json:
        write_line(json.dumps({"models": [each.to_dict() for each in found]}))
    else:
        for each in found:
            write_line("\n".join(_describe(each)))
    return 1 if any(each.error for each in found) else 0


@dataclass(slots=True)
class _Model:
    """A model's name or file as it was given, and what was found out."""

    name: str
    file: str = ""
    classifier: Classifier | None = None
    about: About | None = None
    classifier_ms: float = 0.0
    outline_ms: float | None = None
    error: LesionEdgeError | None = None

    @property
    def purpose(self) -> str | None:
        """What it is for, if it is a shipped one."""
        from edge.model.named import SHIPPED

        return SHIPPED[self.name].purpose if self.name in SHIPPED else None

    @property
    def bytes(self) -> int:
        """The file's size."""
        with suppress(OSError):
            return os.path.getsize(self.file)
        return 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        from edge.model.named import DEFAULT

        line: dict[str, Any] = {
            "name": self.name,
            "file": self.file,
            "default": self.name == DEFAULT,
            "purpose": self.purpose,
        }
        if self.classifier is None or self.about is None:
            return line | {"error": self.error and self.error.to_dict()}
        outline_ms = self.outline_ms
        return line | {
            "variant": self.classifier.contract.variant,
            "bytes": self.bytes,
            "milliseconds": {
                "classifier": round(self.classifier_ms, 3),
                "outline": outline_ms if outline_ms is None else round(outline_ms, 3),
            },
            "segmentation": self.classifier.contract.segmentation,
            "operating_points": [
                point.operating_point for point in self.classifier.contract.operating_points
            ],
            **asdict(self.about),
        }


def _examine(name: str) -> _Model:
    import numpy as np

    from edge.model.about import parse_about
    from edge.model.classifier import Classifier
    from edge.model.named import find_model

    found = _Model(name)
    try:
        found.file = find_model(name)
        classifier = Classifier(found.file)
        outline = classifier.outline_network()
        width, height = _PICTURE_WH
        picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        found.classifier_ms = _time(lambda: classifier.predict(picture))
        if outline is not None:
            found.outline_ms = _time(lambda: outline.predict(picture))
        found.about = parse_about(classifier.document, printable(os.path.basename(found.file)))
        found.classifier = classifier
    except LesionEdgeError as error:
        found.error = error
    return found


def _time(work: Callable[[], object]) -> float:
    """Return the median of the milliseconds that ``work`` takes."""
    taken = []
    for _ in range(_WARM_UP + _ROUNDS):
        started = time.perf_counter()
        work()
        taken.append((time.perf_counter() - started) * 1e3)
    return median(taken[_WARM_UP:])


def _describe(model: _Model) -> list[str]:
    """Return what a person reads of a model, in lines."""
    from edge.cli.labels import describe_rule, name_some
    from edge.model.named import DEFAULT

    name = f"{printable(model.name)}{' (default)' if model.name == DEFAULT else ''}"
    if model.classifier is None or model.about is None:
        reason = str(model.error).removeprefix(f"{printable(model.name)}: ")
        return [f"{name}: can't be used: {reason}"]
    contract, about = model.classifier.contract, model.about
    outline = "" if model.outline_ms is None else f" + {model.outline_ms:.2f} ms for the outline"
    lines = {
        **({"for": model.purpose} if model.purpose else {"name": contract.name}),
        "answers": name_some(contract.labels, _LABELS_MOST),
        "size": f"{model.bytes / 1e6:.2f} MB, {contract.variant}",
        "time": f"{model.classifier_ms:.2f} ms{outline}",
        "finds": _BRINGS[contract.segmentation],
        "decides": describe_rule(contract, contract.rule),
    }
    figures = [
        f"{each.auc:.3f} ({each.low:.3f} to {each.high:.3f}) on {each.set}: "
        f"{each.pictures} pictures, {each.positives} positive"
        for each in about.evaluation
    ]
    lists = {
        "or": [describe_rule(contract, point) for point in contract.operating_points],
        "licence": [about.licence or "not stated in its contract"],
        "AUC": figures or ["not stated in its contract"],
    }
    rows = [*lines.items(), *((key, row) for key, told in lists.items() for row in told)]
    return [name, *(f"  {key:<8} {value}" for key, value in rows)]


if __name__ == "__main__":
    sys.exit(main())
