"""The options of ``python -m convert``."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from edge.cli import arguments
from edge.cli.arguments import count, share
from edge.model.contract import INTERPOLATIONS, RESIZE_RULES

VARIANTS = ("float32", "float16", "dynamic", "int8")
PREPROCESSING = ("keras", "torch", "tf", "caffe", "notebook")
_MAX_SIDE = 4096
_EPILOG = """\
A model file takes raw BGR bytes: what was done to pixels before the network saw them in training
becomes a part of it. Our own model.h5 says what that was; for others give one of

  --preprocessing keras     RGB / 255: rescale=1/255 of ImageDataGenerator, or a map in tf.data
  --preprocessing tf        RGB / 127.5 - 1: MobileNet, MobileNetV2, Inception, Xception, ResNetV2
  --preprocessing torch     RGB / 255, less ImageNet's mean, by its deviation: torchvision, DenseNet
  --preprocessing caffe     BGR less ImageNet's mean: ResNet50, ResNet101, ResNet152, VGG
  --preprocessing notebook  BGR 0..255, as cv2.imread gives it
  --channel-order RGB       a model that scales its input itself (Rescaling, Normalization):
                            EfficientNet, MobileNetV3, ConvNeXt; BGR if trained on cv2's pictures
  --channel-order, --scale, --offset   anything else: pixel * scale + offset

which stand for preprocess_input of keras.applications where they name a network.

exit status: 0 every model file is within its budget and written; 1 one is not, or the conversion
failed: then none is written; 2 wrong usage; 130 interrupted.

Research and education only, not a diagnosis."""


def make_parser(prog: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser; --help shows the description first."""
    parser = arguments.make_parser(prog, description, _EPILOG)
    add = parser.add_argument
    add(
        "--out", type=Path, default=Path("out"), metavar="DIR", help="where to write (default: out)"
    )
    add(
        "--variants",
        type=_variants,
        default=VARIANTS,
        metavar="LIST",
        help=f"which to make, with commas (default: {','.join(VARIANTS)})",
    )
    add(
        "--file-name",
        type=_file_name,
        default="lesion",
        metavar="NAME",
        help="files are NAME-VARIANT.tflite, and of another NAME than lesion NAME-report.json and "
        ".md (default: lesion)",
    )
    add("--json", action="store_true", help="print the report as JSON instead of the table")
    add(
        "--no-rewrite",
        dest="rewrite",
        action="store_false",
        help="of the notebook's network: the int8 graph as the quantiser writes it, not the faster "
        "one with the same values",
    )
    add(
        "--no-compact",
        dest="compact",
        action="store_false",
        help="of the notebook's network: keep channels whose output is constant",
    )
    add(
        "--tune-for",
        choices=("x86", "arm"),
        default="x86",
        help="the processor to lay its int8 graph out for (default: x86; it runs on both)",
    )
    add(
        "--float-until",
        metavar="LAYER",
        help="of other networks: in int8, leave all up to this layer of Keras in float32; int8 "
        "costs exactness in the first layers above all",
    )
    _add_weights(parser)
    _add_meaning(parser)
    _add_outline(parser)
    _add_proof(parser)
    return parser


def _add_weights(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("model").add_argument
    add(
        "--weights",
        metavar="SPEC",
        help="a file of Keras (.keras, .h5, .weights.h5), upstream (the notebook's, by gdown), "
        "gdrive:ID, or an https address (default: models/model.h5 of a checkout)",
    )
    add(
        "--tflite",
        type=Path,
        metavar="FILE",
        help="a TFLite file of your own: put its contract behind it, so that it describes itself; "
        "with --weights compare it with the Keras model that it was made from",
    )
    add(
        "--architecture",
        metavar="WHAT",
        help="what a file of weights alone is for: model.to_json() in a .json file, or "
        "module:function, which is your own code and is run (default: the notebook's network)",
    )
    add("--sha256", metavar="HEX", help="refuse weights with another hash")
    add(
        "--timeout",
        type=_positive,
        default=300.0,
        metavar="S",
        help="for a download (default: 300)",
    )
    add("--cache", type=Path, metavar="DIR", help="where downloads are kept")


def _add_meaning(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the model was trained for")
    add = group.add_argument
    add(
        "--preprocessing",
        choices=PREPROCESSING,
        help="what its input values are; see below",
    )
    add("--channel-order", choices=("BGR", "RGB"))
    add(
        "--scale",
        metavar="S",
        help="input = pixel * scale + offset; one number, or three with commas",
    )
    add("--offset", metavar="O", help="one number, or three with commas; write --offset=-1")
    add(
        "--resize",
        choices=RESIZE_RULES,
        help="how a picture gets the model's size: stretch (the whole picture, its shape not "
        "kept), crop (the largest centred part of the model's shape), letterbox (the whole "
        "picture, black beside it) (default: stretch)",
    )
    add(
        "--interpolation",
        choices=INTERPOLATIONS,
        help="OpenCV's; Keras' image_dataset_from_directory takes linear, its load_img and "
        "ImageDataGenerator nearest (default: linear)",
    )
    add(
        "--size", type=_size, metavar="WxH", help="of the input, where the model takes any: 224x224"
    )
    add(
        "--labels",
        type=_labels,
        metavar="A,B,...",
        help="in the order of the outputs (default of a model with one sigmoid: benign,malignant)",
    )
    add(
        "--positive",
        metavar="LABEL",
        help="whose probability is shown and compared with the threshold (default: the second of "
        "two)",
    )
    rule = group.add_mutually_exclusive_group()
    rule.add_argument(
        "--threshold",
        type=share,
        metavar="P",
        help="positive from this probability on (default: the weights', or 0.5; of more than two "
        "labels none: the most probable one is the answer)",
    )
    rule.add_argument(
        "--thresholds",
        type=Path,
        metavar="JSON",
        help="threshold, and beside it the band of probabilities whose label is uncertain and "
        'operating points: {"threshold": T, "uncertain": [low, high], "operating_points": {NAME: '
        '{"threshold": T, "uncertain": [low, high]}, ...}}',
    )
    add(
        "--familiar",
        type=share,
        metavar="X",
        help="the model's last output is no label's: below X the picture is unlike those of its "
        "training, by a sigmoid that a Concatenate puts behind the probabilities",
    )
    add("--name", help="what to call the model (default: the weights', or the file's)")
    add("--licence", metavar="TEXT", help="of the model, for its contract: a line for people")
    add(
        "--evaluation",
        type=Path,
        metavar="JSON",
        help="how good it is, likewise: a list of objects with set, pictures, positives, auc, low "
        "and high, its 95 %% interval",
    )
    add(
        "--contract",
        dest="contract_file",
        type=Path,
        metavar="JSON",
        help="of --tflite: a contract, or a part of one (docs/contract.md); options go before it",
    )


def _add_outline(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("a second network, which outlines the lesion").add_argument
    add(
        "--outline",
        metavar="SPEC",
        help="a model that answers with a map of P(lesion), (batch, height, width, 1) by a sigmoid",
    )
    add(
        "--outline-preprocessing",
        choices=(*PREPROCESSING, "RGB"),
        help="RGB: it scales its input itself (default: the same as the classifier's)",
    )
    add(
        "--outline-threshold",
        type=share,
        default=0.5,
        metavar="P",
        help="lesion from this probability on (default: 0.5)",
    )
    add(
        "--outline-jaccard",
        type=_budget,
        action="append",
        default=[],
        metavar="VARIANT=X",
        help="least mean Jaccard index with Keras' outlines (default: int8=0.97)",
    )


def _add_proof(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("proof").add_argument
    add(
        "--calibration",
        type=Path,
        metavar="DIR",
        help="real pictures for int8, of the kind that the model is for, in a folder for each "
        "label or in one (default: the project's, which are dermoscopic)",
    )
    add(
        "--calibration-count",
        type=count,
        default=100,
        metavar="N",
        help="use at most N (default: 100)",
    )
    add("--seed", type=int, default=0, metavar="N", help="which N of them (default: 0)")
    add(
        "--held-out",
        type=Path,
        metavar="DIR",
        help="others of them, to compare with Keras on (default: the project's)",
    )
    for name, metavar, what in (
        ("--max-delta", "VARIANT=X", "largest |Δp| allowed"),
        ("--mean-delta", "VARIANT=X", "mean |Δp| allowed"),
        ("--flips", "VARIANT=X", "share of labels allowed to differ, 0 to 1"),
    ):
        add(name, type=_budget, action="append", default=[], metavar=metavar, help=what)
    add("--rounds", type=count, default=50, metavar="N", help="timed invokes of each (default: 50)")


def _variants(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := [variant for variant in chosen if variant not in VARIANTS]:
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(unknown)}; there are {', '.join(VARIANTS)}"
        )
    return chosen


def _labels(text: str) -> tuple[str, ...]:
    labels = tuple(label.strip() for label in text.split(","))
    if len(labels) < 2 or len(set(labels)) < len(labels) or not all(labels):
        raise argparse.ArgumentTypeError(
            "give two or more different labels, such as benign,malignant"
        )
    if not all(label.isprintable() and len(label) <= 200 for label in labels):
        raise argparse.ArgumentTypeError(
            "a label has 1 to 200 printable characters; where it has accents, the terminal's "
            "encoding has to be UTF-8"
        )
    return labels


def _file_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", text, re.ASCII):
        raise argparse.ArgumentTypeError("give letters, digits, '-', '_' and '.' only")
    return text


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) == 1:
        sides *= 2
    width, height = (int(side) for side in sides)
    if not (1 <= width <= _MAX_SIDE and 1 <= height <= _MAX_SIDE):
        raise argparse.ArgumentTypeError(f"each side must be from 1 to {_MAX_SIDE}")
    return width, height


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be positive")
    return value


def _budget(text: str) -> tuple[str, float]:
    variant, _, number = text.partition("=")
    if variant not in VARIANTS:
        raise argparse.ArgumentTypeError(f"give VARIANT=X with one of {', '.join(VARIANTS)}")
    value = float(number)
    if not value >= 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return variant, value
