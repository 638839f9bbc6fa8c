"""Train the default weights: ``python -m models.training DATA_DIR --out models/model.h5``.

The convolutions come from the pictures' colours (:mod:`models.training.filters`), the dense
layers are fitted to what they see (:mod:`models.training.head`).  Cross-validation on the training
set chooses channels, weight decay and threshold; the validation set is only reported on.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_auc_score

from convert.errors import ConvertError, UsageError
from convert.network import LAYERS, build_network
from convert.weights.file import write_weights
from edge.files import write_atomically

from .data import LABELS, load_labelled, stratified_folds
from .figures import auc_interval, rates, spread, youden_threshold
from .filters import choose_channels, draw_filters
from .head import SIDE, assemble, feature_function, ring_maps
from .steps import (
    CHUNK,
    CONTRACT,
    Recipe,
    choose_decay,
    fit_head,
    held_out_logits,
    inputs_of,
    make_features,
    say,
    sigmoid,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    from numpy.typing import NDArray

    from .data import LabelledSet
    from .head import Arrays, Head

_LICENCE = "ISIC 2017 challenge data, CC-0"
_AGREEMENT = 2e-3
"""dense1 on its grid is a little off the fitted head, mostly by single pixels."""
_AGREEMENT_PICTURES = 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _make_parser().parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        _train(options)
    except ConvertError as error:
        print(f"train: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        print("train: interrupted, nothing was written", file=sys.stderr)
        return 130
    return 0


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m models.training",
        description="Train the default weights from labelled dermoscopic pictures.",
        epilog="Research and education only, not a diagnosis.",
    )
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA_DIR",
        help="pictures of one size: labels.csv (columns image_id, label) and "
        "benign/IMAGE_ID.jpg, malignant/IMAGE_ID.jpg",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PATH", help="the weights file to write (.h5)"
    )
    parser.add_argument(
        "--validation",
        type=Path,
        metavar="DIR",
        help="pictures laid out like DATA_DIR, only reported on; nothing is chosen by them",
    )
    parser.add_argument(
        "--figures", type=Path, metavar="PATH", help="write recipe and measured figures as JSON"
    )
    parser.add_argument(
        "--channels",
        type=_channels,
        default=Recipe().channels,
        metavar="N,M",
        help="how many channels of conv1 and conv2 are used, the others stay at zero "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of all that is random (default: 0)"
    )
    parser.add_argument(
        "--threads", type=int, default=2, metavar="N", help="to compute with (default: 2)"
    )
    return parser


def _channels(text: str) -> tuple[int, int]:
    first, second = (int(part) for part in text.split(","))
    if not (1 <= first <= LAYERS[0].kernel[-1] and 1 <= second <= LAYERS[1].kernel[-1]):
        raise argparse.ArgumentTypeError("from 1,1 to 32,16")
    return first, second


def _train(options: argparse.Namespace) -> None:
    started = time.monotonic()
    recipe = Recipe(channels=options.channels)
    maps = ring_maps(recipe.rings, recipe.every)
    data = load_labelled(options.data)
    validation = load_labelled(options.validation) if options.validation else None
    say(f"{len(data.malignant)} pictures, {int(data.malignant.sum())} malignant")
    _prepare(options.seed, options.threads)
    rng = np.random.default_rng(options.seed)
    sample = rng.choice(len(data.malignant), recipe.filter_pictures, replace=False)
    sample_inputs = inputs_of([data.resized(i, SIDE) for i in sample])
    folds = stratified_folds(data.malignant, recipe.folds, options.seed)
    ramps, mixtures = recipe.channels
    drawn = draw_filters(sample_inputs, options.seed, ramps, recipe.candidates)
    views = make_features(
        data, feature_function(drawn, maps), dataclasses.replace(recipe, views=0), rng
    )
    by_channel = views[0].reshape(len(data.malignant), recipe.rings, -1)
    chosen = choose_channels(
        by_channel, data.malignant, folds, mixtures, weight=recipe.malignant_weight
    )
    say(f"channels chosen of {recipe.candidates} drawn for conv2: {chosen}")
    filters = drawn.take(chosen)
    features = make_features(data, feature_function(filters, maps), recipe, rng)
    held_out = {
        decay: held_out_logits(
            features, data.malignant, folds, decay=decay, recipe=recipe, seed=options.seed
        )
        for decay in recipe.decays
    }
    decay, table = choose_decay(data.malignant, held_out, options.seed)
    say(f"chosen weight decay {decay}")
    head = fit_head(features, data.malignant, decay, recipe, options.seed)
    hidden_max = head.hidden(features.reshape(-1, features.shape[-1])).max(0)
    arrays = assemble(filters, head, maps, np.maximum(hidden_max, 1e-3))
    probabilities = sigmoid(held_out[decay])
    threshold = youden_threshold(data.malignant, probabilities)
    declared = {
        "contract": CONTRACT.to_dict(),
        "labels": list(LABELS),
        "threshold": threshold,
        "name": "lesion",
    }
    write_weights(options.out, arrays, declared)
    network = build_network()
    network.load_weights(options.out)
    figures = {
        "data": _describe("training", options.data, data),
        "licence": _LICENCE,
        "recipe": dataclasses.asdict(recipe),
        "seed": options.seed,
        "weight_decay": decay,
        "weight_decay_rule": "the largest whose cross-validated AUC is within one standard error "
        "of the best",
        "cross_validation": {
            "what": f"{recipe.folds} stratified folds of the training set, each judged by a head "
            "that never saw it; the same folds chose channels, places, weight decay and "
            "threshold, so it is a little too good",
            "auc_by_weight_decay": table,
            "auc": round(roc_auc_score(data.malignant, probabilities), 4),
            "auc_by_fold": [
                round(roc_auc_score(data.malignant[folds == i], probabilities[folds == i]), 4)
                for i in range(recipe.folds)
            ],
            **rates(data.malignant, probabilities, threshold),
            "probabilities": spread(probabilities),
        },
        "threshold": threshold,
        "threshold_rule": "largest sensitivity + specificity in cross-validation",
        "full_and_training_network_differ_by_at_most": _check_agreement(
            network, head, features[0], data
        ),
        "live_channels": live_channels(arrays),
        "versions": _versions(),
    }
    if validation is not None:
        figures["validation"] = _judge(network, validation, threshold, options)
    figures["seconds"] = round(time.monotonic() - started)
    if options.figures:
        write_atomically(options.figures, (json.dumps(figures, indent=2) + "\n").encode())
    say(f"{options.out}: written, threshold {threshold}, {figures['seconds']} s")


def _prepare(seed: int, threads: int) -> None:
    import cv2
    import keras
    import tensorflow as tf

    cv2.setNumThreads(threads)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(seed)


def predict(network: keras.Model, data: LabelledSet, count: int) -> NDArray[np.float32]:
    """Return (count,) float32: the full network's probabilities for the first pictures."""
    parts = []
    for start in range(0, count, CHUNK):
        indices = range(start, min(start + CHUNK, count))
        images = inputs_of([data.resized(i, SIDE) for i in indices])
        parts.append(np.asarray(network(images, training=False))[:, 0])
    return np.concatenate(parts)


def _judge(
    network: keras.Model, data: LabelledSet, threshold: float, options: argparse.Namespace
) -> dict[str, Any]:
    """Return the figures of the full network on the validation set."""
    scores = predict(network, data, len(data.malignant))
    low, high = auc_interval(data.malignant, scores, options.seed)
    value = roc_auc_score(data.malignant, scores)
    say(f"validation AUC {value:.4f} ({low:.3f} to {high:.3f})")
    return {
        **_describe("validation", options.validation, data),
        "auc": round(value, 4),
        "auc_95": [round(low, 4), round(high, 4)],
        "auc_95_method": "stratified bootstrap, 2000 resamples, percentiles",
        **rates(data.malignant, scores, threshold),
        "probabilities": spread(scores),
    }


def _check_agreement(
    network: keras.Model, head: Head, features: NDArray[np.float32], data: LabelledSet
) -> float:
    """Compare the full network's probabilities with those it was made from.

    Raises:
        ConvertError: they differ by more than :data:`_AGREEMENT`.

    """
    count = min(_AGREEMENT_PICTURES, len(features))
    expected = sigmoid(head.logits(features[:count]))
    difference = float(np.abs(predict(network, data, count) - expected).max())
    if not difference <= _AGREEMENT:
        raise ConvertError(f"the full network differs from the training one by {difference}")
    return difference


def live_channels(arrays: Arrays) -> dict[str, str]:
    """Return for each layer how many of its outputs have a weight other than zero."""
    alive = {}
    for spec in LAYERS:
        kernel = np.abs(arrays[spec.name][0]).reshape(-1, spec.kernel[-1]).max(0)
        alive[spec.name] = f"{int((kernel > 0).sum())} of {spec.kernel[-1]}"
    return alive


def _describe(role: str, folder: Path, data: LabelledSet) -> dict[str, Any]:
    return {
        "role": role,
        "name": folder.resolve().name,
        "count": len(data.malignant),
        "malignant": int(data.malignant.sum()),
    }


def _versions() -> dict[str, str]:
    import cv2
    import keras
    import tensorflow as tf

    return {
        "python": sys.version.split()[0],
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }


if __name__ == "__main__":
    sys.exit(main())
