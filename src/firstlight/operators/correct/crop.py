"""Cut frames to a region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.rims import cropped

from .region import Range, whole_range


@operator("row col -> row col", sentence="Frames were cropped to {rows:rows} and {columns:columns}.")
def crop(frames: Array, *, rows: Range | None = None, columns: Range | None = None) -> Array:
    """Keep a rectangle of every frame.

    The column of a rotation axis moves with it: after cropping, columns count from the first one kept.

    Args:
        frames: shape (frame, row, col).
        rows: First row kept and first row not kept any more, counted from 0; negative ones count from the end.
            Default: all.
        columns: First column kept and first column not kept any more, likewise. Default: all.

    Returns:
        Array of the type of `frames`, shape (frame, rows kept, columns kept).

    Raises:
        AxesError: nothing would be left, or the region leaves the frame.
    """
    _, height, width = frames.shape
    return cropped(frames, whole_range("rows", rows, height), whole_range("columns", columns, width))


@crop.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    chosen = step.parameters()
    sizes: dict[str, int | None] = {}
    for label, name in (("row", "rows"), ("col", "columns")):
        size = known.get(label)
        if size is None:
            sizes[label] = None
        else:
            kept = whole_range(name, chosen[name], size)
            sizes[label] = kept.stop - kept.start
    return sizes


@crop.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return given


@crop.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@crop.device("cuda")
def _on_cuda(frames: Any, *, rows: Range | None = None, columns: Range | None = None) -> Any:
    from firstlight.kernels.cuda.frames import crop_frames

    _, height, width = frames.shape
    return crop_frames(frames, whole_range("rows", rows, height), whole_range("columns", columns, width))
