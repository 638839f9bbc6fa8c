"""A histogram of probabilities as SVG, for the report."""

from __future__ import annotations

from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from edge.model.rule import UNCERTAIN

if TYPE_CHECKING:
    from edge.model.rule import Rule

_BINS = 20
_STEP, _BASELINE, _TALLEST = 20, 116, 86  # a bin's width, and heights, in the drawing's own units
_WIDTH = _BINS * _STEP
_TICKS = ((0, "start"), (0.25, "middle"), (0.5, "middle"), (0.75, "middle"), (1, "end"))


class Histogram:
    """Counts probabilities in 20 bins, by label, and draws them.

    Args:
        positive: the positive label; its class in the drawing is ``yes``.
        other: what to call whatever is not; its class is ``no``.
        rule: where the lines go: the ends of its band, whose class is ``unsure``, or the threshold.

    """

    def __init__(self, positive: str, other: str, rule: Rule) -> None:
        self._labels, self._rule = {"yes": positive, "no": other, "unsure": UNCERTAIN}, rule
        self._bins = [Counter[str]() for _ in range(_BINS)]

    def add(self, probability: float, group: str) -> None:
        """Count a probability, 0..1, of the group ``no``, ``unsure`` or ``yes``."""
        self._bins[min(int(probability * _BINS), _BINS - 1)][group] += 1

    def draw(self) -> str:
        """Return an ``<svg>`` element, or nothing where nothing was counted."""
        peak = max(counts.total() for counts in self._bins)
        if not peak:
            return ""
        title = escape(f"Pictures by P({self._labels['yes']})")
        spoken, drawn = [], []
        for index, counts in enumerate(self._bins):
            if not counts:
                continue
            told = escape(
                f"{index / _BINS:.2f} to {(index + 1) / _BINS:.2f}: "
                + ", ".join(f"{counts[key]} {self._labels[key]}" for key in sorted(counts))
            )
            spoken.append(told)
            drawn.append(f"<g><title>{told}</title>{_draw_bar(index, counts, peak)}</g>")
        line, path, caption = self._draw_threshold()
        ticks = "".join(
            f'<text x="{share * _WIDTH:g}" y="{_BASELINE + 15}" text-anchor="{place}">'
            f"{share:g}</text>"
            for share, place in _TICKS
        )
        top = _BASELINE - _TALLEST
        return (
            f"<figure><figcaption>{title}</figcaption>\n"
            f'<svg viewBox="0 0 {_WIDTH} {_BASELINE + 20}" role="img" '
            f'aria-label="{title}{line}. {"; ".join(spoken)}">\n'
            f'<path class="grid" d="M0 {top}H{_WIDTH}"/><text y="{top - 4}">{peak}</text>\n'
            f'{"".join(drawn)}\n<path d="M0 {_BASELINE}H{_WIDTH}{path}"/>{ticks}\n'
            f"{caption}</svg></figure>"
        )

    def _draw_threshold(self) -> tuple[str, str, str]:
        """Return what is said of it, the path of its lines, and its caption."""
        threshold, band = self._rule.threshold, self._rule.uncertain
        if threshold is None:
            return "", "", ""
        ends, line = band or (threshold,), f"threshold {threshold}"
        if band is not None:
            line = "{} from {} to {}".format(UNCERTAIN, *band)
        first, last = ends[0] * _WIDTH, ends[-1] * _WIDTH
        aside, anchor = (last + 5, "start") if last < _WIDTH / 2 else (first - 5, "end")
        caption = f'<text x="{aside:g}" y="10" text-anchor="{anchor}">{line}</text>\n'
        return f", {line}", "".join(f"M{end * _WIDTH:g} 0V{_BASELINE}" for end in ends), caption


def _draw_bar(index: int, counts: Counter[str], peak: int) -> str:
    x, top, bar = index * _STEP, float(_BASELINE), ""
    for key in sorted(counts):
        height = max(1.5, counts[key] / peak * _TALLEST)  # one of many is still seen
        top -= height
        bar += (
            f'<rect class="{key}" x="{x + 1}" y="{top:.1f}" width="{_STEP - 2}" '
            f'height="{height:.1f}"/>'
        )
    return bar
