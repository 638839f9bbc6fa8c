"""Train the outline network: ``python -m models.training.outline DATA_DIR --start PTH --out DIR``.

It learns where the lesion is from expert masks.  The encoder starts from ImageNet weights.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from .augment import Augmentation, Batches, Mixture
from .efficientnet_lite import build_outline, copy_weights, load_start_weights
from .evaluate import jaccard, predict
from .loop import Example, Schedule, map_loss, prepare, train
from .options import add_common_options, add_start_option, run, say, versions, write_json
from .sources import SourceSpec, load_source
from .torch_file import read_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

SIDE = 192
SOURCE = SourceSpec(
    "isic2017_train_256",
    "ISIC 2017 challenge data, CC0",
    1.0,
    squashed=True,
    masks="isic2017_train_256_masks",
    sha256="fb89150ca717e35d08a18b2a05bf2a2d128372525c1445e34e993e0d9c023fa2",
)
SCHEDULE = Schedule(steps=900, stages=((0.5, 160), (0.5, SIDE)), rate=1e-3)
MIXTURE = Mixture(
    malignant_share=0.3,
    mixup=0.0,
    augmentation=Augmentation(zoom=(0.7, 1.15), hair=0.25),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m models.training.outline",
        description="Train the network that finds the lesion's outline.",
        epilog="Research and education only, not a diagnosis.",
    )
    add_common_options(parser, SCHEDULE.steps)
    add_start_option(parser)
    options = parser.parse_args(arguments)
    return run(_train, options)


def _train(options: argparse.Namespace) -> None:
    prepare(options.seed, options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    source = load_source(options.data, SOURCE, any_data=options.any_data)
    assert source.masks is not None
    schedule = dataclasses.replace(SCHEDULE, steps=options.steps)
    network = build_outline(None, block_dropout=0.1)
    load_start_weights(network, read_tensors(options.start))
    batches = Batches([source], MIXTURE, options.held_out)

    def draw(side: int, rng: np.random.Generator) -> Example:
        batch = batches.draw(side, rng)
        return Example(batch.inputs, [batch.maps], [batch.map_known])

    train(network, draw, [map_loss], [1.0], schedule, seed=options.seed, folder=options.out)
    final = build_outline(SIDE)
    copy_weights(network, final)
    final.save(options.out / "outline.keras")
    figures: dict[str, Any] = {
        "schedule": dataclasses.asdict(schedule),
        "mixture": dataclasses.asdict(MIXTURE),
        "seed": options.seed,
        "data": {SOURCE.folder: source.fingerprint},
        "versions": versions(),
    }
    if options.held_out is not None:
        chosen = np.flatnonzero(source.fold == options.held_out)
        maps = predict(final, source.pictures[chosen], SIDE)
        values = jaccard(maps, source.masks[chosen])
        figures["held_out"] = {
            "fold": options.held_out,
            "pictures": len(chosen),
            "jaccard": round(float(values.mean()), 4),
            "below_0.65": round(float((values < 0.65).mean()), 4),
        }
        say(json.dumps(figures["held_out"]))
    write_json(options.out / "outline.json", figures)


if __name__ == "__main__":
    raise SystemExit(main())
