"""What a model's numbers mean is said by a person or the file, asked for at once, never guessed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from convert.errors import UsageError  # noqa: E402
from convert.meaning import find_meaning  # noqa: E402
from convert.options import PREPROCESSING, make_parser  # noqa: E402
from convert.quantise.preprocessing import PRESETS  # noqa: E402
from convert.weights.file import Weights  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from convert.meaning import Meaning

pytestmark = pytest.mark.slow

layers = keras.layers
TF = ["--preprocessing", "tf"]
SEVEN = ["--labels", "akiec,bcc,bkl,df,mel,nv,vasc"]


def weights(*front: Any, outputs: int = 1, side: int | None = 8) -> Weights:
    """Return a small model behind the layers of ``front``: one sigmoid, or a softmax."""
    activation = "softmax" if outputs > 1 else "sigmoid"
    model = keras.Sequential(
        [
            keras.Input((side, side, 3)),
            *front,
            layers.Conv2D(2, 3, padding="same"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(outputs, activation=activation),
        ]
    )
    size_wh = (side, side) if side else None
    return Weights(
        "0" * 64,
        "m.keras",
        None,
        activation=activation,
        outputs=outputs,
        size_wh=size_wh,
        build=lambda: model,
    )


def test_each_preset_has_its_option() -> None:
    assert set(PREPROCESSING) == set(PRESETS)


def find(own: Weights, *given: str) -> Meaning:
    return find_meaning(make_parser("convert", None).parse_args(given), own)


THRESHOLDS = {
    "threshold": 0.3,
    "uncertain": [0.2, 0.4],
    "operating_points": {"screening": {"threshold": 0.1, "uncertain": [0.05, 0.15]}},
}


def test_a_band_and_operating_points_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(THRESHOLDS))
    meaning = find(weights(), *TF, "--thresholds", str(path))
    assert {"threshold": meaning.threshold, **meaning.thresholds} == THRESHOLDS
    path.write_text('{"threshold": null}')
    several = find(weights(outputs=7), *TF, *SEVEN, "--positive", "mel", "--thresholds", str(path))
    assert (several.threshold, several.thresholds) == (None, {})


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({**THRESHOLDS, "uncertain": [0.4, 0.5]}, "t.json: .*uncertain must be .* threshold 0.3"),
        ({**THRESHOLDS, "band": [0.2, 0.4]}, "no keys but threshold, uncertain, operating_points"),
        ([0.3], "t.json: must be an object"),
        ({"uncertain": [0.2, 0.4]}, "t.json: .* no 'threshold'"),
        ({"threshold": 0.3, "operating_points": {"a": 0.1}}, "operating_points.a must be"),
    ],
)
def test_thresholds_are_checked_as_a_device_reads_them(
    said: object, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(said))
    with pytest.raises(UsageError, match=reason):
        find(weights(), *TF, "--thresholds", str(path))
    with pytest.raises(UsageError, match=r"none\.json: can't be read"):
        find(weights(), *TF, "--thresholds", str(tmp_path / "none.json"))
    with pytest.raises(SystemExit):
        find(weights(), *TF, "--thresholds", str(path), "--threshold", "0.3")


def test_all_that_is_missing_is_asked_for_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        find(weights(outputs=7, side=None))
    head, *asked = str(caught.value).splitlines()
    assert head == "m.keras doesn't say:"
    for line, option in zip(
        asked, ("--preprocessing", "--size", "--labels", "--positive"), strict=True
    ):
        assert f"give {option} " in line
    assert "what its 7 outputs are called" in str(caught.value)


def test_one_thing_that_is_missing_is_one_line_with_the_choices() -> None:
    with pytest.raises(UsageError) as caught:
        find(weights(outputs=7), *TF, *SEVEN)
    assert "\n" not in str(caught.value)
    assert "--positive akiec, bcc, bkl, df, mel, nv or vasc" in str(caught.value)
    with pytest.raises(UsageError, match="is none of the labels: give akiec, bcc"):
        find(weights(outputs=7), *TF, *SEVEN, "--positive", "melanoma")


def test_a_sigmoid_is_of_the_second_of_two_labels_and_has_a_threshold() -> None:
    meaning = find(weights(), *TF)
    assert meaning.labels == ("benign", "malignant")
    assert (meaning.positive, meaning.threshold) == ("malignant", 0.5)
    other = find(weights(), *TF, "--labels", "cat, dog", "--positive", "cat", "--threshold", "0.2")
    assert (other.labels, other.positive, other.threshold) == (("cat", "dog"), "cat", 0.2)
    with pytest.raises(UsageError, match="one output, the probability of the second of two"):
        find(weights(), *TF, *SEVEN)


def test_several_labels_have_no_threshold_unless_one_is_given() -> None:
    given = (*TF, *SEVEN, "--positive", "mel")
    assert find(weights(outputs=7), *given).threshold is None
    assert find(weights(outputs=7), *given, "--threshold", "0.3").threshold == 0.3
    with pytest.raises(UsageError, match=r"names 7, m\.keras has 3 outputs"):
        find(weights(outputs=3), *given)


def test_two_labels_by_softmax_have_to_be_named_and_their_positive_is_the_second() -> None:
    with pytest.raises(UsageError, match="what its 2 outputs are called"):
        find(weights(outputs=2), *TF)
    meaning = find(weights(outputs=2), *TF, "--labels", "no,yes")
    assert (meaning.positive, meaning.threshold) == ("yes", 0.5)


def test_the_size_is_the_models_or_else_given() -> None:
    assert find(weights(), *TF).geometry.size_wh == (8, 8)
    assert find(weights(side=None), *TF, "--size", "32x24").geometry.size_wh == (32, 24)
    with pytest.raises(UsageError, match="takes pictures of 8x8 only: leave --size out"):
        find(weights(), *TF, "--size", "32x24")


def test_how_a_picture_gets_the_size_is_as_given() -> None:
    geometry = find(weights(), *TF, "--resize", "crop", "--interpolation", "area").geometry
    assert (geometry.resize, geometry.interpolation) == ("crop", "area")
    plain = find(weights(), *TF).geometry
    assert (plain.resize, plain.interpolation) == ("stretch", "linear")


FRONTS = {
    "rescaling": [layers.Rescaling(1 / 127.5, offset=-1, name="scaler")],
    "behind augmentation": [layers.RandomFlip(), layers.Rescaling(1 / 255, name="scaler")],
    "nested": [keras.Sequential([layers.Rescaling([0.01] * 3, name="scaler")])],
    "normalization": [layers.Normalization(mean=[127.0] * 3, variance=[64.0] * 3, name="scaler")],
}


@pytest.mark.parametrize("front", FRONTS)
def test_of_a_model_that_scales_inside_only_the_channel_order_is_asked(front: str) -> None:
    with pytest.raises(UsageError, match=r"order of its channels.*'scaler'.*scales them itself"):
        find(weights(*FRONTS[front]))
    pixels = find(weights(*FRONTS[front]), "--channel-order", "RGB").pixels
    assert (pixels.channel_order, pixels.scales) == ("RGB", False)


@pytest.mark.parametrize("front", ["rescaling", "behind augmentation", "nested"])
def test_scaling_once_more_is_refused(front: str) -> None:
    with pytest.raises(UsageError, match=r"already scales the input.*--channel-order RGB --scale"):
        find(weights(*FRONTS[front]), "--preprocessing", "keras")


def test_a_normalization_of_scaled_pixels_goes_with_scaling() -> None:
    """Mean and deviation of ImageNet's pixels in 0..1, as torchvision's recipe has it."""
    front = layers.Normalization(mean=[0.485] * 3, variance=[0.229**2] * 3)
    assert find(weights(front), "--preprocessing", "keras").pixels.scales


@pytest.mark.parametrize("mode", ["tf", "torch", "caffe"])
def test_a_preset_is_what_keras_applications_does(mode: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    rgb = pixels[..., ::-1].astype(np.float32)
    theirs = keras.applications.imagenet_utils.preprocess_input(rgb, mode=mode)
    np.testing.assert_allclose(PRESETS[mode].apply(pixels), theirs, rtol=1e-5, atol=1e-5)


def test_the_channel_order_alone_is_not_enough_for_others() -> None:
    with pytest.raises(UsageError, match="go together"):
        find(weights(), "--channel-order", "RGB")


def test_one_side_is_a_squares() -> None:
    assert find(weights(side=None), *TF, "--size", "12").geometry.size_wh == (12, 12)


@pytest.mark.parametrize("size", ["0x3", "12x", "5000x2", "axb", "1x2x3"])
def test_another_size_is_wrong_usage(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        find(weights(side=None), "--size", size)
    assert "--size" in capsys.readouterr().err
