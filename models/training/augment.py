"""Random changes of pictures, and batches of changed pictures for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from .efficientnet_lite import MAP_STRIDE, PIXEL_DIVISOR, PIXEL_OFFSET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .sources import Source


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How far pictures are changed; standard deviations, unless they say otherwise.

    Sets differ in crop, aspect, colour and sharpness more than lesions do: what a set's own look
    is must not help.
    """

    zoom: tuple[float, float] = (0.62, 1.08)
    """Share of the picture's side that is seen, from and to."""
    stretch: float = 0.08
    unsqueeze: float = 1.4
    """Half of the squashed pictures are stretched by up to this, half of the others squeezed."""
    shift: float = 0.06
    gain: float = 0.12
    channel_gain: float = 0.08
    saturation: float = 0.2
    contrast: float = 0.15
    brightness: float = 0.04
    gamma: float = 0.15
    hair: float = 0.15
    """Probability of drawn hairs."""


class Batch(NamedTuple):
    """What one step of training sees."""

    inputs: NDArray[np.float32]
    """(count, side, side, 3), RGB, as the network takes them."""
    malignant: NDArray[np.float32]
    """(count, 1), 0..1."""
    maps: NDArray[np.float32]
    """(count, side / 4, side / 4, 1), 0..1: lesion."""
    map_known: NDArray[np.float32]
    """(count,): 1 where there is a mask."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """How a batch is drawn from the sources."""

    malignant_share: float = 0.42
    smoothing: float = 0.05
    mixup: float = 0.4
    """Probability that a batch's pictures are mixed with others of the batch."""
    mixup_beta: float = 0.4
    count: int = 24
    augmentation: Augmentation = Augmentation()


class Batches:
    """Draws batches from sources, less a fold that is held out."""

    def __init__(self, sources: Sequence[Source], mixture: Mixture, held_out: int | None) -> None:
        self._sources = sources
        self._mixture = mixture
        shares = np.array([source.spec.share for source in sources])
        self._shares = shares / shares.sum()
        self._pools = [
            tuple(source.chosen(held_out, malignant=label) for label in (False, True))
            for source in sources
        ]

    def pick(self, rng: np.random.Generator) -> tuple[int, int]:
        """Return the numbers of a source and of a picture of it, by source and class."""
        chosen = int(rng.choice(len(self._sources), p=self._shares))
        positive = bool(rng.random() < self._mixture.malignant_share)
        return chosen, int(rng.choice(self._pools[chosen][positive]))

    def draw(self, side: int, rng: np.random.Generator) -> Batch:
        """Return a batch: pictures by source and class, changed at random, and mixed."""
        mixture, count, small = self._mixture, self._mixture.count, side // MAP_STRIDE
        inputs = np.empty((count, side, side, 3), np.float32)
        malignant = np.empty((count, 1), np.float32)
        maps = np.zeros((count, small, small, 1), np.float32)
        known = np.zeros(count, np.float32)
        for i in range(count):
            chosen, index = self.pick(rng)
            source = self._sources[chosen]
            inputs[i], lesion = changed(source, index, side, mixture.augmentation, rng)
            malignant[i] = source.malignant[index]
            if lesion is not None:
                maps[i, ..., 0] = cv2.resize(lesion, (small, small), interpolation=cv2.INTER_AREA)
                known[i] = 1
        malignant = malignant * (1 - 2 * mixture.smoothing) + mixture.smoothing
        if rng.random() < mixture.mixup:
            weight = np.float32(rng.beta(mixture.mixup_beta, mixture.mixup_beta))
            weight = max(weight, 1 - weight)
            other = rng.permutation(count)
            inputs = weight * inputs + (1 - weight) * inputs[other]
            malignant = weight * malignant + (1 - weight) * malignant[other]
            known *= np.float32(weight > 0.85)  # a map of two lesions at once is none
        return Batch(inputs, malignant, maps, known)


def changed(
    source: Source, index: int, side: int, by: Augmentation, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return a picture changed at random, (side, side, 3) RGB, and its mask, (side, side) 0..1."""
    picture = source.pictures[index]
    matrix = random_affine(rng, by, picture.shape[0], side, squashed=source.spec.squashed)
    seen = refocused(relit(warped(picture, matrix, side), by, rng), rng)
    if rng.random() < by.hair:
        _draw_hairs(seen, rng)
    scale, offset = np.float32(255 / PIXEL_DIVISOR), np.float32(PIXEL_OFFSET / PIXEL_DIVISOR)
    inputs: NDArray[np.float32] = seen[..., ::-1] * scale - offset
    if source.masks is None:
        return inputs, None
    lesion: NDArray[np.float32] = warped(source.masks[index], matrix, side) / np.float32(255)
    return inputs, lesion


def warped(picture: NDArray[np.uint8], matrix: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """Return the picture moved by a (2, 3) matrix, (side, side, ...); outside it is mirrored."""
    out: NDArray[np.uint8] = cv2.warpAffine(
        picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )  # type: ignore[assignment]
    return out


def random_affine(
    rng: np.random.Generator, by: Augmentation, side_in: int, side: int, *, squashed: bool
) -> NDArray[np.float64]:
    """Return (2, 3): any rotation, flips, aspect, zoom, shift, and the resize to ``side``."""
    angle = rng.uniform(0, 2 * np.pi)
    cosine, sine = np.cos(angle), np.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    linear = linear @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
    aspect = rng.normal(0, by.stretch)
    if rng.random() < 0.5:
        aspect += np.log(rng.uniform(1, by.unsqueeze)) * (1 if squashed else -1)
    linear = linear @ np.diag([np.exp(aspect / 2), np.exp(-aspect / 2)])
    linear = linear * (side / side_in / np.exp(rng.uniform(*np.log(by.zoom))))
    centre = (side_in - 1) / 2 + rng.normal(0, by.shift * side_in, 2)
    return np.column_stack([linear, (side - 1) / 2 - linear @ centre])


def relit(
    picture: NDArray[np.uint8], by: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the picture, BGR in 0..1, in other light."""
    x = picture.astype(np.float32) / 255
    if rng.random() < 0.8:
        x *= np.exp(rng.normal(0, by.gain) + rng.normal(0, by.channel_gain, 3)).astype(np.float32)
        grey = (x @ np.array([0.114, 0.587, 0.299], np.float32))[..., None]
        x = grey + np.float32(np.exp(rng.normal(0, by.saturation))) * (x - grey)
        mean = x.mean()
        x = mean + np.float32(np.exp(rng.normal(0, by.contrast))) * (x - mean)
        x = np.clip(x + np.float32(rng.normal(0, by.brightness)), 0, 1)
        x = cv2.pow(x, float(np.exp(rng.normal(0, by.gamma))))
    return x  # type: ignore[return-value]


def refocused(x: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a picture in 0..1, perhaps sharper or softer, and with noise."""
    kind = rng.random()
    if kind < 0.25:
        x = cv2.GaussianBlur(x, (0, 0), float(rng.uniform(0.4, 1.3)))  # type: ignore[assignment]
    elif kind < 0.4:
        x = x + np.float32(rng.uniform(0.2, 0.8)) * (x - cv2.GaussianBlur(x, (0, 0), 1.0))
    if rng.random() < 0.2:
        x = x + rng.normal(0, rng.uniform(0.005, 0.03), x.shape).astype(np.float32)
    return np.clip(x, 0, 1)


def _draw_hairs(picture: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Draw one to six hairs, mostly dark, into a picture in 0..1."""
    side = picture.shape[0]
    t = np.linspace(0, 1, 16)[:, None]
    for _ in range(rng.integers(1, 7)):
        start, bend, end = rng.uniform(-0.1, 1.1, (3, 2)) * side
        points = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t * t * end
        dark = rng.random() < 0.85
        colour = [float(v) for v in rng.uniform(0.03, 0.25, 3)] if dark else [0.9, 0.9, 0.9]
        line = points.astype(np.int32).reshape(-1, 1, 2)
        cv2.polylines(picture, [line], False, colour, int(rng.integers(1, 3)), cv2.LINE_AA)  # noqa: FBT003
