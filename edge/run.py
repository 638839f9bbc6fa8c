"""Analyse pictures: mark lesion regions, and print benign or malignant with its probability."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy  # noqa: F401, ICN001 - where it can't be loaded, cv2 prints lines to standard output

# isort: split
import cv2

from .analysis import NOTICE, Analysis
from .analyzer import Analyzer
from .arguments import count, make_parser, share
from .drawing import save_annotated
from .errors import LesionEdgeError, OutputError
from .files import printable
from .naming import ResultFolder, make_folder
from .output import write_line
from .sources import expand
from .terminal import Progress, open_streams, quiet_native_stderr, say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from .picture import Picture

_EPILOG = f"""\
sources: of a folder and what is below it, links followed, every JPEG and PNG is taken. Hidden and
system names, pictures that this command annotated and the --save folder are left out and counted
on standard error. A quoted pattern ("photos/**/*.jpg", ** is any number of folders) takes whatever
fits it, but for the same. A file that is named is always taken.

exit status: 0 all pictures analysed, 1 at least one failed or the model can't be used,
2 wrong usage, 130 interrupted.

--json writes one object a line to standard output:
  {{"image", "size": [w, h], "label", "probability": P(malignant), "threshold",
   "regions": [{{"x", "y", "width", "height", "area"}}, ...] in pixels, largest area first,
   "timings_ms": {{"decode", "segment", "resize", "invoke", "total"}},
   "model": {{"name", "variant", "sha256"}}, "warnings": []}}
or, for a picture that failed, {{"image", "error": {{"type", "message"}}}}.

{NOTICE}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    open_streams()
    options = _parse(arguments)
    try:
        return _analyse_all(options)
    except LesionEdgeError as error:
        say(f"edge.run: {error}")
        return 1
    except KeyboardInterrupt:
        say("edge.run: interrupted")
        return 130
    except MemoryError:
        say("edge.run: not enough memory is free")
        return 1
    except BrokenPipeError:  # whoever read our output has enough
        return 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = make_parser("python -m edge.run", __doc__, _EPILOG)
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help="a picture (JPEG, PNG), a folder, a quoted pattern, or - for standard input",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="JSON Lines instead of text")
    parser.add_argument("--save", metavar="DIR", help="write annotated pictures to this folder")
    parser.add_argument(
        "--model", metavar="FILE", help="a .tflite file made by python -m convert"
        " (default: the int8 model that is shipped)",
    )  # fmt: skip
    parser.add_argument(
        "--contract", metavar="FILE", help="the contract (JSON) of a --model that has none of its"
        " own, such as a TFLite file of yours: see README.md",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=count, metavar="N",
        help="cores to use, for one picture or for as many at once (default: all, four at most)",
    )  # fmt: skip
    parser.add_argument(
        "--fast", action="store_true", help="decode JPEG files of 4 megapixels and more at"
        " reduced scale: regions and probability are then approximate",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=share, metavar="P",
        help="malignant from this probability on, 0 to 1 (default: the model's own)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    if options.contract and not options.model:
        parser.error("--contract goes with --model: the default model has its own")
    return options


def _analyse_all(options: argparse.Namespace) -> int:
    if sys.stdout is None:
        raise OutputError("standard output is closed")
    # OpenCV's own threads, measured on two cores: no difference for one picture of 1022 x 767, 2 ms
    # of 25 won for one of 7 megapixels, 1 % lost for many.  With --threads 1 there may be none.
    cv2.setNumThreads(1)
    with quiet_native_stderr():
        analyzer = Analyzer(
            options.model,
            threads=options.threads,
            threshold=options.threshold,
            fast=options.fast,
            contract=options.contract,
        )
    output = None if options.save is None else ResultFolder(options.save)
    report = _report_json if options.json else _report_text
    model = analyzer.contract.identity()
    progress = Progress("pictures analysed:")
    failed = done = 0
    left_out: list[str] = []
    sources = expand(options.sources, leave_out=options.save, tell=left_out.append)
    jobs = (_name(source, output) for source in sources)
    # Closed, so that an interrupt leaves no picture half written.
    with closing(analyzer.analyze_many(jobs, then=_save if output else None)) as results:
        for done, (job, result) in enumerate(results, 1):
            progress.clear()
            if isinstance(job, _Job):
                report(job.path, result, model, job.save_as)
            else:
                report(job.path or "", result, model, None)
            failed += isinstance(result, LesionEdgeError)
            progress.update(done)
    progress.clear()
    for line in left_out:
        say(f"edge.run: {line}")
    if not options.json and done > failed:
        say(NOTICE)
    return 1 if failed else 0


class _Job:
    """A picture's path, and where its annotated copy goes."""

    def __init__(self, path: str, save_as: str | None) -> None:
        self.path, self.save_as = path, save_as

    def __fspath__(self) -> str:
        return self.path


def _name(source: str | LesionEdgeError, output: ResultFolder | None) -> _Job | LesionEdgeError:
    if isinstance(source, LesionEdgeError):
        return source
    return _Job(source, output.name(source) if output else None)


def _save(job: _Job | LesionEdgeError, picture: Picture, analysis: Analysis) -> None:
    if isinstance(job, _Job) and job.save_as:
        make_folder(os.path.dirname(job.save_as))
        save_annotated(job.save_as, picture.image_bgr, analysis)


def _report_json(
    name: str, result: Analysis | LesionEdgeError, model: dict[str, str], saved: str | None
) -> None:
    line: dict[str, Any] = {"image": name}
    if isinstance(result, LesionEdgeError):
        line["error"] = result.to_dict()
    else:
        line |= result.to_dict()
        line["model"] = model
        if saved:
            line["saved"] = saved
    write_line(json.dumps(line))


def _report_text(
    name: str, result: Analysis | LesionEdgeError, model: dict[str, str], saved: str | None
) -> None:
    del model
    if isinstance(result, LesionEdgeError):
        say(f"edge.run: {result}")
        return
    regions = len(result.regions)
    where = "no region"
    if regions:
        first = result.regions[0]
        where = (
            f"{regions} region{'s' if regions > 1 else ''}, largest {first.width}x{first.height} "
            f"at ({first.x}, {first.y})"
        )
    text = (
        f"{printable(name)}: {result.label}, p={result.probability:.4f}, {where}, "
        f"{result.timings_ms.total:.1f} ms"
    )
    for warning in result.warnings:
        text += f"; warning: {warning}"
    if saved:
        text += f" -> {printable(saved)}"
    write_line(text)


if __name__ == "__main__":
    # All is written and flushed.  Taking numpy, OpenCV and the runtime down piece by piece would
    # take a tenth of the whole run, and after a second interrupt wait for a thread that is at work.
    os._exit(main())
