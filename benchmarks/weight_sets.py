"""The networks that are timed: one with every channel live, and the shipped one, which is sparse.

On the dense one nobody can leave anything out.  The sparse one is given to the peers in three
forms, so that none is slow because of our zeros: with its channels compacted, and with the places
too that its dense1 doesn't look at, as one picture (:func:`gathered`) or as many (:func:`windows`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from convert.document import RESIZE
from convert.errors import UsageError
from convert.network import LAYERS
from convert.pictures import SHIPPED, load_set, resized
from convert.pixels import PixelContract
from convert.rewrite import build_compacted, by_place, compact, find_lattice
from convert.rewrite.lattice import POOL, Window
from convert.weights import read_weights

from .names import COMPACT, DENSE, GATHERED, WINDOWS
from .peers import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.rewrite.lattice import Lattice

    Arrays = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

LABELS = ("benign", "malignant")
_SEED = 20260101
_KERNEL = 4
_STEP = POOL**2
"""How many pixels lie between one place of pool2 and the next."""
_WINDOW = Window.of((_KERNEL, _KERNEL), (_KERNEL, _KERNEL))
_BLOCK = 16
"""Pixels of a block, which holds a window: the next multiple of the step."""


@dataclass(frozen=True, slots=True)
class WeightSet:
    """One network to time, and where its weights are from."""

    name: str
    network: Network
    origin: str
    plain: Network | None = None
    """The same network before dead channels left it; None if nothing left."""
    lattice: Lattice | None = None
    """The places of pool2 that dense1 looks at, if those are few."""
    cut: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None
    """Makes the network's input of a whole picture; None if that is it."""


def pictures(folder: str) -> list[NDArray[np.uint8]]:
    """Return the project's pictures of one folder, resized as the edge does."""
    return [resized(picture, RESIZE) for picture in load_set(SHIPPED / folder, LABELS)]


def load(shipped: Path, dense: Path | None = None) -> list[WeightSet]:
    """Return the dense network, the shipped one, and the cut ones if they can be made.

    Args:
        shipped: a ``model.h5`` that may have dead channels.
        dense: a ``model.h5`` of which nothing can be left out; None is random weights.

    Raises:
        UsageError: something of the dense one can be left out.

    """
    calibration = pictures("calibration")
    full, origin = random_arrays(), "random weights"
    if dense is not None:
        full, origin = _folded(dense), f"weights of {dense.name}"
        _require_dense(full, dense)
    origin = f"{origin}, all channels live, dense1 weighs every place"
    sets = [WeightSet(DENSE, Network(full, calibration), origin)]
    whole = _folded(shipped)
    left, report = compact(whole)
    lattice = find_lattice(left)
    network = Network(left, calibration)
    origin = f"{shipped.name}: {report}"
    plain = Network(whole, calibration)
    sets.append(WeightSet(COMPACT, network, origin, plain, lattice))
    if lattice is not None and can_gather(lattice):
        for name, make, cut in ((GATHERED, gathered, gather), (WINDOWS, windows, cut_windows)):
            origin = f"the compact set, {lattice} only"
            small = make(network, lattice)
            sets.append(
                WeightSet(name, small, origin, None, lattice, partial(cut, lattice=lattice))
            )
    return sets


def can_gather(lattice: Lattice) -> bool:
    """Return whether blocks make a square picture that is smaller than the whole one."""
    rows, columns = lattice.rows, lattice.columns
    return rows.count == columns.count and min(rows.step, columns.step) * _STEP > _BLOCK


def gathered(network: Network, lattice: Lattice) -> Network:
    """Return the network of the same layers for :func:`gather`'s pictures, with the same answers.

    A block of 16 pixels holds all that one of the lattice's places is computed from, so on blocks
    side by side the lattice's places are every fourth of every fourth row of pool2.  Dense1's
    weights go there; what lies between mixes two blocks and is weighed by 0.
    """
    bias, seen = network.arrays["dense1"][1], lattice.take(by_place(network.arrays))
    side = _BLOCK * lattice.rows.count
    spread = np.zeros((pool2_side(side),) * 2 + seen.shape[2:], np.float32)
    step = _BLOCK // _STEP
    spread[::step, ::step] = seen
    arrays = {**network.arrays, "dense1": (spread.reshape(-1, bias.size), bias)}
    return Network(arrays, [gather(image, lattice) for image in network.calibration], side)


def gather(image: NDArray[np.uint8], lattice: Lattice) -> NDArray[np.uint8]:
    """Return the blocks of 16 x 16 pixels of a lattice's places, side by side.

    Args:
        image: (500, 500, 3).
        lattice: the places.

    Returns:
        (16 * rows, 16 * columns, 3).

    """
    rows, columns = (
        [_STEP * place + pixel for place in axis.places for pixel in range(_BLOCK)]
        for axis in (lattice.rows, lattice.columns)
    )
    return np.ascontiguousarray(image[rows][:, columns])


def windows(network: Network, lattice: Lattice) -> Network:
    """Return the network for :func:`cut_windows`' batch, with the same answers.

    Each window gives one place of pool2, and nothing else is computed.
    """
    bias, seen = network.arrays["dense1"][1], lattice.take(by_place(network.arrays))
    arrays = {**network.arrays, "dense1": (seen.reshape(-1, bias.size), bias)}
    images = [cut_windows(image, lattice) for image in network.calibration]
    side = _WINDOW.pixels_hw[0]
    return Network(arrays, images, side, lattice.rows.count * lattice.columns.count)


def cut_windows(image: NDArray[np.uint8], lattice: Lattice) -> NDArray[np.uint8]:
    """Return what each of a lattice's places is computed from.

    Args:
        image: (500, 500, 3).
        lattice: the places.

    Returns:
        (rows * columns, 13, 13, 3).

    """
    corners = [
        (_STEP * row, _STEP * column)
        for row in lattice.rows.places
        for column in lattice.columns.places
    ]
    height, width = _WINDOW.pixels_hw
    return np.stack([image[y : y + height, x : x + width] for y, x in corners])


def pool2_side(side: int) -> int:
    """Return pool2's side for a picture's."""
    return _pooled(_pooled(side))


def _pooled(side: int) -> int:
    return (side - _KERNEL + 1) // POOL


def multiply_adds(network: Network) -> int:
    """Return what one picture costs, from the shapes: outputs times taps, summed."""
    first, second, third = network.channels()
    side1 = network.side - _KERNEL + 1
    side2 = _pooled(network.side) - _KERNEL + 1
    convolutions = side1**2 * _KERNEL**2 * 3 * first + side2**2 * _KERNEL**2 * first * second
    return int(network.batch * convolutions + network.arrays["dense1"][0].size + third)


def lattice_multiply_adds(network: Network, lattice: Lattice) -> int:
    """Return what the lattice's places alone cost: each is computed from a window of its own."""
    first, second, third = network.channels()
    pooled = math.prod(_WINDOW.pooled_hw)
    window = POOL**2 * pooled * _KERNEL**2 * 3 * first
    window += POOL**2 * _KERNEL**2 * first * second
    return lattice.rows.count * lattice.columns.count * (window + second * third) + third


def reference(network: Network, images: Sequence[NDArray[np.uint8]]) -> list[float]:
    """Return P(malignant) of pictures by Keras, called directly."""
    model = build_compacted(network.arrays, (network.side, network.side))
    inputs = (image[None].astype(np.float32) for image in images)
    return [float(model(each, training=False)[0, 0]) for each in inputs]


def random_arrays() -> Arrays:
    """Return weights whose answers are neither 0 nor 1, so that a wrong answer would show."""
    random = np.random.default_rng(_SEED)
    spread = {"conv1": 0.2 / 128, "conv2": 0.06, "dense1": 2e-4, "dense2": 0.3}
    return {
        spec.name: (
            random.normal(0, spread[spec.name], spec.kernel).astype(np.float32),
            random.normal(0.1, 0.05, spec.bias).astype(np.float32),
        )
        for spec in LAYERS
    }


def _require_dense(arrays: Arrays, path: Path) -> None:
    """Refuse a network of which our rewriting leaves out what the peers would compute."""
    left, report = compact(arrays)
    lattice = find_lattice(left)
    if report.changed or lattice is not None:
        message = f"{path}: not dense: {report}" + (f", {lattice} weighed" if lattice else "")
        raise UsageError(message)


def _folded(path: Path) -> Arrays:
    weights = read_weights(path)
    declared = weights.declared or {}
    arrays = dict(weights.arrays)
    contract = declared.get("contract")
    if isinstance(contract, dict):  # another's file: its bytes as they are, as in the notebook
        arrays["conv1"] = PixelContract.from_dict(contract).fold(*arrays["conv1"])
    return arrays
