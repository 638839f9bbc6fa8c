"""Train a Keras network step by step: resumable, larger pictures later, weights averaged."""

from __future__ import annotations

import math
import os
import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from convert.errors import UsageError
from edge.files import replacing

from .options import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_SAVE_EVERY_S = 240.0
_AVERAGE_EVERY = 5
_SAY_EVERY = 50
_BATCHES_AHEAD = 3


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast a network is trained."""

    steps: int
    stages: tuple[tuple[float, int], ...]
    """(share of the steps, side of the pictures), in order."""
    rate: float = 5e-4
    warm_up: float = 0.1
    weight_decay: float = 0.02
    clip_norm: float = 2.0
    average: float = 0.98
    """Decay of the weights' running mean, every fifth step."""
    frozen_blocks: int = 3
    """These and the stem keep their ImageNet weights: edges and colours are the same there, it
    saves 40 % of the time, and a set's own look has fewer weights to settle in."""

    def side(self, step: int) -> int:
        """Return the side of the pictures at a step."""
        end = 0.0
        for share, side in self.stages:
            end += share * self.steps
            if step < round(end):
                return side
        return self.stages[-1][1]


class Example(NamedTuple):
    """A batch as Keras takes it."""

    inputs: NDArray[np.float32]
    targets: list[NDArray[np.float32]]
    weights: list[NDArray[np.float32]]


@keras.saving.register_keras_serializable("lesion_edge")
class WarmUpThenCosine(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A learning rate that rises linearly and falls along a cosine to a hundredth."""

    def __init__(self, rate: float, steps: int, warm_up: float) -> None:
        self.rate, self.steps, self.warm_up = rate, steps, warm_up

    def __call__(self, step: Any) -> Any:
        """Return the rate at a step."""
        ops = keras.ops
        step = ops.cast(step, "float32")
        warm = max(self.warm_up * self.steps, 1.0)
        fall = 0.5 * (1 + ops.cos(math.pi * (step - warm) / (self.steps - warm))) * 0.99 + 0.01
        return self.rate * ops.where(step < warm, (step + 1) / warm, fall)

    def get_config(self) -> dict[str, Any]:
        """Return what makes another of it."""
        return {"rate": self.rate, "steps": self.steps, "warm_up": self.warm_up}


def map_loss(truth: Any, guess: Any) -> Any:
    """Return (batch,): binary cross-entropy plus one minus the soft Jaccard index of two maps."""
    ops = keras.ops
    guess = ops.clip(guess, 1e-5, 1 - 1e-5)
    axes = (1, 2, 3)
    entropy = -ops.mean(truth * ops.log(guess) + (1 - truth) * ops.log(1 - guess), axes)
    both = ops.sum(truth * guess, axes)
    either = ops.sum(truth + guess - truth * guess, axes)
    return entropy + 1 - (both + 1) / (either + 1)


def train(
    network: keras.Model,
    draw: Callable[[int, np.random.Generator], Example],
    losses: Sequence[Any],
    loss_weights: Sequence[float],
    schedule: Schedule,
    *,
    seed: int,
    folder: Path,
) -> None:
    """Train ``network`` and leave the averaged weights in it; go on where a stopped run was.

    Args:
        network: with the weights to start from; its layers ``stem...`` and ``block<n>...`` are
            frozen as the schedule says.
        draw: (side, generator) to a batch; the generator depends on seed and step alone, so that a
            run that was stopped sees the same pictures as one that wasn't.
        losses: one for each output.
        loss_weights: likewise.
        schedule: see there.
        seed: of all that is random.
        folder: where ``checkpoint.npz`` is kept, every four minutes.

    Raises:
        UsageError: the checkpoint is of another network or schedule.

    """
    _freeze(network, schedule.frozen_blocks)
    rate = WarmUpThenCosine(schedule.rate, schedule.steps, schedule.warm_up)
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=schedule.weight_decay, global_clipnorm=schedule.clip_norm
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    network.compile(
        optimizer, loss=list(losses), loss_weights=list(loss_weights), jit_compile=False
    )
    optimizer.build(network.trainable_variables)
    # Of each layer, not of the network: dropout's random state is among them, metrics aren't.
    kept = [variable for layer in network.layers for variable in layer.variables]
    variables = [*kept, *optimizer.variables]
    average = [np.array(weight) for weight in network.weights]
    path, made_by = folder / "checkpoint.npz", repr((schedule, seed))
    first, spent = _restore(path, variables, average, made_by)
    started = saved = time.monotonic()
    recent: list[float] = []
    for step, batch in _ahead(draw, schedule, seed, first):
        network.reset_metrics()
        loss = network.train_on_batch(batch.inputs, batch.targets, sample_weight=batch.weights)
        recent.append(float(np.ravel(loss)[0]))
        done = step + 1
        if done % _AVERAGE_EVERY == 0:
            count = done / _AVERAGE_EVERY
            decay = min(schedule.average, (1 + count) / (10 + count))
            for mean, weight in zip(average, network.weights, strict=True):
                mean[...] = decay * mean + (1 - decay) * np.array(weight)
        now = time.monotonic()
        if done % _SAY_EVERY == 0:
            side = batch.inputs.shape[1]
            minutes = (spent + now - started) / 60
            say(f"step {done} side {side} loss {np.mean(recent):.4f} {minutes:.1f} minutes")
            recent.clear()
        if now - saved > _SAVE_EVERY_S or done == schedule.steps:
            seconds = spent + now - started
            _keep(path, variables, average, made_by=made_by, step=done, seconds=seconds)
            saved = now
    for weight, mean in zip(network.weights, average, strict=True):
        weight.assign(mean)


def _freeze(network: keras.Model, blocks: int) -> None:
    names = tuple(f"block{i}_" for i in range(blocks))
    for layer in network.layers:
        if blocks and layer.name.startswith(("stem", *names)):
            layer.trainable = False


def _ahead(
    draw: Callable[[int, np.random.Generator], Example], schedule: Schedule, seed: int, first: int
) -> Iterator[tuple[int, Example]]:
    """Yield steps and their batches, made by another thread while the network computes."""
    ready: queue.Queue[Example | BaseException] = queue.Queue(_BATCHES_AHEAD)

    def work() -> None:
        try:
            for step in range(first, schedule.steps):
                ready.put(draw(schedule.side(step), np.random.default_rng([seed, step])))
        except BaseException as error:  # noqa: BLE001 - the other thread raises it
            ready.put(error)

    threading.Thread(target=work, daemon=True).start()
    for step in range(first, schedule.steps):
        batch = ready.get()
        if isinstance(batch, BaseException):
            raise batch
        yield step, batch


def _restore(
    path: Path, variables: Sequence[Any], average: Sequence[NDArray[Any]], made_by: str
) -> tuple[int, float]:
    """Return the steps done and the seconds they took."""
    if not path.exists():
        return 0, 0.0
    with np.load(path) as file:
        if str(file["made_by"]) != made_by:
            raise UsageError(
                f"{path}: is of another run ({file['made_by']}); expected {made_by}. Take another "
                "folder, or delete it"
            )
        for number, variable in enumerate(variables):
            variable.assign(file[f"v{number}"])
        for number, mean in enumerate(average):
            mean[...] = file[f"a{number}"]
        say(f"{path}: goes on after step {file['step']}")
        return int(file["step"]), float(file["seconds"])


def _keep(
    path: Path,
    variables: Sequence[Any],
    average: Sequence[NDArray[Any]],
    **facts: Any,
) -> None:
    arrays: dict[str, Any] = {
        f"v{number}": np.array(variable) for number, variable in enumerate(variables)
    }
    arrays |= {f"a{number}": mean for number, mean in enumerate(average)}
    with replacing(path) as stream:
        np.savez(stream, **facts, **arrays)


def prepare(seed: int, threads: int) -> None:
    """Set what is random and how many threads compute; before the first network is made."""
    import cv2
    import tensorflow as tf

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    cv2.setNumThreads(1)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(seed)
