"""Work through an archive of pictures on all cores, or on a Ray cluster; go on where it ended."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import ExitStack, suppress
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any

from edge.cli import command
from edge.cli.arguments import add_model_options, count, make_parser, model_settings, path
from edge.cli.output import write_line
from edge.cli.terminal import Progress, quiet_native_stderr, say
from edge.errors import PictureError
from edge.files import printable
from edge.results import NOTICE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

_FILES = ("model", "contract")
PART = 256
"""Pictures of a part: a worker's next task, one Parquet file, and what a killed worker loses."""

_EPILOG = f"""\
SOURCE: a folder, as edge.run takes it; a .txt file with a path or an address in each line; or the
address of a folder in an object store, such as s3://bucket/folder?region=eu-west-1 or
gs://bucket/folder. Keys come from the environment or the store's own files, never from an address.

--out has a folder for each model and rule, and in it Parquet files with a row a picture: the
columns are the keys of edge.run --json. A picture that fails is a row with its "error". Run again,
it goes on where it was; pictures that are there are not analysed again. See docs/archive.md.

exit status: 0 all pictures analysed, 1 at least one failed or the model can't be used,
2 wrong usage, 130 interrupted.

{NOTICE}"""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m edge.archive") -> int:
    """Run the command and return its exit status."""
    return command.run("edge.archive", lambda: _work(_parse(arguments, prog)))


def _parse(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = make_parser(prog, __doc__, _EPILOG)
    add = parser.add_argument
    add("source", metavar="SOURCE", help="a folder, a list, or an address in an object store")
    out = "where the answers go: a folder, or an address such as s3://bucket/answers"
    add("--out", type=path, required=True, metavar="DIR", help=out)
    workers = "cores to use, each with the model (default: all, of the cluster if there is one)"
    add("--workers", type=count, metavar="N", help=workers)
    address = "a running Ray cluster, HOST:PORT or auto (default: this machine alone)"
    add("--address", metavar="ADDRESS", help=address)
    add("--retry-failed", action="store_true", help="analyse again the pictures that failed before")
    add("--json", action="store_true", help="print the summary as a JSON object")
    add_model_options(parser, threads=False)
    return parser.parse_args(arguments)


def _work(options: argparse.Namespace) -> int:
    with quiet_native_stderr():  # Ray's own processes, and what runtimes say of themselves
        with command.needing_extra("archive", "an archive"):
            from . import pipeline
        from edge.cli.lines import Lines
        from edge.model.named import SHIPPED, variants
        from edge.parallel import usable_cores

        from .parts import Parts
        from .pictures import address_options
        from .worker import answers_key, open_analyzer

        settings = model_settings(options)
        for option in _FILES:  # a worker has a folder of its own
            if settings[option] and settings[option] not in SHIPPED:
                settings[option] = os.path.abspath(settings[option])
        analyzer = open_analyzer(settings)
        if analyzer.contract.variant in variants(settings["model"]):  # on all processors alike
            settings["variant"] = analyzer.contract.variant
        key = answers_key(analyzer)
        base, mark, query = options.out.partition("?")
        name = re.sub(r"[^\w.-]", "_", analyzer.contract.name)[:40]
        folder = f"{base.rstrip('/') or '/'}/{name}-{key}{mark}{query}"
        _tell_others(base, f"{name}-{key}")
        lines = Lines(analyzer.contract, analyzer.rule, sys.stderr)
        todo, parts = _Todo(options.source, base), Parts(folder)
        for image, label in parts.done(retry=options.retry_failed):
            todo.is_new(image)
            lines.add(label)
        before = lines.total
        say(f"edge.archive: {before} pictures are in {printable(folder.partition('?')[0])}")
        started = time.perf_counter()
        with ExitStack() as stack:
            tasks: list[Any] = []
            for names in todo.parts():
                if not tasks:
                    workers = options.workers or usable_cores()
                    stack.enter_context(pipeline.started(options.address, workers))
                tasks.append(pipeline.keep(names))
            progress = Progress("pictures analysed:", todo.count)
            answers = pipeline.run(
                tasks,
                options.workers,
                settings=settings,
                key=key,
                folder=folder if mark or "://" in folder else os.path.abspath(folder),
                options=address_options(options.source),
            )
            for labels in answers if tasks else ():
                for label in labels:
                    lines.add(label)
                progress.update(lines.total - before)
            progress.clear()
    seconds = time.perf_counter() - started
    if options.json:
        summary = {
            "folder": folder.partition("?")[0],
            "pictures": lines.total,
            "new": lines.total - before,
            "failed": lines.failed,
            "not_listed": todo.unreadable,
            "labels": lines.labels,
            "model": analyzer.identity,
            "seconds": round(seconds, 3),
        }
        write_line(json.dumps(summary))
    else:
        lines.end(seconds, before)
    return 1 if lines.failed or todo.unreadable else 0


class _Todo:
    """What is to be analysed: each name once, of those that aren't there yet.

    Args:
        source: what the command line names.
        out: the folder of the answers, which is no input.

    """

    def __init__(self, source: str, out: str) -> None:
        self._source, self._out = source, out
        # 82 bytes a picture, measured; the names themselves would be 145 at 52 characters each.
        self._seen: set[int] = set()
        self.count = 0
        """How many pictures :meth:`parts` gave."""
        self.unreadable = 0
        """How many folders and lists can't be read, or hold no picture."""

    def is_new(self, image: str) -> bool:
        """Return whether a picture's name comes for the first time."""
        before = len(self._seen)
        digest = blake2b(image.encode(), digest_size=16).digest()
        self._seen.add(int.from_bytes(digest, "big"))
        return len(self._seen) > before

    def parts(self) -> Iterator[list[str]]:
        """Yield the names of each part's pictures; say which folders can't be read."""
        names = self._names()
        while part := list(islice(names, PART)):
            self.count += len(part)
            yield part
        self._seen.clear()

    def _names(self) -> Iterator[str]:
        from .parts import text
        from .pictures import find_pictures

        for found in find_pictures(
            self._source, self._out, lambda line: say(f"edge.archive: {line}")
        ):
            if isinstance(found, PictureError):
                self.unreadable += 1
                say(f"edge.archive: {found}")
            elif self.is_new(text(found)):
                yield found


def _tell_others(base: str, mine: str) -> None:
    """Say that a model or a rule is new beside others whose answers are there."""
    with suppress(OSError):
        others = [each.name for each in os.scandir(base) if each.is_dir() and each.name != mine]
        if others and not os.path.isdir(os.path.join(base, mine)):
            say(
                f"edge.archive: another model or rule than in {', '.join(sorted(others)[:3])}:"
                f" it begins anew, in {mine}"
            )


if __name__ == "__main__":
    os._exit(main())
