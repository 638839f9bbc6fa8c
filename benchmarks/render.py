"""A stored result as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .aims import aims, timed
from .names import COMPACT, DENSE, FORMS, MAIN, NOTEBOOK, PLAIN, PLAIN_UNCOMPACTED, REWRITTEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Result = Mapping[str, Any]

_PREFACE = (
    "Written by `python -m benchmarks.report` from `result.json`; what is measured, and how each "
    "peer is set up, is in [the benchmarks' README](../../README.md).  Times are in milliseconds, "
    "of all invokes; ratios are medians over the turns, with their 5th and 95th percentile.  "
    "Max |Δp| is the largest distance from Keras' probability, first: a turn's first invoke."
)
_PIPELINES = {
    NOTEBOOK: "the notebook's way",
    DENSE: "edge, dense weights",
    COMPACT: "edge, shipped weights",
}


def to_markdown(result: Result, plots: Sequence[str]) -> str:
    """Return the whole report.

    Args:
        result: as :mod:`.measure` stores it.
        plots: file names of pictures that lie beside it.

    """
    parts = [
        f"# {result['environment']['board'] or result['environment']['cpu']}",
        _warning(result),
        _PREFACE,
        "## Aims",
        _aims(result),
        *_sets(result),
        "## Whole picture",
        _whole(result),
        "## Threads",
        _threads(result),
        "## Floor",
        _floor(result),
        *(f"![{plot.removesuffix('.png')}]({plot})" for plot in plots),
        "## Machine",
        _machine(result),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def peak_rate(result: Result) -> float | None:
    """Return the machine's int8 peak with one thread, in billion multiply-adds a second."""
    session = result["threads"].get(MAIN)
    return session and _rate(result["peak_multiply_adds"], session["peak"])


def cost(made: Mapping[str, Any], key: str) -> int:
    """Return how many multiply-adds a route computes: fewer where it leaves places out."""
    kind = {PLAIN_UNCOMPACTED: "uncompacted"}.get(key, "rewritten" if "rewritten" in key else "")
    found: int = made.get(f"multiply_adds_{kind}", made["multiply_adds"])
    return found


def _warning(result: Result) -> str:
    if not result["throttled"]:
        return ""
    return f"**THROTTLED: {'; '.join(result['throttled'])}.  These figures don't count.**"


def _aims(result: Result) -> str:
    rows = []
    for aim in aims(result, MAIN):
        measured = "" if aim.measured is None else f"{aim.measured:.2f}"
        spread = "" if aim.spread is None else f"{aim.spread[0]:.2f} to {aim.spread[1]:.2f}"
        wanted = f"{aim.wanted:g}"
        rows.append((aim.text, aim.against, wanted, measured, spread, f"**{aim.verdict}**"))
    heads = ("times ours, one thread", "compared with", "aim", "measured", "p5 to p95", "")
    return _table(heads, rows, left=2)


def _sets(result: Result) -> Iterable[str]:
    sessions = result["threads"]
    for name, made in result["sets"].items():
        entries = sessions.get(MAIN, {"sets": {}})["sets"].get(name, {})
        channels = " + ".join(map(str, made["channels"]))
        side, places = made["side"], made.get("places")
        batch = f"{made['batch']} windows of" if made.get("batch", 1) > 1 else "picture"
        yield f"## One invoke: {FORMS[name]}"
        yield (
            f"{made['origin']}.  Channels {channels}, {batch} {side} x {side}, "
            f"{made['multiply_adds'] / 1e6:.0f} million multiply-adds"
            + (f"; dense1 looks at {places}." if places else ".")
        )
        yield _routes(result, made, entries)
        yield _untimed(entries)


def _routes(result: Result, made: Mapping[str, Any], entries: Mapping[str, Any]) -> str:
    peak = peak_rate(result)
    rows = []
    for key, entry in sorted(timed(entries).items(), key=lambda item: item[1]["ms"]["p50"]):
        ms, first, times = entry["ms"], entry["first_ms"], entry["times_ours"]
        versions = {entry["versions"][package] for package in list(entry["versions"])[:1]}
        share = (_rate(cost(made, key), entry) / peak) if peak else 0
        rows.append(
            (
                f"**{key}**" if entry["ours"] else key,
                ", ".join([*versions, entry["setup"]]),
                *(_ms(ms[percent]) for percent in ("p50", "p95", "p99")),
                _ms(first["p50"]),
                f"{times['p50']:.2f} ({times['p5']:.2f} to {times['p95']:.2f})",
                f"{entry['max_delta']:.1g}",
                f"{share:.0%}",
                f"{made['peak_mb'][key]:.0f}" if key in made["peak_mb"] else "",
            )
        )
    heads = (
        "route", "set-up", "p50", "p95", "p99", "first", "times ours", "max \\|Δp\\|",
        "of int8 peak", "MB",
    )  # fmt: skip
    return _table(heads, rows, left=2)


def _untimed(entries: Mapping[str, Any]) -> str:
    lines = []
    for key, entry in entries.items():
        if "missing" in entry:
            lines.append(f"- {key}: **missing**, {entry['missing']}")
        elif "refused" in entry:
            lines.append(f"- {key}: **refused**, {entry['refused']}")
    return "\n".join(lines)


def _whole(result: Result) -> str:
    """Warm and cold, the notebook's beside ours."""
    session = result["threads"].get(MAIN)
    if session is None:
        return ""
    warm, cold = session["whole"], result["cold"]
    rows = []
    for name in warm["ms"]:
        ratios = [
            "" if name == NOTEBOOK else f"{part['notebook_times_ours'][name]['p50']:.1f}"
            for part in (warm, cold)
        ]
        rows.append(
            (
                _PIPELINES[name],
                *(_ms(warm["ms"][name][percent]) for percent in ("p50", "p95", "p99")),
                ratios[0],
                *(_ms(cold["ms"][name][percent]) for percent in ("p50", "p95")),
                ratios[1],
                f"{cold['peak_mb'][name]:.0f}",
            )
        )
    heads = (
        "", "warm p50", "p95", "p99", "notebook / it", "cold p50", "p95", "notebook / it", "MB"
    )  # fmt: skip
    return (
        f"From the file ({warm['picture']}) to label and regions.  Warm: all loaded, one thread.  "
        f"Cold: from process start to answer, the default number of threads.\n\n"
        f"{_table(heads, rows)}"
    )


def _threads(result: Result) -> str:
    """Ours and the best peers with each number of threads."""
    rows = []
    for threads, session in result["threads"].items():
        for name, entries in session["sets"].items():
            peers = [pair for pair in timed(entries).items() if not pair[1]["ours"]]
            best = min(peers, key=lambda pair: pair[1]["ms"]["p50"], default=("", None))
            ours = entries.get(REWRITTEN, {})
            plain = entries.get(PLAIN, {})
            cells = [_p50(ours), *_p50_and_times(plain), *_p50_and_times(best[1] or {})]
            rows.append((threads, FORMS[name], *cells, best[0]))
    heads = (
        "threads", "network", "ours p50", "plain int8 p50", "times ours",
        "best peer p50", "times ours", "best peer",
    )  # fmt: skip
    return _table(heads, rows, left=2)


def _p50_and_times(entry: Mapping[str, Any]) -> tuple[str, str]:
    return _p50(entry), f"{entry['times_ours']['p50']:.2f}" if "ms" in entry else ""


def _p50(entry: Mapping[str, Any]) -> str:
    return _ms(entry["ms"]["p50"]) if "ms" in entry else ""


def _floor(result: Result) -> str:
    peak = peak_rate(result)
    if not peak:
        return ""
    rows = []
    for name, made in result["sets"].items():
        for kind, text in (("", ""), ("_uncompacted", ", dead channels kept"),
                           ("_rewritten", ", places that ours computes")):  # fmt: skip
            if (count := made.get(f"multiply_adds{kind}")) is not None:
                floor = count / peak / 1e6
                rows.append((f"{FORMS[name]}{text}", f"{count / 1e6:.1f}", _ms(floor)))
    return (
        f"A large 1 x 1 int8 convolution reaches {peak:.0f} billion multiply-adds a second here, "
        "in the same run, one thread.  A network that reached that everywhere would take:\n\n"
        + _table(("network", "million multiply-adds", "ms"), rows)
    )


def _rate(multiply_adds: int, entry: Mapping[str, Any]) -> float:
    return float(multiply_adds / entry["ms"]["p50"] / 1e6)


def _machine(result: Result) -> str:
    told = result["environment"]
    constant = {key: value for key, value in told.items() if key not in ("before", "after")}
    rows = [(key.replace("_", " "), _show(value), "") for key, value in constant.items()]
    for key, before in told["before"].items():
        rows.append((key.replace("_", " "), _show(before), _show(told["after"][key])))
    rows.append(("measured", result["created"], ""))
    rows.append(("throttled", _show(result["throttled"] or "nothing says so"), ""))
    return _table(("", "before", "after"), rows, left=3)


def _show(value: object) -> str:
    if value in (None, [], {}):
        return "not told"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Return a Markdown table; the columns behind ``left`` are aligned right."""
    rule = ["---" if number < left else "---:" for number in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))
