"""What a network's input values mean, and how that meaning is folded into its first layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from convert.network import FrontLayer

Triple = tuple[float, float, float]

_EPSILON = 1e-7
"""Keras' fuzz factor, the default of keras.config.epsilon()."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """The network's input is ``pixel * scale + offset``, pixels 0..255 in ``channel_order``."""

    channel_order: str
    """``BGR`` (OpenCV's) or ``RGB``."""
    scale: Triple
    """A factor for each channel, in ``channel_order``."""
    offset: Triple
    """What is added to each channel after scaling, in ``channel_order``."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: another channel order, a number that is not finite, or a scale of 0.

        """
        if self.channel_order not in ("BGR", "RGB"):
            raise UsageError(f"the channel order must be BGR or RGB, is {self.channel_order!r}")
        if not all(map(math.isfinite, (*self.scale, *self.offset))) or 0.0 in self.scale:
            raise UsageError(
                f"scale and offset must be finite, the scale not 0: {self.scale}, {self.offset}"
            )

    def apply(self, image_bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the network's input for a picture, the way training code would compute it.

        Args:
            image_bgr: (..., 3) uint8, BGR, 0..255.

        Returns:
            (..., 3) float32 in ``channel_order``.

        """
        ordered = image_bgr if self.channel_order == "BGR" else image_bgr[..., ::-1]
        scale, offset = np.asarray(self.scale, np.float32), np.asarray(self.offset, np.float32)
        values: NDArray[np.float32] = ordered.astype(np.float32) * scale + offset
        return values

    def fold(
        self, kernel: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Fold it into a convolution, so that it takes raw BGR bytes.

        With the kernel w, ``sum w (s p + o) + b = sum (w s) p + (b + sum w o)`` for each output
        channel.  That is exact in real arithmetic because the convolution has no padding: each
        output sees every tap of its kernel.  Computed in float64 and rounded once.

        Args:
            kernel: (height, width, 3, out) float32, its input channels in ``channel_order``.
            bias: (out,) float32.

        Returns:
            The kernel with its input channels in BGR order, and the bias.

        """
        scale = np.asarray(self.scale, np.float64)[:, None]
        offset = np.asarray(self.offset, np.float64)[:, None]
        wide = kernel.astype(np.float64)
        folded_bias = bias + (wide * offset).sum(axis=(0, 1, 2))
        folded = wide * scale
        if self.channel_order == "RGB":
            folded = folded[:, :, ::-1, :]
        return np.ascontiguousarray(folded, np.float32), folded_bias.astype(np.float32)

    @property
    def scales(self) -> bool:
        """Whether it does more than say the order of the channels."""
        return (self.scale, self.offset) != ((1.0,) * 3, (0.0,) * 3)

    def then(self, front: Iterable[FrontLayer]) -> Preprocessing:
        """Return what this and layers in front of the network do, one after the other.

        Keras computes ``x scale + offset`` in Rescaling, and ``(x - mean) / max(sqrt(variance),
        epsilon)`` in Normalization, or that turned round where ``invert`` is set (their ``call``
        in ``keras.layers``).
        """
        scale, offset = np.asarray(self.scale, np.float64), np.asarray(self.offset, np.float64)
        for layer in front:
            settings = {key: np.asarray(value) for key, value in layer.settings.items()}
            if layer.kind == "Rescaling":
                factor, shift = settings["scale"], settings["offset"]
            else:
                mean, spread = settings["mean"], np.maximum(np.sqrt(settings["variance"]), _EPSILON)
                invert = layer.settings["invert"]
                factor, shift = (spread, mean) if invert else (1 / spread, -mean / spread)
            scale, offset = scale * factor, offset * factor + shift
        return Preprocessing(self.channel_order, triple(scale.tolist()), triple(offset.tolist()))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "channel_order": self.channel_order,
            "scale": list(self.scale),
            "offset": list(self.offset),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read it from JSON types.

        Raises:
            UsageError: a key is missing or has a value of another kind.

        """
        try:
            return cls(
                str(values["channel_order"]), triple(values["scale"]), triple(values["offset"])
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                f"preprocessing needs channel_order, scale and offset: {dict(values)}"
            ) from error


def triple(values: Any) -> Triple:
    """Return three floats from one number or from three.

    Raises:
        ValueError: another count, or not numbers.

    """
    numbers = [float(value) for value in (values if isinstance(values, list | tuple) else [values])]
    if len(numbers) == 1:
        numbers *= 3
    first, second, third = numbers
    return (first, second, third)


_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in 0..1, red, green and blue, as torchvision has them."""

PRESETS = {
    # What the notebook does at inference: cv2.imread and no scaling.
    "notebook": Preprocessing("BGR", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    # What the training code does: ImageDataGenerator(rescale=1/255) on RGB pictures.
    "keras": Preprocessing("RGB", (1 / 255, 1 / 255, 1 / 255), (0.0, 0.0, 0.0)),
    # The modes of keras.applications.imagenet_utils.preprocess_input.
    "tf": Preprocessing("RGB", (1 / 127.5, 1 / 127.5, 1 / 127.5), (-1.0, -1.0, -1.0)),
    "torch": Preprocessing(
        "RGB",
        triple([1 / (255 * each) for each in _IMAGENET_DEVIATION]),
        triple([-a / b for a, b in zip(_IMAGENET_MEAN, _IMAGENET_DEVIATION, strict=True)]),
    ),
    "caffe": Preprocessing("BGR", (1.0, 1.0, 1.0), (-103.939, -116.779, -123.68)),
}
