"""Write tables and plots of every stored result, measuring nothing: ``benchmarks.study.report``.

``benchmarks/results/<machine>/result.json`` gives ``report.md`` and the plots beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.model.named import preferred

from .networks import COMPACT, DENSE
from .peers import PLAIN_INT8, PLAIN_KEPT, REWRITTEN
from .whole import NOTEBOOK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Entry = Mapping[str, Any]

RESULTS = Path(__file__).resolve().parent.parent / "results"
RESULT, REPORT = "result.json", "report.md"
TITLES = {
    DENSE: "dense",
    COMPACT: "channels compacted",
    # Earlier forms of the shipped network, in results that are stored.
    "gathered": "channels and places compacted",
    "windows": "channels and places compacted, in windows",
}
_PREFACE = (
    "Written by `python -m benchmarks.study.report` from `result.json`; what is measured, and how "
    "each peer is set up, is in [the benchmarks' README](../../README.md).  Times are in "
    "milliseconds, of all invokes; ratios are medians over the turns, with their 5th and 95th "
    "percentile.  Max |Δp| is the largest distance from Keras' probability, first: a turn's first "
    "invoke."
)


def main() -> int:
    """Render all results."""
    stored = sorted(RESULTS.glob(f"*/{RESULT}"))
    for path in stored:
        write(path.parent)
    if not stored:
        print("nothing measured yet: python -m benchmarks.study.measure", file=sys.stderr)
    return 0 if stored else 1


def write(folder: Path) -> None:
    """Write the report and the plots of one stored result."""
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    try:
        from .plots import draw
    except ImportError as error:  # matplotlib is in an extra; plots from an earlier time stay
        print(f"no plots: {error}; pip install '.[study]'", file=sys.stderr)
    else:
        draw(result, folder)
    plots = sorted(plot.name for plot in folder.glob("*.png"))
    (folder / REPORT).write_text(to_markdown(result, plots), encoding="utf-8")
    print(folder / REPORT)


def to_markdown(result: Mapping[str, Any], plots: Sequence[str]) -> str:
    """Return the whole report.

    Args:
        result: as :mod:`.measure` stores it.
        plots: file names of pictures that lie beside it.

    """
    told = result["environment"]
    warning = f"**THROTTLED: {'; '.join(result['throttled'])}.  These figures don't count.**"
    parts = [
        f"# {told['board'] or told['cpu']}",
        warning if result["throttled"] else "",
        _PREFACE,
        "## Aims",
        _aims(result),
        _choice(result),
        *_networks(result),
        *(["## Whole picture", _whole(result)] if "cold" in result else []),
        "## Threads",
        _threads(result["threads"]),
        *(f"![{plot.removesuffix('.png')}]({plot})" for plot in plots),
        "## Machine",
        _machine(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def timed(entries: Mapping[str, Entry]) -> list[tuple[str, Entry]]:
    """Return the routes that were timed, the fastest first; not those missing or refused."""
    found = [(key, entry) for key, entry in entries.items() if "ms" in entry]
    return sorted(found, key=lambda pair: pair[1]["ms"]["p50"])


def best_peer(sets: Mapping[str, Mapping[str, Entry]]) -> tuple[str, Entry] | None:
    """Return the fastest route that isn't ours, in any of these forms of a network."""
    found = [
        (f"{key} ({TITLES[name]})", entry)
        for name, entries in sets.items()
        for key, entry in timed(entries)
        if not entry["ours"]
    ]
    return min(found, key=lambda pair: pair[1]["times_ours"]["p50"], default=None)


def aims(result: Mapping[str, Any]) -> Iterator[tuple[str, str, float, Mapping[str, float] | None]]:
    """Yield what is aimed at, on one thread: text, compared with, times ours, what was measured."""
    session = result["threads"]["1"]
    sets, shipped = session["sets"], {**session["sets"]}
    dense = {DENSE: shipped.pop(DENSE)}
    for text, wanted, found in (
        ("dense: plain int8, same interpreter", 1.3, (PLAIN_INT8, sets[DENSE].get(PLAIN_INT8))),
        ("dense: best peer", 1.25, best_peer(dense)),
        ("shipped: plain int8, same model.h5", 3.5, (PLAIN_KEPT, sets[COMPACT].get(PLAIN_KEPT))),
        ("shipped: best peer, its best form", 1.25, best_peer(shipped)),
    ):
        against, entry = found or ("", None)
        yield text, against, wanted, (entry or {}).get("times_ours")
    if "cold" not in result:
        return
    for text, against, wanted, part in (
        ("whole picture, warm", "the notebook's way, Keras, model.predict", 10, session["whole"]),
        ("whole picture, cold", "the notebook's way, process start to answer", 20, result["cold"]),
    ):
        yield text, against, wanted, part["notebook_times_ours"].get(COMPACT)


def verdict(wanted: float, measured: Mapping[str, float] | None) -> str:
    """Return whether an aim is met."""
    if measured is None:
        return "not measured"
    return "met" if measured["p50"] >= wanted else "not met"


def _aims(result: Mapping[str, Any]) -> str:
    rows = [
        (text, against, f"{wanted:g}", _times(measured), f"**{verdict(wanted, measured)}**")
        for text, against, wanted, measured in aims(result)
    ]
    heads = ("times ours, one thread", "compared with", "aim", "measured (p5 to p95)", "")
    return table(heads, rows, left=2)


def _choice(result: Mapping[str, Any]) -> str:
    """Say how the variant that the edge's rule takes on this processor stands, dense."""
    variant = preferred(result["environment"]["flags"])[0]
    session = result["threads"]["1"]
    routes = timed(session["sets"][DENSE])
    ms = {key: entry["ms"]["p50"] for key, entry in routes}
    ours = ms.get(REWRITTEN if variant == "int8" else f"TFLite {variant}")
    if ours is None:
        return ""
    best = next((key for key in ms if "TFLite" not in key and key != REWRITTEN), None)
    text = f"On this processor `lesion-edge` runs {variant}: {_ms(ours)} ms with dense weights"
    if best is not None:
        share = f"{ms[best] / ours:.2f} of the speed of the best peer"
        text += f", {share}, {best} ({_ms(ms[best])} ms)"
    if result.get("busy"):
        text += (
            ".  The machine was busy: what is counted is the process' time on the processor, and "
            "answers are compared with the float32 file's"
        )
    return f"{text}."


def _networks(result: Mapping[str, Any]) -> Iterator[str]:
    for name, made in result["sets"].items():
        entries = result["threads"]["1"]["sets"].get(name, {})
        yield f"## One invoke: {TITLES[name]}"
        yield f"Network: {made['origin']}."
        yield _routes(entries, made["peak_mb"])
        yield "\n".join(
            f"- {key}: **{state}**, {entry[state]}"
            for key, entry in entries.items()
            for state in ("missing", "refused")
            if state in entry
        )


def _routes(entries: Mapping[str, Entry], peak_mb: Mapping[str, float]) -> str:
    rows = [
        (
            f"**{key}**" if entry["ours"] else key,
            ", ".join([*list(entry["versions"].values())[:1], entry["setup"]]),
            *(_ms(entry["ms"][percent]) for percent in ("p50", "p95", "p99")),
            _ms(entry["first_ms"]["p50"]),
            _times(entry["times_ours"]),
            f"{entry['max_delta']:.1g}",
            f"{peak_mb[key]:.0f}" if key in peak_mb else "",
        )
        for key, entry in timed(entries)
    ]
    heads = ("route", "set-up", "p50", "p95", "p99", "first", "times ours", "max \\|Δp\\|", "MB")
    return table(heads, rows, left=2)


def _whole(result: Mapping[str, Any]) -> str:
    warm, cold = result["threads"]["1"]["whole"], result["cold"]
    ways = {NOTEBOOK: "the notebook's way", DENSE: "edge, dense", COMPACT: "edge, shipped weights"}
    rows = [
        (
            text,
            *(_ms(warm["ms"][name][percent]) for percent in ("p50", "p95", "p99")),
            _times(warm["notebook_times_ours"].get(name)),
            *(_ms(cold["ms"][name][percent]) for percent in ("p50", "p95")),
            _times(cold["notebook_times_ours"].get(name)),
            f"{cold['peak_mb'][name]:.0f}",
        )
        for name, text in ways.items()
    ]
    times = "notebook / it"
    heads = ("", "warm p50", "p95", "p99", times, "cold p50", "p95", times, "MB")
    return (
        f"From the file ({warm['picture']}) to label and regions.  Warm: all loaded, one thread.  "
        f"Cold: from process start to answer, the default number of threads.\n\n"
        f"{table(heads, rows)}"
    )


def _threads(sessions: Mapping[str, Any]) -> str:
    """Ours and the best peer with each number of threads."""
    rows = []
    for threads, session in sessions.items():
        for name, entries in session["sets"].items():
            ours, plain = entries.get(REWRITTEN), entries.get(PLAIN_INT8)
            peers = (pair for pair in timed(entries) if not pair[1]["ours"])
            against, best = next(peers, ("", None))
            cells = [cell for each in (ours, plain, best) for cell in _p50_and_times(each)]
            rows.append((threads, TITLES[name], cells[0], *cells[2:], against))
    heads = ("threads", "network", "ours p50", "plain int8 p50", "times ours", "best peer p50")
    return table((*heads, "times ours", "best peer"), rows, left=2)


def _p50_and_times(entry: Entry | None) -> tuple[str, str]:
    if entry is None or "ms" not in entry:
        return "", ""
    return _ms(entry["ms"]["p50"]), f"{entry['times_ours']['p50']:.2f}"


def _machine(result: Mapping[str, Any]) -> str:
    told = dict(result["environment"])
    before, after = told.pop("before"), told.pop("after")
    throttled = "; ".join(result["throttled"]) or "nothing says so"
    rows = [(key, _show(value), "") for key, value in told.items()]
    rows += [(key, _show(value), _show(after[key])) for key, value in before.items()]
    rows += [("measured", result["created"], ""), ("throttled", throttled, "")]
    return table(("", "before", "after"), [(key.replace("_", " "), *r) for key, *r in rows], left=3)


def _show(value: object) -> str:
    if value in (None, [], {}):
        return "not told"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _times(ratio: Mapping[str, float] | None) -> str:
    return f"{ratio['p50']:.2f} ({ratio['p5']:.2f} to {ratio['p95']:.2f})" if ratio else ""


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table; the columns behind ``left`` are aligned right."""
    rule = ["---" if number < left else "---:" for number in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


if __name__ == "__main__":
    sys.exit(main())
