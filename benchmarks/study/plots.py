"""Draw a stored result as small PNG files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from .networks import DENSE
from .report import TITLES, timed
from .whole import NOTEBOOK

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_OURS, _PEER = "#c0392b", "#4a6fa5"
_STAGES = {"decode": "#4a6fa5", "segment": "#7fb069", "resize": "#e6aa42"}

mpl.use("Agg")


def draw(result: Mapping[str, Any], folder: Path) -> None:
    """Write every plot into a folder."""
    session = result["threads"]["1"]
    shipped = [name for name in session["sets"] if name != DENSE]
    _latency(session, [DENSE], "dense network", folder / "latency-dense.png")
    _latency(session, shipped, "shipped weights", folder / "latency-shipped.png")
    if "whole" in session:
        _stages(session["whole"]["stages_ms"], folder / "frame.png")


def _latency(session: Any, sets: Sequence[str], title: str, path: Path) -> None:
    """Draw p50 as a dot, and a line from it to p95 and on to p99."""
    rows = [(name, key, entry) for name in sets for key, entry in timed(session["sets"][name])]
    rows.sort(key=lambda row: -row[2]["ms"]["p50"])
    figure, axes = plt.subplots(figsize=(7.5, 0.8 + 0.23 * len(rows)), layout="constrained")
    for place, (_, _, entry) in enumerate(rows):
        ms, colour = entry["ms"], _OURS if entry["ours"] else _PEER
        axes.plot([ms["p50"], ms["p95"]], [place, place], color=colour, linewidth=3)
        axes.plot([ms["p95"], ms["p99"]], [place, place], color=colour, linewidth=1)
        axes.plot(ms["p50"], place, "o", color=colour, markersize=5)
    marks = [f"{key}  [{TITLES[name]}]" if len(sets) > 1 else key for name, key, _ in rows]
    axes.set_yticks(range(len(rows)), marks, fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axes.grid(axis="x", which="both", color="#e5e5e5")
    axes.set_xlabel("ms an invoke, one thread: dot p50, thick to p95, thin to p99")
    axes.set_title(f"latency: {title}", loc="left")
    figure.savefig(path)
    plt.close(figure)


def _stages(stages_ms: Any, path: Path) -> None:
    """Draw where a picture's time goes; the notebook's in a panel and a scale of its own."""
    panels = {
        "edge": [name for name in stages_ms if name != NOTEBOOK],
        "the notebook's way": [NOTEBOOK],
    }
    figure, both = plt.subplots(
        2, 1, figsize=(7.5, 3.6), layout="constrained", height_ratios=(2, 1)
    )
    for axes, (title, names) in zip(both, panels.items(), strict=True):
        for place, name in enumerate(names):
            left = 0.0
            for stage, ms in stages_ms[name].items():
                colour = _STAGES.get(stage, _OURS)
                axes.barh(place, ms["p50"], left=left, height=0.6, color=colour)
                left += ms["p50"]
            parts = ", ".join(f"{stage} {ms['p50']:.2g}" for stage, ms in stages_ms[name].items())
            axes.text(0, place + 0.34, f"{parts} ms", va="bottom", fontsize=8)
        axes.set_yticks(range(len(names)), [TITLES.get(name, "Keras") for name in names])
        axes.set_ylim(-0.5, len(names) - 0.2)
        axes.set_title(f"{title}: where a picture's time goes (p50 of each step)", loc="left")
        axes.set_xlabel("ms, warm, one thread")
    figure.savefig(path)
    plt.close(figure)
