"""The figures of a model card: of sets, and of groups within them, and their Markdown tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from .evaluate import calibration_error
from .figures import auc_interval
from .skin import BANDS
from .sources import NOT_MELANOMA_BUT_MALIGNANT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from edge.model.rule import Rule

    from .judged import Judged

SIZES = (("under 10 %", 0.1), ("10 to 30 %", 0.3), ("30 % and more", np.inf))
"""Name and upper end, as a share of the picture, of each band of lesions' sizes."""
_UNKNOWN = "not known"


def share(count: int, total: int) -> dict[str, Any] | None:
    """Return a share with its 95 % interval by Wilson's score; None of nothing."""
    if total == 0:
        return None
    low, high = binomtest(count, total).proportion_ci(0.95, method="wilson")
    low, high = (round(float(end), 4) for end in (low, high))
    return {"value": round(count / total, 4), "count": count, "of": total, "95": [low, high]}


def called(judged: Sequence[Judged], threshold: float) -> dict[str, Any]:
    """Return how many pictures there are, and sensitivity and specificity at a threshold."""
    malignant = [each.probability >= threshold for each in judged if each.item.malignant]
    benign = [each.probability >= threshold for each in judged if not each.item.malignant]
    return {
        "pictures": len(judged),
        "melanomas": len(malignant),
        "sensitivity": share(sum(malignant), len(malignant)),
        "specificity": share(len(benign) - sum(benign), len(benign)),
    }


def sets_of(
    name: str, judged: Sequence[Judged], rule: Rule, points: Sequence[Rule]
) -> dict[str, dict[str, Any]]:
    """Return the figures of a set and its groups, by its name.

    A set with basal cell carcinomas and actinic keratoses, which are neither label, is there a
    second time without them.

    Args:
        name: the set's.
        judged: its pictures, all labelled.
        rule: has a threshold.
        points: the operating points; those without a threshold are left out.

    """
    threshold = rule.threshold or 0.0
    fewer = [each for each in judged if each.item.diagnosis not in NOT_MELANOMA_BUT_MALIGNANT]
    whole = {
        **set_figures(judged, rule, points),
        "by_diagnosis": by_diagnosis(judged, threshold),
        "by_size": by_size(judged, threshold),
        "by_skin": by_skin(judged, threshold),
    }
    if not 0 < len(fewer) < len(judged):
        return {name: whole}
    groups: dict[str, Any] = {"by_diagnosis": {}, "by_size": {}, "by_skin": {}}
    part = {**set_figures(fewer, rule, points), **groups}
    return {name: whole, f"{name}, without bcc and akiec": part}


def set_figures(judged: Sequence[Judged], rule: Rule, points: Sequence[Rule]) -> dict[str, Any]:
    """Return the figures of a set: AUC (None unless both labels are there), rates, calibration."""
    malignant = np.array([bool(each.item.malignant) for each in judged])
    probabilities = np.array([each.probability for each in judged])
    auc = None
    if 0 < malignant.sum() < len(malignant):
        low, high = auc_interval(malignant, probabilities, seed=0)
        value = float(roc_auc_score(malignant, probabilities))
        auc = {"value": round(value, 4), "95": [round(low, 4), round(high, 4)]}
    return {
        **called(judged, rule.threshold or 0.0),
        "auc": auc,
        "calibration_error": round(calibration_error(malignant, probabilities), 4),
        "uncertain": share(sum(each.uncertain for each in judged), len(judged)),
        "operating_points": {
            str(point.operating_point): {
                "threshold": point.threshold,
                **called(judged, point.threshold),
            }
            for point in points
            if point.threshold is not None
        },
    }


def by_diagnosis(judged: Sequence[Judged], threshold: float) -> dict[str, Any]:
    """Return for each diagnosis how many are called malignant, and the median of P."""
    groups = _grouped(judged, lambda each: each.item.diagnosis)
    return {
        name: {
            "called_malignant": share(
                sum(each.probability >= threshold for each in group), len(group)
            ),
            "median": round(float(np.median([each.probability for each in group])), 4),
        }
        for name, group in sorted(groups.items())
        if name
    }


def by_size(judged: Sequence[Judged], threshold: float) -> dict[str, Any]:
    """Return :func:`called` for each band of the lesion's share of the picture."""
    groups = _grouped(judged, lambda each: size_of(each.share))
    names = [name for name, _ in SIZES] + [_UNKNOWN]
    return {name: called(groups[name], threshold) for name in names if name in groups}


def by_skin(judged: Sequence[Judged], threshold: float) -> dict[str, Any]:
    """Return :func:`called` for each band of the skin's colour index."""
    groups = _grouped(judged, lambda each: each.skin)
    names = [name for name, _ in BANDS] + [_UNKNOWN]
    return {name: called(groups[name], threshold) for name in names if name in groups}


def parity(judged: Sequence[Judged], threshold: float) -> dict[str, Any]:
    """Return how far the answers are from the reference's: ``reference`` must be there."""
    ours = np.array([each.probability for each in judged])
    theirs = np.array([each.reference for each in judged], float)
    outlines = [each.jaccard for each in judged if each.jaccard is not None]
    return {
        "pictures": len(judged),
        "mean_delta": float(np.abs(ours - theirs).mean()),
        "max_delta": float(np.abs(ours - theirs).max()),
        "flips": int(((ours >= threshold) != (theirs >= threshold)).sum()),
        "jaccard_mean": float(np.mean(outlines)) if outlines else None,
        "jaccard_min": float(min(outlines)) if outlines else None,
    }


def size_of(part: float | None) -> str:
    """Return the name of the band of a lesion's share of the picture, 0..1."""
    return _UNKNOWN if part is None else next(name for name, high in SIZES if part < high)


def _grouped(judged: Iterable[Judged], key: Callable[[Judged], str]) -> Mapping[str, list[Judged]]:
    groups: dict[str, list[Judged]] = {}
    for each in judged:
        groups.setdefault(key(each), []).append(each)
    return groups
