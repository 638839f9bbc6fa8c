"""Results as a page to look at: one HTML file that holds all it shows and asks nothing of anyone.

The page's form, style and script are in ``page.html``.  Its cards are written as the pictures
come; counts and histogram, known only at the end, are written last and shown first.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from contextlib import contextmanager
from datetime import datetime
from html import escape
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import quote

from edge import __version__
from edge.cli.labels import describe_rule, name_some, seen
from edge.errors import LesionEdgeError
from edge.files import printable
from edge.model.rule import UNCERTAIN
from edge.results import NOTICE

from .growing import growing_file, reason
from .histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge.model.contract import Contract
    from edge.model.rule import Rule
    from edge.results import Analysis

    from .growing import GrowingFile

_FORM = os.path.join(os.path.dirname(__file__), "page.html")
_SECTION = 60  # pictures; page.html says why
_LONGEST_NAME = 36
_NAMED = 8  # labels in a row, at most


@contextmanager
def html_report(
    path: str, contract: Contract, rule: Rule, settings: Mapping[str, str]
) -> Iterator[HtmlReport]:
    """Yield a report that is written to ``path``, whole when the block ends.

    Of a run that ended early it shows what was done, and says so.

    Args:
        path: a name that ends in ``.html``.
        contract: that of the model.
        rule: the one in use.
        settings: what else a reader should know of the run, by name.

    Raises:
        OutputError: see :func:`edge.report.growing.growing_file`.

    """
    with growing_file(path, ".html", ".htm") as file:
        report = HtmlReport(file, os.path.dirname(path), contract, rule)
        report.begin(settings)
        file.at_end = report.end
        yield report


class HtmlReport:
    """A page in the making, as :func:`html_report` gives it.  It keeps numbers, no picture."""

    def __init__(self, file: GrowingFile, folder: str, contract: Contract, rule: Rule) -> None:
        self._file, self._folder = file, folder or os.curdir
        self._contract, self._rule = contract, rule
        self._counts: Counter[str] = Counter()
        self._labels: Counter[str] = Counter()
        # What a label's pictures are filtered by.
        self._keys = {label: f"label-{index}" for index, label in enumerate(contract.labels)}
        if len(contract.labels) == 2:
            self._keys = dict.fromkeys(contract.labels, "no")
        self._keys[contract.positive] = "yes"
        if contract.may_be_uncertain(rule):
            self._keys[UNCERTAIN] = "unsure"
        others = [label for label in contract.labels if label != contract.positive]
        other = others[0] if len(others) == 1 else "of other labels"
        self._histogram = Histogram(contract.positive, other, rule)
        with open(_FORM, encoding="utf-8") as form:
            self._top, self._bottom = form.read().split("<!-- pictures -->\n")

    def begin(self, settings: Mapping[str, str]) -> None:
        """Write the page up to its first picture."""
        contract, two = self._contract, len(self._contract.labels) == 2
        about = {
            "Model": f"{contract.name} {contract.variant}",
            "SHA-256": contract.sha256,
            "Input": "{} x {} pixels".format(*contract.input.size_wh),
            "Labels": " or ".join(contract.labels) if two else name_some(contract.labels, _NAMED),
            "Threshold": describe_rule(contract, self._rule),
            **settings,
            "Version": f"lesion-edge {__version__}",
        }
        first, last = self._rule.uncertain or (self._rule.threshold or 0.0,) * 2
        script = self._bottom.split("<script>")[1].split("</script>")[0]
        self._file.write(
            Template(self._top).substitute(
                script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
                date=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
                notice=NOTICE,
                mark=f"{first:%}",
                band=f"{last - first:%}",
                about="\n".join(_describe_setting(key, value) for key, value in about.items()),
            )
        )

    def add(
        self,
        name: str,
        result: Analysis | LesionEdgeError,
        thumbnail: bytes | None = None,
        saved: str | None = None,
    ) -> None:
        """Write a picture's card.

        Args:
            name: the picture's path, as it was given.
            result: its analysis, or why there is none.
            thumbnail: a JPEG, as :func:`edge.report.thumbnail.make_thumbnail` returns it.
            saved: the path of its annotated copy, which the thumbnail links to.

        Raises:
            OutputError: it can't be written.

        """
        probability = ""
        if isinstance(result, LesionEdgeError):
            groups, well = ["failed"], "not analysed"
            lines = [
                '<p><span class="failed chip">failed</span></p>',
                f'<p class="small">{_text(reason(name, result))}</p>',
            ]
        else:
            groups = [self._keys[result.label]]
            self._labels[result.label] += 1
            well = _show(thumbnail, saved and _link(saved, self._folder))
            lines = self._describe(result)
            probability = f' data-p="{result.probability!r}"'
            self._histogram.add(result.probability, self._hue(result.label))
            if result.warnings:
                groups.append("warned")
        if self._counts["all"] and self._counts["all"] % _SECTION == 0:
            self._file.write("</section>\n<section>\n")
        self._file.write(
            f'<article data-groups="{" ".join(groups)}"{probability}>\n'
            f'<div class="well">{well}</div>\n{_heading(name)}\n'
            + "\n".join(lines)
            + "\n</article>\n"
        )
        self._counts.update(["all", *groups])

    def end(self, early: bool) -> None:  # noqa: FBT001
        """Write the page from its last picture on; ``early`` where not all pictures were done."""
        counts = self._counts
        labels = seen(self._contract, self._rule, self._labels)
        chips = [
            f'<span class="{self._hue(label)} chip">{self._labels[label]} {_text(label)}</span>'
            for label in labels
            if self._labels[label]
        ]
        others = {"failed": "failed", "warned": "with a warning"}
        ends = [
            f'<span class="{key} chip">{counts[key]} {name}</span>'
            for key, name in others.items()
            if counts[key]
        ]
        names = {"all": "All", **{self._keys[label]: _text(label) for label in labels}, **others}
        total = f"{counts['all']} picture{'' if counts['all'] == 1 else 's'}"
        if early:
            total = f"Interrupted after {total}; others were not analysed."
        if len(chips) > _NAMED:
            chips = [*chips[:_NAMED], f"and {len(chips) - _NAMED} other labels"]
        summary = f"<p><b>{total}</b> {' '.join([*chips, *ends])}</p>"
        buttons = (
            f'<button data-key="{key}" aria-pressed="{str(key == "all").lower()}"'
            f"{'' if counts[key] else ' disabled'}>{name} <b>{counts[key]}</b></button>"
            for key, name in names.items()
        )
        self._file.write(
            Template(self._bottom).substitute(
                summary=f"{summary}\n{self._histogram.draw()}", groups="\n".join(buttons)
            )
        )

    def _hue(self, label: str) -> str:
        key = self._keys[label]
        return key if key in ("yes", "unsure") else "no"

    def _describe(self, analysis: Analysis) -> list[str]:
        hue = self._hue(analysis.label)
        return [
            f'<p><span class="{hue} chip">{_text(analysis.label)}</span></p>',
            *(self._draw_bar(analysis, label, rounded) for label, rounded in analysis.shown),
            f'<p class="small">{analysis.found}</p>',
            *([f'<p class="small">{_text(told)}</p>'] if (told := analysis.explained) else []),
            *(f'<p class="small"><b>Warning:</b> {_text(text)}</p>' for text in analysis.warnings),
        ]

    def _draw_bar(self, analysis: Analysis, label: str, rounded: str) -> str:
        """Return a probability and its bar, on which threshold or band is marked."""
        exact, hue = analysis.probability, self._hue(analysis.label)
        if label != analysis.positive:
            exact, hue = analysis.probabilities[label], "plain no"
        elif self._rule.threshold is None:
            hue = f"plain {hue}"
        return (
            f'<p title="{exact!r}">{_text(f"P({label})")} <b>{rounded}</b></p>\n'
            f'<div class="{hue} bar"><i style="width:{exact:.1%}"></i></div>'
        )


def _text(value: str) -> str:
    """Return what came from outside as one line of text in the page, whatever it holds."""
    return escape(printable(value))


def _show(thumbnail: bytes | None, link: str | None) -> str:
    image = "no thumbnail"
    if thumbnail is not None:
        data = base64.b64encode(thumbnail).decode()
        image = f'<img src="data:image/jpeg;base64,{data}" alt="" decoding="async">'
    return f'<a href="{link}" aria-label="annotated picture">{image}</a>' if link else image


def _describe_setting(name: str, value: str) -> str:
    # The style shows a hash's beginning; the pointer shows it whole, and copying takes it whole.
    extra = f' class="hash" title="{_text(value)}"' if name == "SHA-256" else ""
    return f"<dt>{_text(name)}</dt><dd{extra}>{_text(value)}</dd>"


def _heading(name: str) -> str:
    folder, base = os.path.split(printable(name))
    if len(base) > _LONGEST_NAME:
        base = f"{base[: _LONGEST_NAME // 2]}…{base[1 - _LONGEST_NAME // 2 :]}"
    above = os.path.basename(folder)
    above = f'<span class="folder">{escape(above)}/</span>' if above else ""
    return f'<h2 title="{_text(name)}">{above}{escape(base)}</h2>'


def _link(path: str, folder: str) -> str:
    # Quoted as bytes, for a name need not be text; "./", for it may be called "javascript:...".
    return "./" + quote(os.fsencode(os.path.relpath(path, folder)))
