"""Average runs: ``python -m models.training.average DATA_DIR RUN... --out DIR``.

Networks fine-tuned from the same start lie in one basin: the mean of their weights is a network
that answers better on sources it hasn't seen than each of them (Wortsman et al., "Model soups",
ICML 2022), in the time of one.  Batch normalisation is averaged as the rest is: measured anew on
training's changed pictures, two runs' average lost 0.02 of AUC on held-out ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from .loop import prepare
from .options import run
from .strong import finish, load_sources

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m models.training.average",
        description="Average classifiers that models.training.strong trained.",
        epilog="Research and education only, not a diagnosis.",
    )
    parser.add_argument("data", type=Path, metavar="DATA_DIR", help="as of the runs")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="an --out of strong")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets the network")
    parser.add_argument("--held-out", type=int, metavar="FOLD", help="as of the runs")
    parser.add_argument("--free", action="store_true", help="as of the runs")
    parser.add_argument("--any-data", action="store_true", help="as of the runs")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default: 0)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="(default: 2)")
    return run(_average, parser.parse_args(arguments))


def _average(options: argparse.Namespace) -> None:
    prepare(options.seed, options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    sources = load_sources(options)
    networks = [
        keras.saving.load_model(folder / "classifier.keras", compile=False)
        for folder in options.runs
    ]
    average = networks[0]
    weights = zip(*(network.get_weights() for network in networks), strict=True)
    average.set_weights([np.mean(each, axis=0) for each in weights])
    finish(average, sources, options, {"runs": [folder.name for folder in options.runs]})


if __name__ == "__main__":
    raise SystemExit(main())
