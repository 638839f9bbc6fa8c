"""Writes one stage, a convolution and its 2x2 max-pooling, in a layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from .layouts import SHIFTS, Layout, Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .body import Stage
    from .emit import Emitter

    Weight = TypeVar("Weight", bound=np.generic)


def apply_layout(
    emit: Emitter, stage: Stage, tensor: int, layout: Layout, needed_hw: tuple[int, int]
) -> int:
    """Add a stage's operations to a graph.

    Args:
        emit: takes the operations.
        stage: the stage.
        tensor: its input, (batch, height, width, channels).
        layout: how to compute it.
        needed_hw: the pooled rows and columns that the next layer looks at.

    Returns:
        Pool's output as a tensor of (batch, rows, columns, channels), with at least the needed rows
        and columns, at most the plain pool's.

    """
    batch, height, width, channels = emit.graph.shape(tensor)
    kernel_hw = (int(stage.kernel.shape[1]), int(stage.kernel.shape[2]))
    shape = Shape(height, width, channels, kernel_hw, stage.channels)
    if layout.plain:
        return emit.max_pool(emit.convolve(tensor, stage, stage.kernel), (2, 2))
    if layout.shifted:
        parts = [
            _shifted(emit, stage, tensor, layout, needed_hw=needed_hw, group=group)
            for group in range(layout.groups)
        ]
        pooled = emit.concatenate(parts, 3)
    else:
        packed = (batch, height, width // layout.packed, layout.packed * channels)
        picture = emit.reshape(tensor, packed)
        kernel = pack_kernel(stage.kernel, layout.offsets, layout.packed)
        outputs = emit.convolve(picture, stage, kernel, stride_hw=(1, layout.stride))
        _, rows, places, _ = emit.graph.shape(outputs)
        halves = (batch, rows, 2 * places, layout.pooled * stage.channels)
        pooled = emit.max_pool(emit.reshape(outputs, halves), (2, 2))
    return emit.reshape(pooled, (batch, *layout.pooled_hw(shape, needed_hw), stage.channels))


def pack_kernel(kernel: NDArray[Weight], offsets: Sequence[int], packed: int) -> NDArray[Weight]:
    """Repeat a kernel at several columns and pack its columns.

    Args:
        kernel: (out, height, width, in), of any dtype.
        offsets: the column at which each copy starts.
        packed: columns in a packed pixel.

    Returns:
        (copies * out, height, packed columns, packed * in), zeros where a copy has no weight.

    """
    out, height, width, channels = kernel.shape
    taps = -(-(width + max(offsets)) // packed)
    wide = np.zeros((len(offsets), out, height, taps * packed, channels), kernel.dtype)
    for copy, offset in zip(wide, offsets, strict=True):
        copy[:, :, offset : offset + width] = kernel
    return wide.reshape(len(offsets) * out, height, taps, packed * channels)


def _shifted(
    emit: Emitter,
    stage: Stage,
    tensor: int,
    layout: Layout,
    *,
    needed_hw: tuple[int, int],
    group: int,
) -> int:
    batch, height, width, channels = emit.graph.shape(tensor)
    kernel_hw = (int(stage.kernel.shape[1]), int(stage.kernel.shape[2]))
    shape = Shape(height, width, channels, kernel_hw, stage.channels)
    columns = layout.row_columns(shape, layout.places(shape, needed_hw))
    rows = 2 * needed_hw[0] + kernel_hw[0] - 1
    # A row as one pixel: slices and joints then move whole rows.
    as_rows = emit.reshape(tensor, (batch, height, 1, width * channels))
    size = (batch, rows, 1, columns * channels)
    starts = [(2 * layout.pooled * group + shift) * channels for shift in range(SHIFTS)]
    in_turns = emit.concatenate([emit.slice(as_rows, (0, 0, 0, at), size) for at in starts], 2)
    packed = (batch, rows * SHIFTS, columns // layout.packed, layout.packed * channels)
    outputs = emit.convolve(
        emit.reshape(in_turns, packed),
        stage,
        pack_kernel(stage.kernel, layout.offsets, layout.packed),
        stride_hw=(1, layout.stride),
        row_dilation=SHIFTS,
    )
    return emit.max_pool(outputs, (2 * SHIFTS, 1))
