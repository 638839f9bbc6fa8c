"""A picture becomes an input by the contract's rules, to the byte."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from edge import InputSpec
from edge.model.preprocess import fill_input, resize_into

if TYPE_CHECKING:
    from numpy.typing import NDArray

sides = st.integers(1, 90)
sizes = st.tuples(sides, sides)
BYTES = np.arange(256, dtype=np.uint8).reshape(16, 16)
GRAYS = np.repeat(BYTES[..., None], 3, axis=2)


def noise(size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    width, height = size_wh
    return np.random.default_rng(width * 997 + height).integers(
        0, 256, (height, width, 3), np.uint8
    )


def unsigned(spec: InputSpec) -> InputSpec:
    return replace(spec, dtype="uint8", zero_point=spec.zero_point + 128)


def resized(image: NDArray[Any], spec: InputSpec) -> NDArray[np.uint8]:
    out = np.full((spec.size_wh[1], spec.size_wh[0], 3), 77, np.uint8)
    resize_into(image, out, spec)
    return out


def filled(image: NDArray[np.uint8], spec: InputSpec) -> NDArray[Any]:
    tensor = np.full((spec.size_wh[1], spec.size_wh[0], 3), 77).astype(spec.dtype)
    fill_input(image, tensor, spec)
    return tensor


@settings(max_examples=200)
@given(sizes, sizes)
@example((4000, 1), (224, 224))
@example((1, 4000), (90, 1))
def test_crop_takes_the_largest_centred_part_of_the_inputs_aspect_ratio(
    size_wh: tuple[int, int], target_wh: tuple[int, int]
) -> None:
    image, spec = noise(size_wh), InputSpec(target_wh, resize="crop")
    ratio = Fraction(*target_wh)
    width = max(1, min(size_wh[0], floor(size_wh[1] * ratio)))
    height = max(1, min(size_wh[1], floor(size_wh[0] / ratio)))
    left, top = (size_wh[0] - width) // 2, (size_wh[1] - height) // 2
    part = np.ascontiguousarray(image[top : top + height, left : left + width])
    assert (resized(image, spec) == cv2.resize(part, target_wh)).all()


@settings(max_examples=200)
@given(sizes, sizes)
@example((4000, 1), (224, 224))
@example((5, 2), (2, 2))
def test_letterbox_shows_the_whole_picture_centred_on_black(
    size_wh: tuple[int, int], target_wh: tuple[int, int]
) -> None:
    image, spec = noise(size_wh), InputSpec(target_wh, resize="letterbox")
    factor = min(Fraction(target_wh[0], size_wh[0]), Fraction(target_wh[1], size_wh[1]))
    width, height = (max(1, round(side * factor)) for side in size_wh)
    expected = np.zeros((target_wh[1], target_wh[0], 3), np.uint8)
    left, top = (target_wh[0] - width) // 2, (target_wh[1] - height) // 2
    expected[top : top + height, left : left + width] = cv2.resize(image, (width, height))
    assert (resized(image, spec) == expected).all()


@pytest.mark.slow
def test_crop_is_keras_smart_resize() -> None:
    """And so Resizing(crop_to_aspect_ratio=True); Keras computes in floats, OpenCV in 11 bits."""
    keras = pytest.importorskip("keras")
    for size_wh, target_wh in (
        ((1022, 767), (224, 224)),
        ((767, 1022), (300, 300)),
        ((640, 480), (96, 160)),
        ((101, 37), (64, 33)),
        ((50, 50), (224, 224)),
    ):
        image = cv2.GaussianBlur(noise(size_wh), (0, 0), 3)
        spec = InputSpec(target_wh, resize="crop")
        theirs = keras.preprocessing.image.smart_resize(image, target_wh[::-1])
        assert np.abs(resized(image, spec) - np.asarray(theirs, np.float64)).max() <= 1


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("nearest", cv2.INTER_NEAREST),
        ("linear", cv2.INTER_LINEAR),
        ("linear_exact", cv2.INTER_LINEAR_EXACT),
        ("cubic", cv2.INTER_CUBIC),
        ("area", cv2.INTER_AREA),
    ],
)
@pytest.mark.parametrize("rule", ["stretch", "crop", "letterbox"])
def test_an_interpolation_is_opencvs_of_that_name(name: str, flag: int, rule: str) -> None:
    image = noise((60, 60))
    expected = cv2.resize(image, (24, 24), interpolation=flag)
    assert (resized(image, InputSpec((24, 24), name, rule)) == expected).all()


numbers = st.floats(-300, 300).filter(lambda number: abs(number) > 1e-3)


triples = st.tuples(numbers, numbers, numbers)
eight_bits = st.builds(
    InputSpec,
    st.just((16, 16)),
    channel_order=st.sampled_from(["BGR", "RGB"]),
    dtype=st.just("int8"),
    scale=st.floats(1e-3, 30),
    zero_point=st.integers(-128, 127),
    values_scale=triples,
    values_offset=triples,
)


@settings(max_examples=60)
@given(eight_bits | eight_bits.map(unsigned))
def test_each_byte_becomes_the_nearest_element(spec: InputSpec) -> None:
    """All 256, for each channel by its own numbers; what is out of range goes to its end."""
    low, high = (0, 255) if spec.dtype == "uint8" else (-128, 127)
    elements = filled(GRAYS, spec)
    for channel, (factor, offset) in enumerate(
        zip(spec.values_scale, spec.values_offset, strict=True)
    ):
        for pixel, element in zip(BYTES.flat, elements[..., channel].flat, strict=True):
            value = Fraction(int(pixel)) * Fraction(factor) + Fraction(offset)
            exact = value / Fraction(spec.scale) + spec.zero_point
            nearest = min(max(exact, Fraction(low)), Fraction(high))
            assert abs(int(element) - nearest) <= Fraction(1, 2) + Fraction(1, 10**6)


@pytest.mark.parametrize(
    ("encoding", "factor", "offset", "mask"),
    [
        (("uint8", 1.0, 0), 1.0, 0.0, 0x00),
        (("int8", 1.0, -128), 1.0, 0.0, 0x80),
        (("int8", 1.0, 0), 1.0, -128.0, 0x80),
        (("uint8", 1 / 255, 0), 1 / 255, 0.0, 0x00),
        (("int8", 1 / 128, -1), 1 / 128, -127 / 128, 0x80),
    ],
)
@pytest.mark.parametrize("order", ["BGR", "RGB"])
def test_where_element_and_byte_are_one_to_one_every_byte_arrives(
    encoding: tuple[str, float, int], factor: float, offset: float, mask: int, order: str
) -> None:
    """The graph's float32 scale is not quite the number that people mean."""
    dtype, scale, zero_point = encoding
    for written in (scale, float(np.float32(scale))):
        spec = InputSpec(
            (16, 16),
            dtype=dtype,
            channel_order=order,
            scale=written,
            zero_point=zero_point,
            values_scale=(factor,) * 3,
            values_offset=(offset,) * 3,
        )
        assert (filled(GRAYS, spec).view(np.uint8) == (GRAYS ^ mask)).all()


@given(
    triples,
    triples,
    st.sampled_from(["BGR", "RGB"]),
)
def test_a_float_input_gets_the_values_rounded_once(
    factors: tuple[float, float, float], offsets: tuple[float, float, float], order: str
) -> None:
    spec = InputSpec(
        (16, 16),
        channel_order=order,
        dtype="float32",
        values_scale=factors,
        values_offset=offsets,
    )
    image = noise((16, 16))
    ordered = image if order == "BGR" else image[..., ::-1]
    exact = ordered.astype(np.float64) * factors + offsets
    assert (filled(image, spec) == exact.astype(np.float32)).all()


def test_keras_rescaling_is_met_to_the_bit() -> None:
    """``pixels / 255`` in float32, as training code has it."""
    spec = InputSpec((16, 16), dtype="float32", values_scale=(1 / 255,) * 3)
    assert (filled(GRAYS, spec) == GRAYS.astype(np.float32) / np.float32(255)).all()


@settings(max_examples=50)
@given(
    sizes,
    sizes,
    st.sampled_from(["stretch", "crop", "letterbox"]),
    st.sampled_from(["uint8", "int8", "float32"]),
)
def test_the_whole_way_is_resize_then_channels_then_numbers(
    size_wh: tuple[int, int], target_wh: tuple[int, int], rule: str, dtype: str
) -> None:
    """Black bars get what black pixels get."""
    assume(size_wh != target_wh)
    zero_point, scale = (0, 1.0) if dtype == "float32" else (3, 0.02)
    spec = InputSpec(
        target_wh,
        "nearest",
        rule,
        "RGB",
        dtype,
        scale,
        zero_point,
        (0.017, 0.0175, 0.0174),
        (-2.1, -2.0, -1.8),
    )
    image = noise(size_wh)
    rgb = resized(image, spec)[..., ::-1].astype(np.float64)
    values = rgb * spec.values_scale + spec.values_offset
    expected = values
    if dtype != "float32":
        limits = np.iinfo(dtype)
        expected = (np.rint(values / 0.02) + 3).clip(limits.min, limits.max)
    assert (filled(image, spec) == expected.astype(dtype)).all()


def test_a_picture_that_is_no_contiguous_array_is_taken() -> None:
    image = noise((80, 60))
    for rule in ("stretch", "crop", "letterbox"):
        spec = InputSpec((24, 20), resize=rule)
        view = image[::2, ::-1]
        assert (resized(view, spec) == resized(np.ascontiguousarray(view), spec)).all()
