"""Train the classifier: ``python -m models.training.strong DATA_DIR --start PTH --out DIR``.

EfficientNet-Lite0 from ImageNet weights learns melanoma against the rest from several sources at
once, and the lesion's mask beside it where there is one.  Calibration and thresholds come from the
fold that is held out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from .augment import Batches, Mixture
from .efficientnet_lite import build_classifier, copy_weights, load_start_weights
from .evaluate import fit_calibration, judge, logit, predict, sigmoid, threshold_at
from .loop import Example, Schedule, map_loss, prepare, train
from .options import add_common_options, add_start_option, run, say, versions, write_json
from .rounded import round_weights
from .sources import SourceSpec, load_source
from .torch_file import read_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import keras
    from numpy.typing import NDArray

    from .sources import Source

SIDE = 224
_CC0 = "ISIC 2017 challenge data, CC0"
SOURCES = (
    SourceSpec(
        "ham10000_256",
        "CC BY-NC 4.0",
        0.38,
        sha256="b1df93f418b4ddc4bc579651ef671d58683fb9d93994dceff98498497fee6d2a",
    ),
    SourceSpec(
        "isic2017_train_256",
        _CC0,
        0.34,
        squashed=True,
        masks="isic2017_train_256_masks",
        sha256="fb89150ca717e35d08a18b2a05bf2a2d128372525c1445e34e993e0d9c023fa2",
    ),
    SourceSpec(
        "isic2017_train_512",
        _CC0,
        0.22,
        sha256="cfb1c2f2f56677d671fbdfefb87614b50933ce0c15f9e2195d5c9143f5c9b834",
    ),
    SourceSpec(
        "isic2018_task1_new_512",
        "ISIC archive, not checked",
        0.06,
        sha256="01e6f283ecad3e8470b3fee432b110fa3946bd16221a87f51bf3ba294c1115b8",
    ),
)
FREE_SOURCES = tuple(source for source in SOURCES if source.licence == _CC0)
SCHEDULE = Schedule(steps=1500, stages=((0.3, 192), (0.7, SIDE)))
FREE_STEPS = 900
MIXTURE = Mixture()
MAP_WEIGHT = 0.5
OPERATING_POINTS = {"screening": 0.95, "balanced": 0.85, "specific": 0.7}
"""Sensitivities on the held-out fold; balanced is the model's own."""
BAND = 1 / 3
"""The label is uncertain from the threshold that misses this part fewer of the melanomas than the
operating point does, to the one that misses this part more: balanced misses 15 of 100, the ends of
its band miss 10 and 20."""
_LEAST_MELANOMAS = 10
_ROUND_ON = 200
"""Pictures that show what the layers see."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m models.training.strong",
        description="Train the classifier of the dermoscopy model.",
        epilog="Research and education only, not a diagnosis.",
    )
    add_common_options(parser, SCHEDULE.steps)
    add_start_option(parser)
    parser.add_argument(
        "--free",
        action="store_true",
        help=f"only from sources that are CC0, by default in {FREE_STEPS} steps",
    )
    options = parser.parse_args(arguments)
    if options.free and options.steps == SCHEDULE.steps:
        options.steps = FREE_STEPS
    return run(_train, options)


def _train(options: argparse.Namespace) -> None:
    prepare(options.seed, options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    sources = load_sources(options)
    schedule = dataclasses.replace(SCHEDULE, steps=options.steps)
    network = build_classifier(None, dropout=0.2, block_dropout=0.1, lesion_map=True)
    load_start_weights(network, read_tensors(options.start))
    batches = Batches(sources, MIXTURE, options.held_out)

    def draw(side: int, rng: np.random.Generator) -> Example:
        batch = batches.draw(side, rng)
        known = batch.map_known / max(float(batch.map_known.mean()), 0.2)
        ones = np.ones(len(known), np.float32)
        return Example(batch.inputs, [batch.malignant, batch.maps], [ones, known])

    train(
        network,
        draw,
        ["binary_crossentropy", map_loss],
        [1.0, MAP_WEIGHT],
        schedule,
        seed=options.seed,
        folder=options.out,
    )
    final = build_classifier(SIDE)
    copy_weights(network, final)
    facts = {
        "schedule": dataclasses.asdict(schedule),
        "mixture": dataclasses.asdict(MIXTURE),
        "map_weight": MAP_WEIGHT,
    }
    finish(final, sources, options, facts)


def load_sources(options: argparse.Namespace) -> list[Source]:
    """Return the sources that the options ask for."""
    specs = FREE_SOURCES if options.free else SOURCES
    return [load_source(options.data, spec, any_data=options.any_data) for spec in specs]


def finish(
    network: keras.Model,
    sources: Sequence[Source],
    options: argparse.Namespace,
    facts: dict[str, Any],
) -> None:
    """Round a trained classifier's weights, calibrate it, and write it and its figures."""
    say("rounding weights")
    shares = _ROUND_ON // len(sources)
    rng = np.random.default_rng(options.seed)
    round_weights(
        network,
        [
            source.pictures[index]
            for source in sources
            for index in rng.choice(np.flatnonzero(source.fold != options.held_out), shares)
        ],
    )
    figures = {**facts, **describe(sources, options)}
    if options.held_out is not None:
        held_out = figures["held_out"] = calibrate(
            network, sources, options.held_out, lambda pictures: predict(network, pictures, SIDE)
        )
        write_json(options.out / "thresholds.json", held_out["thresholds"])
        say(json.dumps(figures["held_out"], indent=2))
    network.save(options.out / "classifier.keras")
    write_json(options.out / "classifier.json", figures)


def describe(sources: Sequence[Source], options: argparse.Namespace) -> dict[str, Any]:
    """Return what a network was trained on and with, for its figures."""
    return {
        "seed": options.seed,
        "data": {
            source.spec.folder: {**dataclasses.asdict(source.spec), "sha256": source.fingerprint}
            for source in sources
        },
        "versions": versions(),
    }


def calibrate(
    network: keras.Model,
    sources: Sequence[Source],
    fold: int,
    answer: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
) -> dict[str, Any]:
    """Calibrate a trained classifier on a fold and return its figures there.

    Platt's slope and offset go into the last layer, ``probability``, which is the same as applying
    them after it.  Each source has the same weight, whatever its size.

    Args:
        network: the classifier; its last layer is changed.
        sources: those that have fewer than ten melanomas in the fold are left out.
        fold: the one that was held out.
        answer: pictures to the network's probabilities, (count, 1).

    """
    judged: list[tuple[str, NDArray[np.bool_], NDArray[np.float64]]] = []
    for source in sources:
        chosen = np.flatnonzero(source.fold == fold)
        if source.malignant[chosen].sum() < _LEAST_MELANOMAS:
            continue
        logits = logit(answer(source.pictures[chosen])[:, 0])
        judged.append((source.spec.folder, source.malignant[chosen], logits))
    truth = np.concatenate([malignant for _, malignant, _ in judged])
    logits = np.concatenate([values for _, _, values in judged])
    weights = np.concatenate([np.full(len(values), 1 / len(values)) for _, _, values in judged])
    weights *= len(weights) / weights.sum()
    slope, offset = fit_calibration(truth, logits, weights)
    last = network.get_layer("probability")
    kernel, bias = last.get_weights()
    last.set_weights([kernel * slope, bias * slope + offset])
    probabilities = sigmoid(slope * logits + offset)
    thresholds = find_thresholds(truth, probabilities, weights)
    low, high = thresholds["uncertain"]
    uncertain = (low <= probabilities) & (probabilities < high)
    return {
        "fold": fold,
        "calibration": {"slope": slope, "offset": offset},
        "thresholds": thresholds,
        "share_uncertain": round(float(np.average(uncertain, weights=weights)), 4),
        "sets": {
            name: judge(malignant, sigmoid(slope * values + offset), thresholds["threshold"])
            for name, malignant, values in judged
        },
    }


def find_thresholds(
    malignant: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> dict[str, Any]:
    """Return what ``python -m convert --thresholds`` takes: threshold, band, operating points.

    Args:
        malignant: (count,), the truth.
        probabilities: (count,), P(malignant), calibrated.
        weights: (count,), what each picture counts.

    """

    def at(sensitivity: float) -> float:
        return round(threshold_at(malignant, probabilities, sensitivity, weights), 4)

    points = {}
    for name, sensitivity in OPERATING_POINTS.items():
        more = BAND * (1 - sensitivity)
        band = [at(sensitivity + more), at(sensitivity - more)]
        points[name] = {"threshold": at(sensitivity), "uncertain": band}
    return {**points["balanced"], "operating_points": points}


if __name__ == "__main__":
    raise SystemExit(main())
