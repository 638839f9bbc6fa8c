"""Train the notebook's network: ``python -m models.training.notebook DATA_DIR --out DIR``.

End to end, from labels and from what a better network, the teacher, makes of the same pictures
(Hinton et al., "Distilling the knowledge in a neural network", 2015).  Calibration and threshold
come from the fold that is held out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.network import INPUT_SIZE_WH
from convert.quantise.preprocessing import Preprocessing
from convert.weights.file import write_weights
from edge.model.contract import InputSpec
from edge.model.preprocess import resize_into

from .augment import Augmentation, Batches, Mixture, random_affine, refocused, relit
from .evaluate import logit, predict, sigmoid
from .grid import on_grids
from .loop import Example, Schedule, prepare, train
from .options import add_common_options, run, say, write_json
from .strong import SIDE as TEACHER_SIDE
from .strong import calibrate, describe, load_sources
from .windows import build_windows, full_arrays, warped_windows, windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras
    from numpy.typing import NDArray

    from .sources import Source

PIXELS = Preprocessing("BGR", (1 / 128,) * 3, (-1.0,) * 3)
SCHEDULE = Schedule(steps=3000, stages=((1.0, INPUT_SIZE_WH[0]),), rate=3e-3, frozen_blocks=0)
MIXTURE = Mixture(
    count=32,
    malignant_share=0.45,
    mixup=0.0,
    augmentation=Augmentation(
        zoom=(0.8, 1.1),
        unsqueeze=1.33,
        gain=0.072,
        channel_gain=0.048,
        saturation=0.12,
        contrast=0.09,
        brightness=0.024,
        gamma=0.09,
    ),
)
SHARES = {
    "ham10000_256": 0.3,
    "isic2017_train_256": 0.42,
    "isic2017_train_512": 0.2,
    "isic2018_task1_new_512": 0.08,
}
LICENCE = (
    "CC BY-NC 4.0: trained on HAM10000 (CC BY-NC 4.0) and on pictures of the ISIC challenges; "
    "not for commercial use"
)
TEACHER_WEIGHT = 0.8
TEACHER_SHIFT = 1.35
"""Added to the teacher's logits: it is calibrated where 18 % are melanomas, in batches 45 % are."""
_CHUNK = 32
_SAMPLE = 200
"""Pictures of each source."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m models.training.notebook",
        description="Train the notebook's network.",
        epilog="Research and education only, not a diagnosis.",
    )
    add_common_options(parser, SCHEDULE.steps)
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="KERAS",
        help="a classifier of models.training.strong, trained with the same fold held out; "
        "without one, labels are all there is to learn from",
    )
    parser.add_argument("--free", action="store_true", help="only from sources that are CC0")
    return run(_train, parser.parse_args(arguments))


def _train(options: argparse.Namespace) -> None:
    prepare(options.seed, options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    sources = [
        dataclasses.replace(
            source, spec=dataclasses.replace(source.spec, share=SHARES[source.spec.folder])
        )
        for source in load_sources(options)
    ]
    targets = [_targets(source, options.teacher) for source in sources]
    schedule = dataclasses.replace(SCHEDULE, steps=options.steps)
    network = build_windows()
    batches = Batches(sources, MIXTURE, options.held_out)

    def draw(side: int, rng: np.random.Generator) -> Example:
        inputs, wanted = [], []
        for _ in range(MIXTURE.count):
            chosen, index = batches.pick(rng)
            inputs.append(changed_windows(sources[chosen], index, side, MIXTURE.augmentation, rng))
            wanted.append(targets[chosen][index])
        values = np.array(wanted, np.float32)[:, None]
        return Example(np.stack(inputs), [values], [np.ones(len(wanted), np.float32)])

    train(
        network, draw, ["binary_crossentropy"], [1.0], schedule, seed=options.seed,
        folder=options.out,
    )  # fmt: skip
    figures = {
        "schedule": dataclasses.asdict(schedule),
        "mixture": dataclasses.asdict(MIXTURE),
        "teacher_weight": TEACHER_WEIGHT if options.teacher else 0,
        **describe(sources, options),
    }
    declared: dict[str, Any] = {
        "contract": PIXELS.to_dict(),
        "labels": ["benign", "malignant"],
        "threshold": 0.5,
        "name": "lesion",
    }
    if not options.free:
        declared["licence"] = LICENCE
    if options.held_out is not None:
        held_out = figures["held_out"] = calibrate(
            network, sources, options.held_out, lambda pictures: answer(network, pictures)
        )
        # Two digits: more would pretend to a precision it doesn't have.
        declared["threshold"] = round(held_out["thresholds"]["threshold"], 2)
        declared["evaluation"] = [
            {
                "set": f"{name}, fold {options.held_out}",
                "pictures": judged["pictures"],
                "positives": judged["melanomas"],
                "auc": judged["auc"],
                "low": judged["auc_95"][0],
                "high": judged["auc_95"][1],
            }
            for name, judged in held_out["sets"].items()
        ]
        say(json.dumps(held_out, indent=2))
    arrays = on_grids(full_arrays(network, _largest(network, sources, options.seed)))
    write_weights(options.out / "model.h5", arrays, declared)
    write_json(options.out / "figures.json", figures)


def changed_windows(
    source: Source, index: int, side: int, by: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return a picture changed at random, (208, 208, 3), as the network of windows takes it."""
    picture = source.pictures[index]
    # Before the resize, as what a window shows knows nothing of its neighbours.
    sharpness = refocused(picture.astype(np.float32) / 255, rng)
    picture = np.rint(sharpness * 255).astype(np.uint8)
    matrix = random_affine(rng, by, picture.shape[0], side, squashed=source.spec.squashed)
    seen = relit(warped_windows(picture, matrix), by, rng)
    scale, offset = np.float32(255 * PIXELS.scale[0]), np.float32(PIXELS.offset[0])
    inputs: NDArray[np.float32] = seen * scale + offset
    return inputs


def answer(
    network: keras.Model, pictures: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return (count, ...): what a network of windows gives for BGR pictures of any size."""
    spec = InputSpec(INPUT_SIZE_WH)
    resized = np.empty((*INPUT_SIZE_WH, 3), np.uint8)
    parts = []
    for start in range(0, len(pictures), _CHUNK):
        seen = []
        for picture in pictures[start : start + _CHUNK]:
            resize_into(picture, resized, spec)
            seen.append(PIXELS.apply(windows(resized)))
        parts.append(np.asarray(network.predict_on_batch(np.stack(seen)), np.float32))
    return np.concatenate(parts)


def _targets(source: Source, teacher: Path | None) -> NDArray[np.float64]:
    """Return (count,): what the network is to answer for each picture of a source."""
    hard = source.malignant.astype(np.float64)
    if teacher is None:
        return hard * (1 - 2 * MIXTURE.smoothing) + MIXTURE.smoothing
    import keras

    say(f"the teacher looks at {source.spec.folder}")
    network = keras.saving.load_model(teacher, compile=False)
    soft = sigmoid(logit(predict(network, source.pictures, TEACHER_SIDE)[:, 0]) + TEACHER_SHIFT)
    return TEACHER_WEIGHT * soft + (1 - TEACHER_WEIGHT) * hard


def _largest(
    network: keras.Model, sources: Sequence[Source], seed: int
) -> dict[str, NDArray[np.float32]]:
    """Return the largest value of each channel of a layer on some pictures of each source."""
    import keras

    layers = {"conv1": "conv1", "conv2": "conv2_relu", "dense1": "dense1"}
    outputs = [network.get_layer(layer).output for layer in layers.values()]
    # The maximum is a part of the graph: conv1's values of a few hundred pictures fill the memory.
    flat = [keras.ops.reshape(each, (-1, each.shape[-1])) for each in outputs]
    rows = [keras.ops.max(each, axis=0, keepdims=True) for each in flat]
    largest = keras.Model(network.input, keras.ops.concatenate(rows, axis=1))
    rng = np.random.default_rng(seed)
    chosen = [source.pictures[rng.permutation(len(source.fold))[:_SAMPLE]] for source in sources]
    found = np.maximum(np.concatenate([answer(largest, each) for each in chosen]).max(axis=0), 1e-3)
    ends = np.cumsum([each.shape[-1] for each in outputs])[:-1]
    return dict(zip(layers, np.split(found, ends), strict=True))


if __name__ == "__main__":
    raise SystemExit(main())
