"""The promise: which answers are equal on every machine, and how far the others may differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SAME_INPUT = 1e-5
"""On the same input, |difference of probabilities|: the order in which floats are summed."""
RESIZED = 1
"""OpenCV's resize rounds differently from one processor's code to the next: levels of 0..255."""
WHOLE = 0.005
"""From file to probability, which is what that rounding may do in the end."""
OTHER_RUNTIME = 0.005
"""tflite-runtime 2.14 rounds some int8 sums differently from ai-edge-litert: |difference|."""

_EQUAL = {
    "decoded": "decoded pixels",
    "decoded_fast": "decoded pixels, --fast",
    "regions": "regions",
    "labels": "labels",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One compared thing, over all pictures."""

    what: str
    pictures: int
    differing: int
    """Pictures on which it isn't the same."""
    largest: float | None
    """The largest difference, where it is a number."""
    bound: float
    """What it may be; 0 where it has to be equal."""
    note: str = ""

    @property
    def kept(self) -> bool:
        """Whether the promise is kept."""
        if self.largest is None:
            return not self.differing
        return self.largest <= self.bound  # NaN isn't


def compare(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[Line]:
    """Compare what two machines answered (``tests.pi.answers``).

    Args:
        here: the reference.
        there: the other, whose ``resized`` were taken against the reference's.

    """
    pairs = [(here["pictures"][name], there["pictures"][name]) for name in here["pictures"]]
    variants = [name for name in pairs[0][0]["probabilities"] if name not in there["refused"]]
    same_runtime = "ai-edge-litert" in there["versions"]
    return list(_lines(pairs, variants, same_runtime=same_runtime))


def _lines(
    pairs: list[tuple[Any, Any]], variants: list[str], *, same_runtime: bool
) -> Iterator[Line]:
    count = len(pairs)
    for key, what in _EQUAL.items():
        picked = [
            ({v: p[key][v] for v in variants}, {v: q[key][v] for v in variants})
            if key == "labels"
            else (p[key], q[key])
            for p, q in pairs
        ]
        yield Line(what, count, sum(a != b for a, b in picked), None, 0)
    inputs = [(p["same_input"], q["same_input"]) for p, q in pairs]
    yield Line(
        "linear_exact resize", count, sum(p["hash"] != q["hash"] for p, q in inputs), None, 0
    )
    values = [
        [abs(a - b) for a, b in zip(p["int8_values"], q["int8_values"], strict=True)]
        for p, q in inputs
    ]
    yield Line(
        "int8 values, same input",
        count,
        sum(any(each) for each in values),
        max(max(each) for each in values),
        0 if same_runtime else 1,
        f"{sum(map(len, values))} values",
    )
    for variant in variants:
        exact = same_runtime or variant.startswith("float")
        yield _differences(
            f"{variant}, same input", inputs, variant, SAME_INPUT if exact else OTHER_RUNTIME
        )
    for name in pairs[0][1]["resized"]:
        found = [q["resized"][name] for _, q in pairs]
        share = max(each["share"] for each in found)
        yield Line(
            f"resize, {name}",
            count,
            sum(each["max"] > 0 for each in found),
            max(each["max"] for each in found),
            RESIZED,
            f"of at most {share:.1%} of the bytes",
        )
    for variant in variants:
        yield _differences(
            f"{variant}, whole", pairs, variant, WHOLE if same_runtime else WHOLE + OTHER_RUNTIME
        )


def _differences(what: str, pairs: list[tuple[Any, Any]], variant: str, bound: float) -> Line:
    found = [abs(p["probabilities"][variant] - q["probabilities"][variant]) for p, q in pairs]
    return Line(what, len(pairs), sum(each > 0 for each in found), max(found), bound)


def table(lines: list[Line]) -> str:
    """Return the lines as text."""
    rows = []
    for line in lines:
        if line.largest is None:
            text = f"{line.pictures - line.differing} of {line.pictures} pictures equal"
        else:
            text = f"largest difference {line.largest:.3g}, may be {line.bound:g}"
        verdict = "kept" if line.kept else "BROKEN"
        rows.append(f"  {verdict:<7}{line.what:<26}{text}{', ' + line.note if line.note else ''}")
    return "\n".join(rows)
