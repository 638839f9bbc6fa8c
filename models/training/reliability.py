"""A reliability plot: how often it is melanoma where the model says P, as an SVG file."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from sklearn.calibration import calibration_curve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Of Okabe and Ito, told apart by colour-blind people too."""


def reliability_svg(sets: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]) -> str:
    """Return the plot: for each name whether malignant (count,), and P (count,), 0..1.

    A point is a tenth of the set's pictures, in the order of P.
    """
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 440" font-size="13">',
        '<style>text{font-family:sans-serif}</style><rect width="680" height="440" fill="white"/>',
        '<path d="M60 20V380H420M60 380L420 20" fill="none" stroke="#888"/>',
        '<text x="240" y="425" text-anchor="middle">P(malignant), mean of the pictures</text>',
        '<text transform="translate(18 200) rotate(-90)" text-anchor="middle">melanomas</text>',
    ]
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        x, y = 60 + 360 * tick, 380 - 360 * tick
        parts.append(f'<text x="{x:g}" y="398" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="52" y="{y + 4:g}" text-anchor="end">{tick:g}</text>')
    for number, (name, (malignant, probabilities)) in enumerate(sets.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        shares, means = calibration_curve(malignant, probabilities, n_bins=10, strategy="quantile")
        points = [(60 + 360 * p, 380 - 360 * s) for p, s in zip(means, shares, strict=True)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        y = 40 + 22 * number
        parts.append(f'<text x="436" y="{y}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>\n"])
