"""Analyse pictures: mark lesion regions, and print benign or malignant with its probability."""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import numpy  # noqa: F401, ICN001 - where it can't be loaded, cv2 prints lines to standard output

# isort: split
import cv2

from edge.cli.arguments import count, make_parser, path, share
from edge.cli.lines import Lines
from edge.cli.naming import ResultFolder, make_folder
from edge.cli.output import write_line
from edge.cli.sources import expand, without_secrets
from edge.cli.terminal import Progress, open_streams, quiet_native_stderr, say

from .analyzer import Analyzer
from .drawing import save_annotated
from .errors import LesionEdgeError, OutputError
from .results import NOTICE, Analysis

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from edge.picture.decode import Picture

_EPILOG = f"""\
sources: of a folder and what is below it, links followed, every JPEG and PNG is taken. Hidden and
system names, pictures that this command annotated and the --out folder are left out and counted
on standard error. A quoted pattern ("photos/**/*.jpg", ** is any number of folders) takes whatever
fits it, but for the same. A file that is named is taken; among several, as a shell's * names
them, not a picture that this command annotated.

exit status: 0 all pictures analysed, 1 at least one failed or the model can't be used,
2 wrong usage, 130 interrupted.

--json writes one object a line to standard output:
  {{"image", "size": [w, h], "label", "probability": P(malignant), "threshold",
   "regions": [{{"x", "y", "width", "height", "area"}}, ...] in pixels, largest area first,
   "timings_ms": {{"decode", "segment", "resize", "invoke", "total"}},
   "model": {{"name", "variant", "sha256"}}, "warnings": []}}
or, for a picture that failed, {{"image", "error": {{"type", "message"}}}}. Where only the annotated
picture could not be written, both.

{NOTICE}"""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m edge.run") -> int:
    """Run the command and return its exit status."""
    open_streams()
    options = _parse(arguments, prog)
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


def _parse(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = make_parser(prog, __doc__, _EPILOG)
    add: Any = parser.add_argument
    add(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="a picture (JPEG, PNG), a folder, a quoted pattern, or - for standard input",
    )
    add("--json", action="store_true", help="JSON Lines instead of text")
    add(
        "--out",
        "--save",
        type=path,
        metavar="DIR",
        help="write annotated pictures to this folder (--save is the same)",
    )
    add(
        "--report",
        type=path,
        metavar="FILE.html",
        help="write a page to look at: one file, works offline",
    )
    add(
        "--csv",
        type=path,
        metavar="FILE.csv",
        help="write a table for spreadsheets: one row a picture",
    )
    add(
        "--model",
        metavar="FILE",
        help="a .tflite file made by python -m convert (default: the int8 model that is shipped)",
    )
    add(
        "--contract",
        metavar="FILE",
        help="the contract (JSON) of a --model that has none of its own, such as a TFLite file of"
        " yours: see docs/models.md",
    )
    add(
        "--threads",
        type=count,
        metavar="N",
        help="cores to use, for one picture or for as many at once (default: all, four at most)",
    )
    add(
        "--threshold",
        type=share,
        metavar="P",
        help="malignant from this probability on, 0 to 1 (default: the model's own)",
    )
    add(
        "--fast",
        action="store_true",
        help="decode JPEG files of 4 megapixels and more at reduced scale: regions and probability"
        " are then approximate",
    )
    add("--no-color", action="store_true", help="no colour on a terminal; so does NO_COLOR=1")
    options = parser.parse_args(arguments)
    if options.contract and not options.model:
        parser.error("--contract goes with --model: the default model has its own")
    return options


def _analyse_all(options: argparse.Namespace) -> int:
    files = options.out is not None or options.report or options.csv
    if sys.stdout is None and not files:
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
    output = None if options.out is None else ResultFolder(options.out)
    lines = Lines(analyzer.contract.labels, sys.stdout or sys.stderr, colour=not options.no_color)
    left_out: list[str] = []
    sources = expand(options.sources, leave_out=options.out, tell=left_out.append)
    jobs = (_name(source, output) for source in sources)
    started = time.perf_counter()
    printer = _Printer(options, analyzer, lines, keep_on=bool(files))
    with ExitStack() as stack:
        tell = [printer.tell, *_open_files(options, analyzer, stack)]
        then = _finish(thumbnails=options.report is not None) if len(tell) > 1 or output else None
        # Closed, so that an interrupt leaves no picture half written.
        results = stack.enter_context(closing(analyzer.analyze_many(jobs, then=then)))
        progress = Progress("pictures analysed:")
        for done, (job, result) in enumerate(results, 1):
            progress.clear()
            for each in tell:  # a source that gives no picture is its own error
                each(job if isinstance(job, _Job) else _Job(job.path or ""), result)
            progress.update(done)
    progress.clear()
    for line in left_out:
        say(f"edge.run: {line}")
    if not options.json:
        lines.end(time.perf_counter() - started)
    if printer.broken:  # all that was asked for but this is written
        raise printer.broken
    return 1 if lines.failed or printer.unsaved else 0


class _Job:
    """A picture's path, where its annotated copy goes, and what was made or could not be."""

    def __init__(self, path: str, save_as: str | None = None) -> None:
        self.path, self.save_as = path, save_as
        self.thumbnail: bytes | None = None
        self.not_saved: OutputError | None = None

    def __fspath__(self) -> str:
        return self.path


def _name(source: str | LesionEdgeError, output: ResultFolder | None) -> _Job | LesionEdgeError:
    if isinstance(source, LesionEdgeError):
        return source
    return _Job(source, output.name(source) if output else None)


class _Printer:
    """Prints results as they come.

    Args:
        options: the command's.
        analyzer: whose model answers.
        lines: makes the lines, and counts.
        keep_on: whether the run goes on where nothing can be printed any more.

    """

    def __init__(
        self, options: argparse.Namespace, analyzer: Analyzer, lines: Lines, *, keep_on: bool
    ) -> None:
        self._json, self._lines, self._keep_on = options.json, lines, keep_on
        self._model = analyzer.contract.identity()
        self.broken: OSError | None = None
        """Why nothing can be printed."""
        self.unsaved = 0
        """How many annotated pictures could not be written."""

    def tell(self, job: _Job, result: Analysis | LesionEdgeError) -> None:
        """Print a result, and why its annotated picture could not be written."""
        self._lines.count(result)
        if self._json:
            self._write(json.dumps(_to_dict(job, result, self._model)))
        elif isinstance(result, LesionEdgeError):
            say(f"edge.run: {result}")
        else:
            self._write(self._lines.result(job.path, result, job.save_as))
        if job.not_saved:
            self.unsaved += 1
            if not self._json:
                say(f"edge.run: {job.not_saved}")

    def _write(self, text: str) -> None:
        try:
            write_line(text)
        except (BrokenPipeError, OutputError) as error:
            if not self._keep_on:
                raise
            self.broken = self.broken or error


def _open_files(
    options: argparse.Namespace, analyzer: Analyzer, stack: ExitStack
) -> list[Callable[[_Job, Analysis | LesionEdgeError], None]]:
    """Begin the report and the table that are asked for; return what adds a result to each."""
    files: list[Callable[[_Job, Analysis | LesionEdgeError], None]] = []
    if options.report:
        from edge.report.page import html_report

        settings = {
            "Pictures": ", ".join(map(without_secrets, options.sources)),
            "Reduced scale (--fast)": "yes" if options.fast else "no",
        }
        report = stack.enter_context(
            html_report(options.report, analyzer.contract, analyzer.threshold, settings)
        )
        files.append(lambda job, result: report.add(job.path, result, job.thumbnail, job.save_as))
    if options.csv:
        from edge.report.table import csv_table

        add_row = stack.enter_context(csv_table(options.csv, analyzer.contract))
        files.append(lambda job, result: add_row(job.path, result))
    return files


def _finish(*, thumbnails: bool) -> Callable[[_Job | LesionEdgeError, Picture, Analysis], None]:
    """Return what is done with a picture on the thread that analysed it, while it is decoded."""
    if thumbnails:
        from edge.report.thumbnail import make_thumbnail

    def finish(job: _Job | LesionEdgeError, picture: Picture, analysis: Analysis) -> None:
        assert isinstance(job, _Job)
        if job.save_as:
            try:
                make_folder(os.path.dirname(job.save_as))
                save_annotated(job.save_as, picture.image_bgr, analysis, job.path)
            except OutputError as error:  # the answer is there all the same
                job.save_as, job.not_saved = None, error
        if thumbnails:
            job.thumbnail = make_thumbnail(picture, analysis)

    return finish


def _to_dict(
    job: _Job, result: Analysis | LesionEdgeError, model: dict[str, str]
) -> dict[str, Any]:
    if isinstance(result, LesionEdgeError):
        return {"image": job.path, "error": result.to_dict()}
    line = {"image": job.path, **result.to_dict(), "model": model}
    if job.not_saved:
        line["error"] = job.not_saved.to_dict()
    return {**line, "saved": job.save_as} if job.save_as else line


if __name__ == "__main__":
    # All is written and flushed.  Taking numpy, OpenCV and the runtime down piece by piece would
    # take a tenth of the whole run, and after a second interrupt wait for a thread that is at work.
    os._exit(main())
