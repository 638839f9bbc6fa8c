"""The plots of a stored result, as small PNG files."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

from .aims import timed
from .names import COMPACT, CUT, DENSE, FORMS, GATHERED, MAIN, NOTEBOOK, PLAIN_UNCOMPACTED, WINDOWS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Result = Mapping[str, Any]

_OURS, _PEER, _OTHER = "#c0392b", "#4a6fa5", "#8aa6c1"
_LEAST_DELTA = 1e-8
"""What is drawn of an answer that is Keras' own, which a logarithmic axis has no place for."""

mpl.use("Agg")
plt.rcParams.update(
    {"font.size": 9, "savefig.dpi": 100, "figure.dpi": 100, "axes.spines.top": False}
)
plt.rcParams.update({"axes.spines.right": False, "axes.axisbelow": True})


def draw(result: Result, folder: Path) -> None:
    """Write every plot into a folder."""
    session = result["threads"].get(MAIN)
    if session is None:
        return
    _latency(session, [DENSE], "latency: dense network", folder / "latency-dense.png")
    shipped = [name for name in (COMPACT, *CUT) if name in session["sets"]]
    _latency(session, shipped, "latency: shipped weights", folder / "latency-shipped.png")
    _frame(session, folder / "frame.png")
    _delta(session, [DENSE, *shipped], folder / "speed-and-answers.png")


def _latency(session: Result, sets: Sequence[str], title: str, path: Path) -> None:
    """Draw p50 as a dot, and a line from it to p95 and on to p99."""
    rows = sorted(
        ((entry["ms"], key, name, entry["ours"]) for name in sets
         for key, entry in timed(session["sets"][name]).items()),
        key=lambda row: -row[0]["p50"],
    )  # fmt: skip
    figure, axes = plt.subplots(figsize=(7.5, 0.8 + 0.23 * len(rows)), layout="constrained")
    for place, (ms, _, name, ours) in enumerate(rows):
        colour = _OURS if ours else _PEER if name not in CUT else _OTHER
        axes.plot([ms["p50"], ms["p95"]], [place, place], color=colour, linewidth=3)
        axes.plot([ms["p95"], ms["p99"]], [place, place], color=colour, linewidth=1)
        axes.plot(ms["p50"], place, "o", color=colour, markersize=5)
    marks = {DENSE: "", COMPACT: "", GATHERED: "  [places]", WINDOWS: "  [windows]"}
    axes.set_yticks(range(len(rows)), [f"{key}{marks[name]}" for _, key, name, _ in rows])
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color(_OURS if row[3] else "black")
    axes.set_xscale("log")
    _plain_ticks(axes)
    axes.grid(axis="x", which="both", color="#e5e5e5")
    axes.set_xlabel("ms an invoke, one thread: dot p50, thick to p95, thin to p99")
    note = "\n[places], [windows]: channels and places compacted" if GATHERED in sets else ""
    axes.set_title(f"{title}{note}", loc="left")
    figure.savefig(path)
    plt.close(figure)


def _plain_ticks(axes: Any) -> None:
    """Label 1, 2, 5, 10, ... as such."""
    axes.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda ms, _: f"{ms:g}"))
    axes.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())


def _frame(session: Result, path: Path) -> None:
    """Draw where a picture's time goes; the notebook's in a panel and a scale of its own."""
    stages = session["whole"]["stages_ms"]
    ours = [name for name in stages if name != NOTEBOOK]
    panels = [("edge", ours), ("the notebook's way", [NOTEBOOK])]
    heights = [len(names) for _, names in panels]
    figure, both = plt.subplots(
        2, 1, figsize=(7.5, 3.6), layout="constrained", height_ratios=heights
    )
    colours = {
        "decode": "#4a6fa5", "segment": "#7fb069", "resize": "#e6aa42", "invoke": _OURS,
        "resize and predict": _OURS,
    }  # fmt: skip
    for axes, (title, names) in zip(both, panels, strict=True):
        for place, name in enumerate(names):
            left = 0.0
            for stage, ms in stages[name].items():
                axes.barh(place, ms["p50"], left=left, height=0.6, color=colours[stage])
                left += ms["p50"]
            parts = ", ".join(f"{stage} {ms['p50']:.2g}" for stage, ms in stages[name].items())
            axes.text(0, place + 0.34, f"{parts} ms", va="bottom", fontsize=8)
        axes.set_yticks(range(len(names)), [FORMS.get(name, "Keras") for name in names])
        axes.set_ylim(-0.5, len(names) - 0.2)
        axes.set_title(f"{title}: where a picture's time goes (p50 of each step)", loc="left")
        axes.set_xlabel("ms, warm, one thread")
    figure.savefig(path)
    plt.close(figure)


def _delta(session: Result, sets: Sequence[str], path: Path) -> None:
    """Draw speed against the largest distance from Keras' answer, numbered, with a key beside."""
    figure, panels = plt.subplots(
        len(sets), 1, figsize=(8, 3.5 * len(sets)), layout="constrained", squeeze=False
    )
    for axes, name in zip(panels[:, 0], sets, strict=True):
        entries = _by_speed(session, name)
        for number, (key, entry) in enumerate(entries, 1):
            colour = _OURS if entry["ours"] else _OTHER if key == PLAIN_UNCOMPACTED else _PEER
            x, y = _point(entry)
            axes.plot(x, y, "o", color=colour, markersize=5, label=f"{number}  {key}")
        axes.set(xscale="log", yscale="log", ylabel="max |Δp| from Keras")
        _plain_ticks(axes)
        axes.grid(color="#e5e5e5")
        axes.margins(0.08, 0.15)
        axes.set_title(FORMS[name], loc="left")
        axes.set_xlabel("ms an invoke, p50, one thread")
        axes.legend(
            loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8, frameon=False,
            handlelength=0.8, labelspacing=0.25,
        )  # fmt: skip
    figure.draw_without_rendering()  # lays the panels out, so that pixels are known
    for axes, name in zip(panels[:, 0], sets, strict=True):
        _number(axes, _by_speed(session, name))
    figure.savefig(path)
    plt.close(figure)


def _by_speed(session: Result, name: str) -> list[tuple[str, Any]]:
    return sorted(timed(session["sets"][name]).items(), key=lambda item: item[1]["ms"]["p50"])


def _point(entry: Mapping[str, Any]) -> tuple[float, float]:
    return entry["ms"]["p50"], max(entry["max_delta"], _LEAST_DELTA)


def _number(axes: Any, entries: Sequence[tuple[str, Any]]) -> None:
    """Number the points, each number where the other points and numbers are farthest away."""
    place = axes.transData.transform
    taken = [place(_point(entry)) for _, entry in entries]
    directions = [np.array(xy) for xy in product((-1, 0, 1), repeat=2) if any(xy)]
    for number, (_, entry) in enumerate(entries, 1):
        point = place(_point(entry))
        spots = [point + distance * xy for distance in (13, 24) for xy in directions]
        # A tie, or nearly one, goes to the spot that is nearer to the point.
        room = [min(25, *(np.hypot(*(spot - other)) for other in taken)) for spot in spots]
        spot = spots[int(np.argmax(room))]
        taken.append(spot)
        note = axes.annotate(
            str(number), point, spot, xycoords="figure pixels", textcoords="figure pixels",
            ha="center", va="center", fontsize=8,
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": "gray", "shrinkA": 4},
        )  # fmt: skip
        note.set_in_layout(False)
