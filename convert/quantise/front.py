"""What happens to a picture before a network's first weights, taken out of the graph.

What it means for pixels, ``pixel * scale + offset``, goes into the first convolution, which then
takes raw bytes.  There is one trap: a padded convolution sees zeros around the picture, which no
offset may reach.  So padding stands for the pixel value that means zero, where there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .preprocessing import Preprocessing, triple

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .graph import Graph

_HALF_A_PIXEL = 0.5001
"""How far the value that means zero may be from a whole pixel value.

``x / 127.5 - 1`` is zero at 127.5: the padding is then 128, and off by half a grey level, while
all pixels are exact.  The other way, rounding each pixel to one of 256 values with a zero among
them, is off by half a grey level everywhere."""


def lift(graph: Graph, pixels: Preprocessing) -> Preprocessing:
    """Take the scaling that a graph begins with off it.

    Args:
        graph: takes float32 values in the model's channel order; is changed.
        pixels: what makes those values of pixels.

    Returns:
        What makes the values that the changed graph takes of pixels.

    """
    scale, offset = np.asarray(pixels.scale, np.float64), np.asarray(pixels.offset, np.float64)
    while found := _scaling(graph):
        operator, factor, shift = found
        scale, offset = scale * factor, offset * factor + shift
        graph.skip(operator)
    return Preprocessing(pixels.channel_order, triple(scale.tolist()), triple(offset.tolist()))


def fold(graph: Graph, pixels: Preprocessing) -> tuple[int, float] | None:
    """Fold what happens to pixels into the convolution that takes the picture, if one does.

    The interior is exact in real arithmetic; it is computed in float64 and rounded once.

    Args:
        graph: takes float32 values; is changed, unless None is returned.
        pixels: what makes those values of pixels.

    Returns:
        The pixel value that stands for zero, z, and how far padding is from what the model pads
        with, in pixel values: the graph takes ``pixel - z`` in BGR order.  None: it can't be done.

    """
    found = _convolution(graph)
    if found is None:
        return None
    convolution, padded = found
    scale, offset = np.asarray(pixels.scale, np.float64), np.asarray(pixels.offset, np.float64)
    zeros = -offset / scale if padded else np.zeros(3)
    zero = round(float(zeros.mean()))
    off = float(np.abs(zeros - zero).max())
    if off > _HALF_A_PIXEL or not 0 <= zero <= 255:
        return None
    kernel, bias = (_constant(graph, convolution.inputs[at]) for at in (1, 2))
    bias = bias + (kernel * (offset + scale * zero)).sum(axis=(1, 2, 3))
    kernel = kernel * scale
    if pixels.channel_order == "RGB":
        kernel = kernel[..., ::-1]
    graph.replace_constant(convolution, 1, kernel.astype(np.float32))
    graph.replace_constant(convolution, 2, bias.astype(np.float32))
    return zero, off


def _scaling(graph: Graph) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the operation behind the picture if it is ``x * factor + shift``, a channel each."""
    operator, *others = graph.consumers(graph.picture)
    kind = graph.kind(operator)
    if others or kind not in ("MUL", "ADD", "SUB", "DIV"):
        return None
    first, second = operator.inputs
    known = graph.constant(second if first == graph.picture else first)
    # Three numbers may also be those of three rows or columns.
    channels = known is not None and (known.size == 1 or (known.size == 3 and known.shape[-1] == 3))
    if known is None or not channels or operator.builtinOptions.fusedActivationFunction:
        return None
    values = np.broadcast_to(known.astype(np.float64).reshape(-1), (3,))
    if kind == "DIV":
        if first != graph.picture:
            return None
        kind, values = "MUL", 1 / values
    if kind == "MUL":
        return (
            (operator, values, np.zeros(3)) if np.isfinite(values).all() and values.all() else None
        )
    if kind == "SUB" and first != graph.picture:
        return operator, -np.ones(3), values
    return operator, np.ones(3), values if kind == "ADD" else -values


def _convolution(graph: Graph) -> tuple[Any, bool] | None:
    """Return the convolution that alone takes the picture, and whether it sees padding."""
    operator, *others = graph.consumers(graph.picture)
    padded = graph.kind(operator) == "PAD"
    if padded and not others:
        operator, *others = graph.consumers(operator.outputs[0])
    if others or graph.kind(operator) != "CONV_2D":
        return None
    kernel = graph.constant(operator.inputs[1])
    if kernel is None or kernel.shape[-1] != 3:
        return None  # a grouped convolution sees one channel only
    options = operator.builtinOptions
    (_, *sides, _), (_, *outs, _) = (
        graph.shape(each[0]) for each in (operator.inputs, operator.outputs)
    )
    steps = (options.strideH, options.strideW)
    dilations = (options.dilationHFactor, options.dilationWFactor)
    for side, out, taps, step, dilation in zip(
        sides, outs, kernel.shape[1:3], steps, dilations, strict=True
    ):
        padded |= (out - 1) * step + (taps - 1) * dilation + 1 > side
    return operator, padded


def _constant(graph: Graph, tensor: int) -> NDArray[np.float64]:
    values = graph.constant(tensor)
    if values is None:
        raise ValueError(f"{graph.name(tensor)} is not constant")
    return values.astype(np.float64)
