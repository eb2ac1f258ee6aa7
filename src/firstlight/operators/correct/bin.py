"""Combine neighbouring pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.errors import AxesError
from firstlight.core.operator import Operator, operator
from firstlight.core.units import Quantity
from firstlight.kernels.averages import binned

Factor = Annotated[int, Field(ge=1, le=64)]


@operator(
    "row col -> row col", sentence="Blocks of {rows} × {columns} pixels were combined into one (by their {method})."
)
def bin(  # the word of the field, used as a step's name
    frames: Array, *, rows: Factor = 2, columns: Factor = 2, method: Literal["mean", "sum"] = "mean"
) -> Array:
    """Combine blocks of neighbouring pixels into one, which makes frames smaller and less noisy.

    Rows and columns at the end that do not fill a block are cut off. A rotation axis at column c moves to
    (c + 1/2)/columns - 1/2; the pixel size of the scan grows by `columns`.

    Args:
        frames: shape (frame, row, col).
        rows: Rows combined into one.
        columns: Columns combined into one.
        method: The mean of a block, or its sum.

    Returns:
        Array (frame, row // rows, col // columns): float32 for the mean, the type that `dtype` tells for the sum.

    Raises:
        AxesError: a frame is smaller than one block.
    """
    _, height, width = frames.shape
    _blocks("rows", height, rows)
    _blocks("columns", width, columns)
    return binned(frames, rows, columns, _sum_type(frames.dtype.name), mean=method == "mean")


def _blocks(name: str, size: int, factor: int) -> int:
    if size < factor:
        raise AxesError("A frame is smaller than one block.", field=name, value=factor, expected=f"at most {size}")
    return size // factor


def _sum_type(given: str) -> str:
    """Wide enough for the largest block of 64 x 64 pixels."""
    kind = np.dtype(given)
    if kind.kind in "iub":
        narrow = kind.itemsize <= 2
        return ("uint32" if narrow else "uint64") if kind.kind in "ub" else ("int32" if narrow else "int64")
    return "float64" if kind.itemsize > 4 else "float32"


@bin.hook("sizes")
def _sizes(step: Operator, known: Mapping[str, int | None]) -> dict[str, int | None]:
    sizes: dict[str, int | None] = {}
    for label, name in (("row", "rows"), ("col", "columns")):
        size = known.get(label)
        sizes[label] = None if size is None else _blocks(name, size, step.parameters()[name])
    return sizes


@bin.hook("dtype")
def _dtype(step: Operator, given: str) -> str:
    return "float32" if step.parameters()["method"] == "mean" else _sum_type(given)


@bin.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@bin.hook("calibration")
def _calibration(step: Operator, scan: Scan) -> Mapping[str, Quantity]:
    """Pixels are larger afterwards; reconstruction goes by their width."""
    columns = step.parameters()["columns"]
    sizes = {name: scan.calibration[name] for name in ("pixel", "detector_angle") if name in scan.calibration}
    return {**scan.calibration, **{name: Quantity(size.value * columns, size.unit) for name, size in sizes.items()}}


@bin.device("cuda")
def _on_cuda(frames: Any, *, rows: int = 2, columns: int = 2, method: str = "mean") -> Any:
    from firstlight.kernels.cuda.frames import bin_frames

    _, height, width = frames.shape
    _blocks("rows", height, rows)
    _blocks("columns", width, columns)
    return bin_frames(frames, rows, columns, _sum_type(np.dtype(frames.dtype).name), mean=method == "mean")
