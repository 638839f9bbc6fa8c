"""What is attacked: for each target its corpus, its mutator, and what may come of a case."""

from __future__ import annotations

import hashlib
import json
import math
import random
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support import dark, skin
from tests.support.pictures import MODELS, ROOT

from .mutate import mutate_bytes, mutate_json, mutate_picture
from .mutate_model import mutate_model
from .stream import prepare_stream
from .whole import prepare_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edge import Analysis
    from edge.model.contract import Contract

    Mutate = Callable[[random.Random, bytes, Sequence[bytes]], bytes]
    Check = Callable[[bytes], object]

CORPUS = ROOT / "tests" / "fuzz" / "corpus"
_STAND_INS = (b"@SHA256@", b"@COLOURS@", b"@INT8@", b"@SKIN@")
"""What a contract of the corpus has in the place of a hash of :func:`_graphs`."""


@dataclass(frozen=True, slots=True)
class Target:
    """A reader of files, and how it is attacked."""

    name: str
    corpus: Callable[[], list[bytes]]
    mutate: Mutate
    prepare: Callable[[Path], Check]
    """Load what the check needs; it may write files into the folder.

    The check returns if a case is accepted, raises a ``LesionEdgeError`` if it is refused, and an
    ``AssertionError`` if it is accepted and something is wrong with that.
    """
    memory: int = 1 << 30
    """What its process may map."""

    def case(self, corpus: Sequence[bytes], seed: int, number: int) -> bytes:
        """Return the case: the corpus itself first, then one mutation after another."""
        if number < len(corpus):
            return corpus[number]
        draw = random.Random(f"{self.name} {seed} {number}")
        original = draw.choice(corpus)
        for _ in range(100):
            mutated = self.mutate(draw, original, corpus)
            if mutated != original:
                return mutated
        raise AssertionError("a hundred mutations changed nothing")


def _files(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def _models() -> list[bytes]:
    return [*(path.read_bytes() for path in MODELS.values()), dark.make_model()]


def _graphs() -> dict[bytes, bytes]:
    """Return the graphs by their hash, as it stands in a contract."""
    from edge.model.file import unpack

    names = ("colours.tflite", "own-int8.tflite", "skin.tflite")
    own = (ROOT / "tests/edge/data" / name for name in names)
    graphs = (
        unpack(MODELS["float32"].read_bytes(), "model")[0],
        *(path.read_bytes() for path in own),
    )
    return {hashlib.sha256(graph).hexdigest().encode(): graph for graph in graphs}


def _contracts() -> list[bytes]:
    from edge.model.file import unpack

    document = unpack(MODELS["float32"].read_bytes(), "model")[1]
    outlined = document | {"outline": dark.describe(), "segmentation": "outline"}
    outlined |= {"uncertain": [0.2, 0.4], "operating_points": {"other": {"threshold": 0.1}}}
    own = (
        json.dumps(d, indent=2, ensure_ascii=False).encode()
        for d in (document, outlined, skin.contract())
    )
    hashes = dict(zip(_STAND_INS, _graphs(), strict=True))
    return [*own, *(_fill_in(data, hashes) for data in _files("contracts"))]


def _fill_in(data: bytes, hashes: Mapping[bytes, bytes]) -> bytes:
    for stand_in, sha256 in hashes.items():
        data = data.replace(stand_in, sha256)
    return data


def _check_analysis(analysis: Analysis, contract: Contract) -> None:
    assert 0.0 <= analysis.probability <= 1.0
    low, high = analysis.uncertain or (1.0, 0.0)
    assert (analysis.familiar is None) == (contract.familiar is None)
    if low <= analysis.probability < high or analysis.familiar is False:
        assert analysis.label == "uncertain"
    else:
        assert analysis.label in contract.labels
    if analysis.threshold is not None and analysis.label != "uncertain":
        is_positive = analysis.label == contract.positive
        assert is_positive == (analysis.probability >= analysis.threshold)
    from edge.outline import MIN_SHARE

    width, height = analysis.size_wh
    for region in analysis.regions:
        assert 0 <= region.x < region.x + region.width <= width
        assert 0 <= region.y < region.y + region.height <= height
    if (lesion := analysis.lesion) is not None:
        assert 0 <= lesion.x < lesion.x + lesion.width <= width
        assert 0 <= lesion.y < lesion.y + lesion.height <= height
        assert MIN_SHARE <= lesion.share <= 1
    text = json.dumps(analysis.to_dict())
    assert not math.isnan(json.loads(text)["probability"])


def _prepare_pictures(_: Path) -> Check:
    import cv2
    import numpy as np

    from edge import Analyzer, annotate, decode

    cv2.setNumThreads(1)
    analyzer = Analyzer(MODELS["int8"], threads=1)

    def check(data: bytes) -> None:
        picture = decode(data, "case", fast=len(data) % 4 == 0)
        assert picture.image_bgr.dtype == np.uint8
        assert picture.image_bgr.ndim == 3
        analysis = analyzer.analyze(picture)
        _check_analysis(analysis, analyzer.contract)
        if len(data) % 3 == 0:
            assert cv2.imencode(".jpg", annotate(picture.image_bgr, analysis))[0]

    return check


def _prepare_models(folder: Path) -> Check:
    from edge.model.classifier import Classifier

    path, originals = folder / "model.tflite", _models()

    def check(data: bytes) -> None:
        path.write_bytes(data)
        Classifier(path, num_threads=1)
        assert data in originals, "a model file was accepted whose bytes were changed"

    return check


def _prepare_contracts(folder: Path) -> Check:
    """A contract behind its flatbuffer, with hash and archive made anew, or beside it."""
    import numpy as np

    from edge import Analyzer
    from edge.model.file import pack

    graphs = _graphs()
    outline = dark.flatbuffer("int8").read_bytes()
    whole, plain, beside = (folder / name for name in ("whole", "plain", "contract.json"))
    image = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)

    def check(data: bytes) -> None:
        sha256 = next((sha256 for sha256 in graphs if sha256 in data), next(iter(graphs)))
        flatbuffer = graphs[sha256]
        if len(data) % 2:
            plain.write_bytes(flatbuffer)
            beside.write_bytes(data)
            analyzer = Analyzer(plain, contract=beside, threads=1)
        else:
            second = outline if hashlib.sha256(outline).hexdigest().encode() in data else None
            whole.write_bytes(pack(flatbuffer, data, second))
            analyzer = Analyzer(whole, threads=1)
        contract = analyzer.contract
        assert contract.sha256.encode() == sha256
        assert all(text.isprintable() for text in (*contract.labels, contract.name))
        _check_analysis(analyzer.analyze(image), contract)

    return check


def _prepare_weights(folder: Path) -> Check:
    import numpy as np

    from convert.network import LAYERS
    from convert.weights.file import read_weights

    path = folder / "model.h5"

    def check(data: bytes) -> None:
        path.write_bytes(data)
        weights = read_weights(path)
        notebook = weights.notebook
        assert notebook is not None
        assert weights.sha256 == hashlib.sha256(data).hexdigest()
        for spec in LAYERS:
            kernel, bias = notebook.arrays[spec.name]
            assert (kernel.shape, bias.shape) == (spec.kernel, spec.bias)
            assert np.isfinite(kernel).all()
            assert np.isfinite(bias).all()

    return check


TARGETS = {
    target.name: target
    for target in (
        Target("pictures", lambda: _files("pictures"), mutate_picture, _prepare_pictures),
        Target("models", _models, mutate_bytes, _prepare_models),
        Target("contracts", _contracts, mutate_json, _prepare_contracts),
        Target("camera", lambda: _files("camera"), mutate_picture, lambda _: prepare_stream()),
        Target("weights", lambda: _files("weights"), mutate_bytes, _prepare_weights),
        Target("whole", lambda: _files("whole"), mutate_model, prepare_whole, memory=8 << 30),
    )
}


def run_case(check: Check, data: bytes) -> tuple[str, str]:
    """Run one case: ``accepted`` or ``refused``, or ``foreign`` or ``unsound`` and a finding."""
    from edge import LesionEdgeError

    try:
        check(data)
    except LesionEdgeError as error:
        text = str(error)
        # One line, whatever the file holds.
        return ("refused", text) if text.isprintable() else ("unsound", repr(text))
    except AssertionError as error:
        return "unsound", str(error)
    except Exception as error:  # noqa: BLE001 - that there is none is what is tested
        return "foreign", f"{type(error).__name__}: {error}"
    return "accepted", ""


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder for what the checks write."""
    return tempfile.TemporaryDirectory(prefix="lesion-edge-fuzz-")
