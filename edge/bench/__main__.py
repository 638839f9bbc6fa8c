"""Measure this machine: how fast each variant of a model is here, and which one to use."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from edge.cli import command
from edge.cli.arguments import count, make_parser, path
from edge.cli.output import write_line
from edge.cli.terminal import quiet_native_stderr, say
from edge.errors import ModelError
from edge.files import printable
from edge.parallel import default_threads, usable_cores

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from .measure import Route

_ROUNDS, _MOST_S = 100, 25.0
_EVERY_S = 10.0
SAMPLE = "ISIC_0000013.jpg"
_EPILOG = f"""\
Every variant that is there takes its turn with every number of threads, in an order drawn anew in
each round, for {_ROUNDS} rounds or {_MOST_S:.0f} seconds: a whole picture, from its file
to label and regions, all loaded. From two threads on the regions are found beside the model. MB and
start are those of a process of its own, from its start to the answer, with the default threads.

exit status: 0 measured, 1 a model or the picture can't be used, 2 wrong usage, 130 interrupted.

--json writes one object: {{"schema": 2, "versions", "machine": {{"cpu", "board", "flags": what the
processor can do, "cores", "memory_mb", ..., "before" and "after": {{"load_average", "governor",
"mhz", "mhz_max", "temperature_c", "throttle_count", "firmware_throttled"}}, null where the system
doesn't tell}}, "throttled": [why the run counts as throttled], "picture": {{"name", "width",
"height"}}, "routes": [{{"model", "variant", "sha256", "threads", "milliseconds": {{"decode",
"segment", "resize", "invoke", "total": {{"n", "min", "p50", "p95", "p99"}}}}, "peak_mb",
"start_ms"}}, ...], "refused": {{file: why}}, "advice": [a sentence for each model], "sustained":
[{{"at_s", all of "before", "total"}}, ...]}}. It names no host, no user and no folder: please send
it, see benchmarks/results in the project."""
_BUSY = 0.5
"""From this load for each core on, others have a part in the figures."""


def main(arguments: Sequence[str] | None = None, prog: str = "python -m edge.bench") -> int:
    """Run the command and return its exit status."""
    return command.run("edge.bench", lambda: _work(_parse(arguments, prog)))


def _parse(arguments: Sequence[str] | None, prog: str) -> argparse.Namespace:
    parser = make_parser(prog, __doc__, _EPILOG)
    add = parser.add_argument
    models = "a model's name, file, or folder of variants (default: all that are shipped)"
    add("models", nargs="*", metavar="MODEL|FOLDER", help=models)
    cores = usable_cores()
    sweep = sorted({1, min(2, cores), min(4, cores)})
    threads = f"numbers of threads (default here: {' '.join(map(str, sweep))})"
    add("--threads", type=count, nargs="+", default=sweep, metavar="N", help=threads)
    picture = f"the picture (default: {SAMPLE} of the ISIC archive, 1022 x 767, CC0)"
    add("--picture", type=path, metavar="FILE", help=picture)
    add("--rounds", type=count, default=_ROUNDS, metavar="N", help=f"at most (default: {_ROUNDS})")
    sustained = (
        "then let the first model analyse without a pause, as advised, for so many minutes, and"
        f" note speed, temperature and clock every {_EVERY_S:.0f} seconds"
    )
    add("--sustained", type=float, default=0.0, metavar="MINUTES", help=sustained)
    add("--json", action="store_true", help="one JSON object instead of text")
    return parser.parse_args(arguments)


def _work(options: argparse.Namespace) -> int:
    import numpy  # noqa: F401, ICN001 - where it can't be loaded, cv2 prints lines to standard output

    # isort: split
    import cv2

    from edge.analyzer import read_picture
    from edge.cli.version import text
    from edge.model.named import available, variants

    from . import environment, measure

    cv2.setNumThreads(1)  # as the commands that answer do
    models = options.models or [*available()]
    name = options.picture or _sample()
    picture = read_picture(name)  # refused before anything is measured
    before = environment.state()
    load = before["load_average"][0]
    if load > _BUSY * usable_cores():
        say(f"edge.bench: other work runs here (load {load}): it is in the figures; end it first")
    governor = (before["governor"] or ["performance"])[0]
    if governor != "performance":
        say(
            f"edge.bench: the governor is {governor}: its changes of clock are in the figures;"
            " echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        )
    with quiet_native_stderr():
        files = [(model, file) for model in models for file in variants(model).values()]
        routes, refused = measure.load(files, options.threads)
        measured = [[route for route in routes if route.model == model] for model in models]
        if not all(measured):
            raise next(iter(refused.values()), ModelError("no model is here: give a file"))
        measure.latency(routes, name, options.rounds, _MOST_S)
    measure.memory(routes, name)
    best = [min(each, key=lambda route: route.ms["total"]["p50"]) for each in measured]
    entries = measure.sustained(best[0].analyzer, name, options.sustained * 60, _EVERY_S)
    after = environment.state()
    document = {
        "schema": 2,
        "versions": text().splitlines()[:3],
        "machine": environment.machine() | {"before": before, "after": after},
        "throttled": environment.throttled(before, after),
        "picture": {
            "name": os.path.basename(picture.name or ""),
            **dict(zip(("width", "height"), picture.size_wh, strict=True)),
        },
        "routes": [route.to_dict() for route in routes],
        "refused": {os.path.basename(file): str(error) for file, error in refused.items()},
        "advice": [_advise(*each) for each in zip(best, measured, strict=True)],
        "sustained": entries,
    }
    write_line(json.dumps(document) if options.json else "\n".join(_describe(document)))
    return 0


def _sample() -> str:
    """Return the path of the picture that the package ships, or of the checkout's."""
    here = os.path.dirname(os.path.abspath(__file__))
    shipped = os.path.join(here, SAMPLE)
    if os.path.exists(shipped):
        return shipped
    root = os.path.dirname(os.path.dirname(here))
    return os.path.join(root, "pictures", "samples", "malignant", SAMPLE)


def _advise(best: Route, routes: Sequence[Route]) -> str:
    """Return the sentence: the route with the least p50, beside what runs without options."""
    from edge.model.named import find_model

    chosen = find_model(best.model)
    default = next(
        (each for each in routes if (each.file, each.threads) == (chosen, default_threads())), best
    )
    ms = best.ms["total"]["p50"]
    text = f"on this device use {printable(os.path.basename(best.model))} {_name(best)}"
    if default is best:
        return f"{text}, as it is by default: {ms:.2f} ms a picture"
    options = f"--variant {best.variant} " if best.file != chosen else ""
    return (
        f"{text} ({options}--threads {best.threads}): {ms:.2f} ms a picture; the default, "
        f"{_name(default)}, takes {default.ms['total']['p50'] / ms:.2f} times as long"
    )


def _name(route: Route) -> str:
    return f"{route.variant} with {route.threads} thread{'s' if route.threads > 1 else ''}"


def _describe(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a person reads, in lines."""
    machine, picture = document["machine"], document["picture"]
    features = " ".join(machine["flags"]) or "features not told"
    yield f"{machine['board'] or machine['cpu']}, {machine['cores']} cores, {features}"
    yield from document["versions"][:2]
    routes = document["routes"]
    yield (
        f"{printable(picture['name'])}, {picture['width']}x{picture['height']}; milliseconds, the "
        f"median of {routes[0]['milliseconds']['total']['n']} turns"
    )
    heads = ("decode", "segment", "resize", "invoke", "whole", "p95", "p99", "start", "MB")
    yield f"{'':<32}{''.join(f'{head:>9}' for head in heads)}"
    for route in routes:
        ms = route["milliseconds"]
        name = f"{printable(route['model'])} {route['variant']}, threads: {route['threads']}"
        cells = [*(f"{steps['p50']:.2f}" for steps in ms.values())]
        cells += [f"{ms['total'][percent]:.2f}" for percent in ("p95", "p99")]
        more = (route["start_ms"], route["peak_mb"])
        cells += ["-" if value is None else f"{value:.0f}" for value in more]
        yield f"{name:<32}{''.join(f'{cell:>9}' for cell in cells)}"
    yield from (f"can't run here: {reason}" for reason in document["refused"].values())
    for when in ("before", "after"):
        told = {key: value for key, value in machine[when].items() if value not in (None, {}, [])}
        yield f"{when}: " + ", ".join(f"{key} {value}" for key, value in told.items())
    for entry in document["sustained"]:
        yield (
            f"after {entry['at_s']:.0f} s: {entry['total']['p50']:.2f} ms, temperatures "
            f"{entry['temperature_c'] or 'not told'}, MHz {entry['mhz']}"
        )
    yield from (f"THROTTLED during the run: {reason}" for reason in document["throttled"])
    yield from document["advice"]


if __name__ == "__main__":
    sys.exit(main())
