"""Figures as the Markdown tables of a model card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_START, _END = "<!-- figures -->", "<!-- end of figures -->"
_NONE = "-"
_CALLED = ("sensitivity", "specificity")


def tables(figures: Mapping[str, Any]) -> str:
    """Return all tables of what the command measured, with a heading each."""
    sets: Mapping[str, Any] = figures["sets"]
    parts = []
    if sets:
        said = f"Malignant from P = {figures['rule']['threshold']:g} on"
        if (band := figures["rule"]["uncertain"]) is not None:
            said += f", uncertain from {band[0]:g} to {band[1]:g}"
        method = "AUC: stratified bootstrap; shares: Wilson's score"
        parts.append(f"{said}. Intervals are 95 % ({method}). ECE: expected calibration error.")
    parts += _section(
        "By set",
        ("pictures", "number (melanomas)", "AUC", *_CALLED, "ECE", "uncertain"),
        [
            (
                name,
                _count(of),
                _auc(of["auc"]),
                *_called(of),
                f"{of['calibration_error']:.3f}",
                _share(of["uncertain"]),
            )
            for name, of in sets.items()
        ],
    )
    parts += _section(
        "By operating point",
        ("pictures", "point", "P from", *_CALLED),
        [
            (name, point, f"{of['threshold']:g}", *_called(of))
            for name, point, of in _groups(sets, "operating_points")
        ],
    )
    parts += _section(
        "By diagnosis",
        ("pictures", "diagnosis", "called malignant", "median P"),
        [
            (name, diagnosis, _share(of["called_malignant"]), f"{of['median']:.3f}")
            for name, diagnosis, of in _groups(sets, "by_diagnosis")
        ],
    )
    for title, key, column in (
        ("By lesion size", "by_size", "lesion, of the picture"),
        ("By colour of the skin in the picture", "by_skin", "ITA"),
    ):
        parts += _section(
            title,
            ("pictures", column, "number (melanomas)", *_CALLED),
            [(name, band, _count(of), *_called(of)) for name, band, of in _groups(sets, key)],
        )
    parts += _section(
        "Beside the Keras file",
        ("pictures", "number", "mean \\|Δp\\|", "max \\|Δp\\|", "other labels", "Jaccard index"),
        [
            (
                name,
                str(of["pictures"]),
                f"{of['mean_delta']:.4f}",
                f"{of['max_delta']:.4f}",
                str(of["flips"]),
                _outlines(of),
            )
            for name, of in figures["parity"].items()
        ],
    )
    return "\n\n".join(parts)


def put_into(card: str, text: str) -> str:
    """Return a card with the text in place of what stands between its two markers.

    Raises:
        ValueError: the card has no such markers.

    """
    before, start, rest = card.partition(_START)
    _, end, after = rest.partition(_END)
    if not start or not end:
        raise ValueError(f"no {_START} with a {_END} after it")
    return f"{before}{_START}\n\n{text}\n\n{_END}{after}"


def _groups(sets: Mapping[str, Any], key: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    return [(name, group, of) for name, one in sets.items() for group, of in one[key].items()]


def _section(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a heading with its table; nothing where that has no row."""
    lines = [header, ["---"] * len(header), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return [f"### {title}", table] if rows else []


def _count(of: Mapping[str, Any]) -> str:
    return f"{of['pictures']} ({of['melanomas']})"


def _called(of: Mapping[str, Any]) -> tuple[str, str]:
    return _share(of["sensitivity"]), _share(of["specificity"])


def _share(of: Mapping[str, Any] | None) -> str:
    if of is None:
        return _NONE
    low, high = of["95"]
    return f"{of['value']:.2f} ({low:.2f} to {high:.2f}; {of['count']} of {of['of']})"


def _auc(of: Mapping[str, Any] | None) -> str:
    if of is None:
        return _NONE
    low, high = of["95"]
    return f"{of['value']:.3f} ({low:.3f} to {high:.3f})"


def _outlines(one: Mapping[str, Any]) -> str:
    if one["jaccard_mean"] is None:
        return _NONE
    return f"mean {one['jaccard_mean']:.3f}, least {one['jaccard_min']:.3f}"
