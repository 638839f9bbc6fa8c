"""What a peer is, and the check of its answers that comes before any timing."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Protocol

import numpy as np

from convert.rewrite import by_place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]

ARM = platform.machine() in ("aarch64", "armv7l")
"""Whether this is an Arm processor."""
MAX_DELTA = 0.05
"""A peer that is further than this from Keras' probability on any picture is not timed."""


class MissingPeerError(Exception):
    """The peer can't run here, and why: reported, not a failure."""


def not_installed(package: str, error: ImportError) -> MissingPeerError:
    """Return the error for a package that can't be imported, with what to do."""
    message = f"{package} is not installed ({error}): pip install '.[bench-peers]'"
    return MissingPeerError(message)


def reason(error: Exception) -> str:
    """Return in one line why a peer is missing."""
    text = (str(error).strip().splitlines() or [""])[0]
    return text if isinstance(error, MissingPeerError) else f"{type(error).__name__}: {text}"


class WrongAnswerError(Exception):
    """The peer answers something else than Keras, so its speed says nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """One set of weights, and the pictures that int8 is calibrated on."""

    arrays: Arrays
    """(kernel, bias) of conv1, conv2, dense1, dense2, for raw BGR bytes, in Keras' order."""
    calibration: Sequence[NDArray[np.uint8]]
    """(side, side, 3) uint8, BGR, as the edge resizes them; (batch, side, side, 3) of windows."""
    side: int = 500
    """Of the picture, in pixels; a cut one is smaller, see :mod:`..weight_sets`."""
    batch: int = 1
    """How many pictures make one answer: windows, whose places meet in dense1."""

    def channels(self) -> tuple[int, int, int]:
        """Return how wide conv1, conv2 and dense1 are."""
        first, second, third = (int(self.arrays[n][1].size) for n in ("conv1", "conv2", "dense1"))
        return first, second, third


class Route(Protocol):
    """A network, loaded, that answers one picture at a time."""

    def load(self, image_bgr: NDArray[np.uint8]) -> None:
        """Put a picture or its windows, uint8 BGR, where the library wants it; not timed."""

    def invoke(self) -> float:
        """Return P(malignant) of the picture that was put there last; this is timed."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to run the network."""

    name: str
    """Unique, as the table shows it."""
    packages: tuple[str, ...]
    """The distributions whose versions belong beside its figures."""
    setup: str
    """The configuration, in a few words."""
    make: Callable[[Network, Path], None]
    """Writes what :attr:`open` needs into a folder.  May raise :class:`MissingPeerError`."""
    open: Callable[[Path, int], Route]
    """Loads from that folder, for so many threads."""
    ours: bool = False

    def versions(self) -> dict[str, str]:
        """Return the versions of its packages that are installed here."""
        return {package: installed_version(package) for package in self.packages}


def installed_version(package: str) -> str:
    """Return a distribution's version, or that it isn't installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def check_answers(
    name: str, answers: Sequence[float], expected: Sequence[float], limit: float = MAX_DELTA
) -> float:
    """Return the largest |Δp| of a peer's answers from Keras'.

    Raises:
        WrongAnswerError: it is over the limit, or one is no number.

    """
    largest = float(np.abs(np.subtract(answers, expected)).max())
    if not largest <= limit:  # so that NaN is refused
        message = f"{name}: its probability is off by {largest:.3g}, over {limit}: not timed"
        raise WrongAnswerError(message)
    return largest


def planar(image_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a picture or its windows as (batch, 3, height, width) float32, 0..255."""
    return np.ascontiguousarray(batched(image_bgr).transpose(0, 3, 1, 2), np.float32)


def batched(image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture as a batch of one; windows are a batch already."""
    return image_bgr.reshape(-1, *image_bgr.shape[-3:])


def require_picture(network: Network) -> None:
    """Refuse windows, for a peer that takes one picture.

    Raises:
        MissingPeerError: the network takes a batch of windows.

    """
    if network.batch > 1:
        message = "not built for windows: its graph here takes one picture"
        raise MissingPeerError(message)


def dense_for_planar(network: Network) -> NDArray[np.float32]:
    """Return dense1's kernel, (in, out), for pool2's values in the order (channel, row, column)."""
    kernel = network.arrays["dense1"][0]
    if network.batch > 1:  # one place a window, so the channels are last in any order
        return kernel
    planes = by_place(network.arrays).transpose(2, 0, 1, 3)
    return np.ascontiguousarray(planes).reshape(kernel.shape)
