"""Pictures of every kind that the package decodes, made on the machine that compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge import read_picture
from tests.support.pictures import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def make_pictures(folder: Path) -> None:
    """Write JPEG and PNG files of every layout, from one real picture and from noise."""
    folder.mkdir(parents=True, exist_ok=True)
    real = read_picture(SAMPLES[0]).image_bgr
    odd = real[: real.shape[0] // 2 * 2 - 1, : real.shape[1] // 2 * 2 - 1]
    noise = np.random.default_rng(6).integers(0, 256, (301, 403, 3), np.uint8)
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR
    jpegs: dict[str, tuple[NDArray[Any], list[int]]] = {
        "444": (odd, [sampling, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]),
        "422": (odd, [sampling, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422]),
        "420": (odd, [sampling, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]),
        "progressive": (odd, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        "poor": (noise, [cv2.IMWRITE_JPEG_QUALITY, 5]),
        "good": (noise, [cv2.IMWRITE_JPEG_QUALITY, 100]),
        "gray": (cv2.cvtColor(real, cv2.COLOR_BGR2GRAY), []),
        # Of 4 megapixels and more, so that --fast decodes it at reduced scale.
        "large": (cv2.resize(real, (2600, 1900), interpolation=cv2.INTER_CUBIC), []),
    }
    for name, (image, parameters) in jpegs.items():
        _write(folder / f"{name}.jpg", image, parameters)
    alpha = np.dstack([noise, noise[..., 0]])
    pngs = {
        "colour": noise,
        "alpha": alpha,
        "sixteen": noise.astype(np.uint16) * 257 + 3,
        "small": noise[:7, :5],
        "black": np.zeros((64, 64, 3), np.uint8),
    }
    for name, image in pngs.items():
        _write(folder / f"{name}.png", image, [])


def _write(path: Path, image: NDArray[Any], parameters: list[int]) -> None:
    path.write_bytes(cv2.imencode(path.suffix, image, parameters)[1].tobytes())
