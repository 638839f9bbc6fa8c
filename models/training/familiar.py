"""Teach a classifier to say whether a picture is of the kind that it was trained on.

``python -m models.training.familiar CLASSIFIER.keras DATA_DIR --out FILE.keras``: a second number
beside the probability, 0..1, below 0.5 for a picture unlike those of training.  It is a Mahalanobis
distance (Lee et al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples", 2018)
of what two blocks of the network see, in the mean over all places, in ordinary Keras layers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers

from convert.errors import UsageError
from edge.picture.decode import decode

from .evaluate import predict
from .options import run, say
from .sources import load_source
from .strong import SIDE, SOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TAPS = ("block7_add", "block14_add")
"""An early block sees textures, a late one lesions; each alone missed three times as many."""
LIMIT = 0.5
_PER_SOURCE = 1000
"""Pictures of a source to fit on: 2,200 caught no more of what is unlike them."""
_FAMILIAR = 0.995
"""The share of each source's held-out pictures that has to count as familiar."""
_LEAST = 100
"""A quantile of fewer pictures would be their largest distance."""
_SHRINK = 1e-2
"""Of the mean variance, added to each: directions in which nothing varies would decide alone."""
_STEEPNESS = 4.0


def tap(classifier: keras.Model) -> keras.Model:
    """Return the network that gives the means that the distance is of: (batch, channels)."""
    means = [
        layers.GlobalAveragePooling2D(name=f"familiar_{name}")(classifier.get_layer(name).output)
        for name in TAPS
    ]
    return keras.Model(classifier.input, layers.Concatenate(name="familiar_means")(means))


def fit_whitening(
    features: Sequence[NDArray[np.float32]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return kernel (channels, channels) and bias that make the mean of squares a distance.

    Args:
        features: of each source, (pictures, channels); each has the same weight, whatever its size.

    """
    rows = np.concatenate(features).astype(np.float64)
    weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in features])
    weights /= weights.sum()
    mean = weights @ rows
    centred = rows - mean
    variances, directions = np.linalg.eigh(centred.T @ (centred * weights[:, None]))
    kernel = directions / np.sqrt(np.maximum(variances, 0) + _SHRINK * variances.mean())
    return kernel, -mean @ kernel


def distance(
    features: NDArray[np.float32], whitening: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return (pictures,) squared distances, about 1 in the mean over the pictures of training."""
    kernel, bias = whitening
    found: NDArray[np.float64] = ((features @ kernel + bias) ** 2).mean(axis=1)
    return found


def attach(
    classifier: keras.Model,
    tapped: keras.Model,
    whitening: tuple[NDArray[np.float64], NDArray[np.float64]],
    limit: float,
) -> keras.Model:
    """Return the classifier with the second number, 0.5 at a squared distance of ``limit``.

    (batch, side, side, 3) float32 in, (batch, 2) out: the probability, and how familiar it is.
    """
    kernel, bias = whitening
    count = len(bias)
    whiten = layers.Dense(count, name="familiar_whitened")
    score = layers.Dense(1, activation="sigmoid", name="familiar")
    x = whiten(tapped.output)
    x = score(layers.Multiply(name="familiar_squared")([x, x]))
    whiten.set_weights([kernel, bias])
    score.set_weights([np.full((count, 1), -_STEEPNESS / limit / count), np.array([_STEEPNESS])])
    both = layers.Concatenate(name="answer")([classifier.output, x])
    return keras.Model(classifier.input, both, name=classifier.name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m models.training.familiar",
        description="Add to a classifier whether a picture is of the kind it was trained on.",
        epilog="Research and education only, not a diagnosis.",
    )
    parser.add_argument("classifier", type=Path, metavar="CLASSIFIER.keras")
    parser.add_argument(
        "data", type=Path, metavar="DATA_DIR", help="holds the folders of its training"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.keras")
    parser.add_argument(
        "--held-out", type=int, default=0, metavar="FOLD", help="to set the limit by (default: 0)"
    )
    parser.add_argument(
        "--any-data", action="store_true", help="take other pictures than those of the figures"
    )
    parser.add_argument(
        "--judge",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="folders of other pictures: the share of each that isn't familiar is printed",
    )
    return run(_add, parser.parse_args(arguments))


def _add(options: argparse.Namespace) -> None:
    keras.utils.set_random_seed(0)
    classifier = keras.saving.load_model(options.classifier, compile=False)
    if classifier.output_shape != (None, 1):
        raise UsageError(f"{options.classifier}: expected one probability, (batch, 1)")
    tapped = tap(classifier)
    seen, held_out = [], {}
    for spec in SOURCES:
        source = load_source(options.data, spec, any_data=options.any_data)
        rng = np.random.default_rng(0)
        chosen = rng.permutation(np.flatnonzero(source.fold != options.held_out))[:_PER_SOURCE]
        seen.append(predict(tapped, source.pictures[np.sort(chosen)], SIDE))
        others = source.pictures[source.fold == options.held_out]
        held_out[spec.folder] = predict(tapped, others, SIDE)
        say(f"{spec.folder}: {len(seen[-1])} to fit on, {len(others)} held out")
    whitening = fit_whitening(seen)
    distances = {name: distance(each, whitening) for name, each in held_out.items() if len(each)}
    limit = max(
        float(np.quantile(each, _FAMILIAR)) for each in distances.values() if len(each) >= _LEAST
    )
    network = attach(classifier, tapped, whitening, limit)
    network.save(options.out)
    unlike = {f"{name}, held out": each > limit for name, each in distances.items()}
    for folder in options.judge:
        unlike[str(folder)] = _unlike(network, folder)
    table = {
        name: {"pictures": len(each), "unfamiliar": int(each.sum())}
        for name, each in unlike.items()
    }
    print(json.dumps({"limit": limit, "sets": table}, indent=2))


def _unlike(network: keras.Model, folder: Path) -> NDArray[np.bool_]:
    pictures = (
        decode(path.read_bytes(), str(path)).image_bgr
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    )
    found: list[Any] = [predict(network, [each], SIDE)[0, 1] < LIMIT for each in pictures]
    return np.array(found, np.bool_)


if __name__ == "__main__":
    raise SystemExit(main())
