"""Analyse pictures: mark lesion regions, and print benign or malignant with its probability."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, closing
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from edge.cli import command
from edge.cli.arguments import add_model_options, make_parser, model_settings, path
from edge.cli.printer import Done, Printer
from edge.cli.sources import expand, without_secrets
from edge.cli.terminal import Progress, quiet_native_stderr, say

from .errors import LesionEdgeError, OutputError, PictureError
from .files import printable
from .results import NOTICE, Analysis

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from edge.cli.naming import ResultFolder
    from edge.picture.decode import Picture

    from .analyzer import Analyzer

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
where the model's network outlines the lesion, in place of the regions or, with --segmentation both,
beside them: "lesion": null or {{"x", "y", "width", "height", "area", "share": part of the picture,
"outline": [[[x, y], ...], ...]: polygons}}, and in "model" the network's "outline_sha256";
with --explain, "explanation": {{"method": "occlusion", "x", "y", "width", "height": what the model
sees of the picture, "rows", "columns", "fall": [[how far P(malignant) falls without a part, ... by
column], ... by row]}}, where a part is two steps wide and high, and "explain" in "timings_ms";
where the model says whether a picture is like those of its training, "familiar": true or false;
where the model has a band in which the label is "uncertain", "uncertain": [low, high], and
with --operating-point its name, "operating_point";
of a model with more than two labels also "probabilities": {{label: P, ...}}; "probability" is that
of its positive label, and "threshold" null where the most probable label is always the answer;
or, for a picture that failed, {{"image", "error": {{"type", "message"}}}}. Where only the annotated
picture could not be written, both.

{NOTICE}"""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m edge.run") -> int:
    """Run the command and return its exit status."""
    return command.run("edge.run", lambda: _analyse_all(_parse(arguments, prog)))


def _parse(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = make_parser(prog, __doc__, _EPILOG)
    add = parser.add_argument
    sources = "a picture (JPEG, PNG), a folder, a quoted pattern, or - for standard input"
    add("sources", nargs="+", metavar="SOURCE", help=sources)
    add("--json", action="store_true", help="JSON Lines instead of text")
    out = "write annotated pictures to this folder (--save is the same)"
    add("--out", "--save", type=path, metavar="DIR", help=out)
    report = "write a page to look at: one file, works offline"
    add("--report", type=path, metavar="FILE.html", help=report)
    table = "write a table for spreadsheets: one row a picture"
    add("--csv", type=path, metavar="FILE.csv", help=table)
    add_model_options(parser)
    explain = (
        "show where the answer comes from, in --out, --report and --json: each part of the picture,"
        " a sixth of a side, is covered and P(malignant) asked again. 121 invokes a picture:"
        " 0.05 s with the default model on a server's core"
    )
    add("--explain", action="store_true", help=explain)
    fast = (
        "decode JPEG files of 4 megapixels and more at reduced scale: regions and probability"
        " are then approximate"
    )
    add("--fast", action="store_true", help=fast)
    add("--no-color", action="store_true", help="no colour on a terminal; so does NO_COLOR=1")
    options = parser.parse_args(arguments)
    if options.explain and not (options.out or options.report or options.json):
        parser.error("--explain shows nothing without --out, --report or --json")
    return options


def _analyse_all(options: argparse.Namespace) -> int:
    import numpy  # noqa: F401, ICN001 - where it can't be loaded, cv2 prints lines to standard output

    # isort: split
    import cv2

    from edge.cli.lines import Lines
    from edge.cli.naming import ResultFolder

    from .analyzer import Analyzer

    to_files = options.out is not None or options.report or options.csv
    if sys.stdout is None and not to_files:
        raise OutputError("standard output is closed")
    # OpenCV's own threads, measured on two cores: no difference for one picture of 1022 x 767, 2 ms
    # of 25 won for one of 7 megapixels, 1 % lost for many.  With --threads 1 there may be none.
    cv2.setNumThreads(1)
    with quiet_native_stderr():
        analyzer = Analyzer(**model_settings(options), fast=options.fast, explain=options.explain)
    folder = None if options.out is None else ResultFolder(options.out)
    lines = Lines(
        analyzer.contract,
        analyzer.rule,
        sys.stdout or sys.stderr,
        colour=not options.no_color,
        segmentation=analyzer.segmentation,
    )
    printer = Printer(lines, as_json=options.json, keep_on=bool(to_files))
    left_out: list[str] = []
    sources = expand(options.sources, leave_out=options.out, tell=left_out.append)
    started = time.perf_counter()
    with ExitStack() as stack:
        tell = [printer.tell, *_open_files(options, analyzer, stack)]
        # Closed, so that an interrupt leaves no picture half written.
        thumbnails = options.report is not None
        results = stack.enter_context(
            closing(_analyse(analyzer, sources, folder, thumbnails=thumbnails))
        )
        progress = Progress("pictures analysed:")
        for number, done in enumerate(results, 1):
            progress.clear()
            for each in tell:
                each(done)
            progress.update(number)
    progress.clear()
    for line in left_out:
        say(f"edge.run: {line}")
    if options.csv:
        say(f"edge.run: the table: {printable(options.csv)}")
    if options.report:
        say(f"edge.run: look at it in a browser: {printable(options.report)}")
    if not options.json:
        lines.end(time.perf_counter() - started)
    if printer.broken:  # all that was asked for but this is written
        raise printer.broken
    return 1 if lines.failed or printer.unsaved else 0


def _analyse(
    analyzer: Analyzer,
    sources: Iterable[str | PictureError],
    folder: ResultFolder | None,
    *,
    thumbnails: bool,
) -> Generator[Done, None, None]:
    """Yield what became of each source, in order.

    Standard input may be long in coming: all that is before it is told first, and none of the
    threads waits for it, so that an interrupt finds none that can't be ended.
    """
    work = partial(_work, thumbnails=thumbnails)
    jobs = (
        (source, folder.name(source) if folder and isinstance(source, str) else None)
        for source in sources
    )
    for is_stdin, group in groupby(jobs, lambda job: job[0] == "-"):
        if is_stdin:
            yield from map(partial(work, analyzer), group)
        else:
            yield from analyzer.map(work, group)


def _work(
    analyzer: Analyzer, job: tuple[str | PictureError, str | None], *, thumbnails: bool
) -> Done:
    """Analyse a picture, and make of it what is asked for while it is decoded."""
    from .analyzer import read_picture, without_frames

    image, save_as = job
    if isinstance(image, PictureError):  # a source that gives no picture
        return Done(image.path or "", image)
    try:
        if image == "-" and sys.stdin is None:
            raise PictureError("-: standard input is closed")
        picture = read_picture(sys.stdin.buffer if image == "-" else image, fast=analyzer.fast)
        analysis = analyzer.analyze_decoded(picture)
        done = Done(image, analysis)
        if save_as:
            _save(done, save_as, picture, analysis)
        if thumbnails:
            from edge.report.thumbnail import make_thumbnail

            done.thumbnail = make_thumbnail(picture, analysis)
    except LesionEdgeError as error:
        return Done(image, without_frames(error))
    return done


def _save(done: Done, path: str, picture: Picture, analysis: Analysis) -> None:
    from edge.cli.naming import make_folder

    from .drawing import save_annotated

    try:
        make_folder(os.path.dirname(path))
        save_annotated(path, picture.image_bgr, analysis)
        done.saved = path
    except OutputError as error:  # the answer is there all the same
        done.not_saved = error


def _open_files(
    options: argparse.Namespace, analyzer: Analyzer, stack: ExitStack
) -> Iterator[Callable[[Done], None]]:
    """Begin the report and the table that are asked for; yield what adds a result to each."""
    if options.report:
        from edge.report.page import html_report

        settings = {
            "Pictures": ", ".join(map(without_secrets, options.sources)),
            "Reduced scale (--fast)": "yes" if options.fast else "no",
        }
        if analyzer.segmentation != "otsu":
            beside = (
                ", and regions by the notebook's rule" if analyzer.segmentation == "both" else ""
            )
            settings["Lesion"] = f"outlined by the model's network{beside}"
        if options.explain:
            settings["Warm parts"] = (
                f"P({analyzer.contract.positive}) falls most where they are covered by the"
                " picture's mean colour, one at a time (occlusion)"
            )
        report = stack.enter_context(
            html_report(options.report, analyzer.contract, analyzer.rule, settings)
        )
        yield lambda done: report.add(done.path, done.result, done.thumbnail, done.saved)
    if options.csv:
        from edge.report.table import csv_table

        add_row = stack.enter_context(
            csv_table(options.csv, analyzer.contract, analyzer.segmentation)
        )
        yield lambda done: add_row(done.path, done.result)


if __name__ == "__main__":
    # All is written and flushed.  Taking numpy, OpenCV and the runtime down piece by piece would
    # take a tenth of the whole run, and after a second interrupt wait for a thread that is at work.
    os._exit(main())
