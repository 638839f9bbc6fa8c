"""The annotated picture shows the boxes and the answer, and is written whole or not at all."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge import Analysis, OutputError, Region, Timings, annotate, files, find_regions, read_picture
from edge.drawing import save_annotated
from edge.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self


def analysis(image: Any, regions: tuple[Region, ...] | None = None) -> Analysis:
    height, width = image.shape[:2]
    return Analysis(
        size_wh=(width, height),
        label="malignant",
        probability=0.612,
        threshold=0.5,
        regions=find_regions(image) if regions is None else regions,
        timings_ms=Timings(0, 0, 0, 0, 0),
        warnings=(),
        positive="malignant",
    )


@pytest.mark.parametrize(
    "shape", [(1, 1), (30, 30), (60, 400), (400, 60), (767, 1022), (2000, 3000)]
)
def test_boxes_and_caption_are_there_at_any_size(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 200, np.uint8)
    region = Region(0, 0, shape[1] // 2, shape[0] // 2, 101.0)
    result = annotate(image, analysis(image, (region,)))
    zoom = max(1, -(-480 // max(shape)))
    caption = result.shape[0] - shape[0] * zoom
    assert result.shape[1] >= 480
    assert caption > 0
    # The caption's letters are white on dark, and leave a margin at the right.
    assert (result[:caption] > 200).any()
    assert (result[:caption, -2:] < 60).all()
    # The box's corner is pure red, at the picture's own corner.
    assert result[caption, 0].tolist() == [0, 0, 255]


def test_the_picture_itself_is_left_as_it_was(sample: Path) -> None:
    image = read_picture(sample).image_bgr
    before = image.copy()
    result = annotate(image, analysis(image))
    assert (image == before).all()
    (region,) = find_regions(image)
    inside = result[-image.shape[0] :][region.y + 20 : region.y + 60, region.x + 20 : region.x + 60]
    assert (inside == image[region.y + 20 : region.y + 60, region.x + 20 : region.x + 60]).all()


def test_the_file_is_a_picture_of_the_same_size(sample: Path, tmp_path: Path) -> None:
    image = read_picture(sample).image_bgr
    path = tmp_path / "annotated.jpg"
    save_annotated(str(path), image, analysis(image))
    assert read_picture(path).image_bgr.shape == annotate(image, analysis(image)).shape


@pytest.mark.parametrize("fault", ["write", "fsync", "replace"])
def test_fault_41_a_full_disk_leaves_the_old_file_whole(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAULTS 41: and the temporary file goes."""
    path = tmp_path / "result.jpg"
    write_atomically(path, b"old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if fault == "write":
        monkeypatch.setattr(files, "open", lambda path, _: _FullFile(path), raising=False)
    elif fault == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(os, "replace", full)
    image = np.zeros((9, 9, 3), np.uint8)
    with pytest.raises(OutputError, match=r"result\.jpg: can't be written: No space left"):
        save_annotated(str(path), image, analysis(image))
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.jpg"]


class _FullFile:
    def __init__(self, path: str) -> None:
        self._stream = open(path, "xb")  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, data: bytes) -> None:
        self._stream.write(data[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_fault_41_a_file_size_limit_in_mid_write_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """FAULTS 41: a real RLIMIT_FSIZE, in a process of its own."""
    import subprocess
    import sys

    path = tmp_path / "result"
    path.write_bytes(b"old")
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from edge.files import write_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_atomically(Path(sys.argv[1]), bytes(5000))\n"
        "except OSError as error: print(error.errno)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) == errno.EFBIG
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result"]
