"""A picture with what was found drawn in and its answer above, for a person to look at."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .results import Analysis

from edge.picture.comment import add_comment, source_mark

from .errors import OutputError
from .files import printable, write_atomically
from .results import NOTICE

_RED, _WHITE, _DARK, _GRAY = (0, 0, 255), (255, 255, 255), (40, 40, 40), (190, 190, 190)
_MIN_SIDE, _MAX_SIDE = 480, 16_000
_JPEG_QUALITY = 92
_LINE_MOST, _LABEL_MOST = 56, 40  # letters: more of them get too small to be read
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def annotate(image_bgr: NDArray[np.uint8], analysis: Analysis) -> NDArray[np.uint8]:
    """Return an annotated copy: boxes and outline in red, and a caption that fits the width.

    Where the answer comes from, if it was asked, is warm.

    A small picture is enlarged until its longer side has 480 pixels, so that the caption can be
    read; lines and letters grow with a large one.  One whose longer side is over 16,000 pixels is
    made smaller: a strip of a million by one would need gigabytes for its caption, and a JPEG
    can't hold it.

    Args:
        image_bgr: (height, width, 3) uint8, BGR, the picture that was analysed, or a smaller
            copy: boxes and outline shrink with it.
        analysis: its analysis.

    """
    fitted = _fit(image_bgr)
    height, width = fitted.shape[:2]
    explained = analysis.explained.replace(analysis.positive, _cut(analysis.positive))
    lines = (
        *((text, _WHITE, 1.0) for text in _say(analysis)),
        *((text, _GRAY, 0.62) for text in (explained, NOTICE) if text),
    )
    # A narrow picture is set on a canvas that is wide enough for its caption.
    caption = _draw_caption(lines, max(width, _MIN_SIDE))
    framed = np.full((len(caption) + height, caption.shape[1], 3), _DARK, np.uint8)
    framed[: len(caption)] = caption
    # A view: the picture is copied once, however large it is.
    canvas = framed[len(caption) :, :width]
    canvas[:] = fitted
    if analysis.explanation is not None:
        analysis.explanation.draw(canvas, analysis.size_wh)
    thickness = max(2, round(max(height, width) / 400))
    # How much larger or smaller than the whole picture the canvas is along each side.
    across, down = (canvas.shape[1 - axis] / analysis.size_wh[axis] for axis in (0, 1))
    for region in analysis.regions:
        corner = (round(region.x * across), round(region.y * down))
        opposite = (
            round((region.x + region.width) * across),
            round((region.y + region.height) * down),
        )
        cv2.rectangle(canvas, corner, opposite, _RED, thickness)
    if analysis.lesion is not None:
        outline = analysis.lesion.polygons(analysis.size_wh, (width, height))
        # A dark edge on both sides: red alone is lost on a red lesion.
        for colour, line in ((_DARK, thickness + 2), (_RED, thickness)):
            cv2.polylines(canvas, outline, True, colour, line, cv2.LINE_AA)  # noqa: FBT003
    return framed


def _fit(image_bgr: NDArray[np.uint8]) -> cv2.typing.MatLike:
    """Return the picture, or a copy of another size, whose longer side has 480 to 16,000 pixels."""
    height, width = image_bgr.shape[:2]
    longer = max(height, width)
    if longer > _MAX_SIDE:
        size_wh = [max(1, side * _MAX_SIDE // longer) for side in (width, height)]
        return cv2.resize(image_bgr, size_wh, interpolation=cv2.INTER_AREA)
    zoom = -(-_MIN_SIDE // longer)
    if zoom == 1:
        return image_bgr
    return cv2.resize(image_bgr, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)


def _say(analysis: Analysis) -> list[str]:
    """Return the answer in lines; for two labels and their regions it is one, however long."""
    found = analysis.found
    if analysis.segmentation == "otsu" and not analysis.regions:
        found += " found"
    if len(analysis.probabilities) <= 2 and analysis.segmentation == "otsu":
        return [f"{analysis.label}  {analysis.answer}  {found}"]
    said = [_cut(analysis.label)]
    for part in (*(f"P({_cut(label)}) {p}" for label, p in analysis.shown), found):
        if len(said[-1]) + len(part) <= _LINE_MOST:
            said[-1] += f"  {part}"
        else:
            said.append(part)
    return said


def _cut(label: str) -> str:
    # OpenCV 4 has letters of ASCII only, and so no ellipsis.
    return label if len(label) <= _LABEL_MOST else f"{label[: _LABEL_MOST - 3]}..."


def _draw_caption(
    lines: tuple[tuple[str, tuple[int, int, int], float], ...], width: int
) -> NDArray[np.uint8]:
    margin = max(8, width // 60)
    unit_width, unit_height = _size(lines, 1.0)
    scale = min((width - 2 * margin) / unit_width, width / 700)
    # Letters don't grow and shrink quite as they are told.
    scale *= min(1.0, (width - 2 * margin) / _size(lines, scale)[0])
    step = round(unit_height * scale * 1.9)
    strip = np.full((margin + step * len(lines), width, 3), _DARK, np.uint8)
    for row, (text, colour, share) in enumerate(lines):
        baseline = (margin, margin // 2 + step * (row + 1) - step // 4)
        thickness = max(1, round(scale * share * 2))
        cv2.putText(strip, text, baseline, _FONT, scale * share, colour, thickness, cv2.LINE_AA)
    return strip


def _size(
    lines: tuple[tuple[str, tuple[int, int, int], float], ...], scale: float
) -> tuple[int, int]:
    """Return the width of the widest line, and a line's height, in pixels."""
    sizes = [
        cv2.getTextSize(text, _FONT, scale * share, max(1, round(scale * share * 2)))[0]
        for text, _, share in lines
    ]
    return max(width for width, _ in sizes), sizes[0][1]


def save_annotated(path: str, image_bgr: NDArray[np.uint8], analysis: Analysis) -> None:
    """Write the annotated picture as a JPEG that carries its result, whole or not at all.

    Args:
        path: where it goes.
        image_bgr: as for :func:`annotate`.
        analysis: its analysis.

    Raises:
        OutputError: it could not be written; what was there before is still there.

    """
    result = analysis.to_dict()
    # The same picture gives the same file, and a path may hold a person's name.
    del result["timings_ms"], result["image"]
    if mark := source_mark(analysis.image):  # which the next run knows its copy by
        result["source"] = mark
    data = add_comment(encode_annotated(path, image_bgr, analysis), result)
    try:
        write_atomically(path, data)
    except OSError as error:
        from .rights import advice  # where it can be written, none is needed

        way_out = advice(os.path.dirname(path), error, write=True)
        raise OutputError(
            f"{printable(path)}: can't be written: {error.strerror or error}{way_out}"
        ) from error


def encode_annotated(path: str, image_bgr: NDArray[np.uint8], analysis: Analysis) -> bytes:
    """Return the annotated picture as a JPEG.

    Args:
        path: where it is to go, for an error.
        image_bgr: as for :func:`annotate`.
        analysis: its analysis.

    Raises:
        OutputError: it could not be drawn.

    """
    try:
        done, encoded = cv2.imencode(
            ".jpg", annotate(image_bgr, analysis), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        )
        if not done:  # it doesn't say why
            raise OutputError(f"{printable(path)}: can't be made a JPEG")
        return encoded.tobytes()
    except (MemoryError, cv2.error) as error:
        raise OutputError(
            f"{printable(path)}: can't be drawn: {' '.join(str(error).split())}"
        ) from error
