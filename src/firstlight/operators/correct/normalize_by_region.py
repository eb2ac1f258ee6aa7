"""Air that is not 1, by a region where nothing but air is seen."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.elementwise import fuse
from firstlight.kernels.levels import SCALE_AND_SHIFT, finite_means
from firstlight.kernels.ranks import percentiles

from .region import Range, whole_range


@operator(
    "row col -> row col",
    sentence="Each frame was scaled ({method}) to {level} by the {of} of {rows:rows} and {columns:columns}.",
)
def normalize_by_region(
    frames: Array,
    *,
    rows: Range | None = None,
    columns: Range | None = None,
    of: Literal["mean", "median"] = "mean",
    method: Literal["divide", "subtract"] = "divide",
    level: Annotated[float, Field(ge=-1e9, le=1e9)] | None = None,
) -> Array:
    """Bring a region of every frame, such as air beside the sample, to the same level.

    Follows a beam that gets brighter or weaker from frame to frame. On transmission (after `flat_field`) divide: the
    region becomes 1. After the logarithm subtract: it becomes 0.

    Args:
        frames: shape (frame, row, col).
        rows: First row of the region and first row behind it, from 0; negative ones count from the end. Default: all.
        columns: First column of the region and first column behind it, likewise. Default: all.
        of: The mean of the region, or its median, which zingers do not change.
        method: Divide by the region's value, or subtract it.
        level: What the region becomes. Default: 1 after a division, 0 after a subtraction.

    Returns:
        float32 of the same shape. A frame whose region has no finite value (or is 0 and would divide) stays as it is.

    Raises:
        AxesError: the region is empty or leaves the frame.
    """
    region = _region(frames.shape[1:], rows, columns)
    found = finite_means(frames, *region) if of == "mean" else _medians(frames[:, region[0], region[1]])
    return fuse([SCALE_AND_SHIFT])(frames, [], _factors_and_shifts(found, method, level))


normalize_by_region.pixelwise(SCALE_AND_SHIFT)


@normalize_by_region.hook("numbers")
def _numbers(step: Operator, shape: tuple[int, int], look: Any) -> list[Any]:
    chosen = step.parameters()
    seen = look(*_region(shape, chosen["rows"], chosen["columns"]))
    whole = slice(0, seen.shape[1]), slice(0, seen.shape[2])
    found = finite_means(seen, *whole) if chosen["of"] == "mean" else _medians(seen)
    return _factors_and_shifts(found, chosen["method"], chosen["level"])


def _region(shape: tuple[int, ...], rows: Range | None, columns: Range | None) -> tuple[slice, slice]:
    return whole_range("rows", rows, shape[0]), whole_range("columns", columns, shape[1])


def _factors_and_shifts(found: Array, method: str, level: float | None) -> list[Array]:
    """What each frame is multiplied by, and what is added to it then."""
    if method == "subtract":
        return [np.ones(len(found), np.float32), ((level or 0.0) - np.nan_to_num(found)).astype(np.float32)]
    sound = np.isfinite(found) & (found != 0)
    factors = np.divide(1.0 if level is None else level, found, out=np.ones_like(found), where=sound)
    return [factors.astype(np.float32), np.zeros(len(found), np.float32)]


def _medians(region: Array) -> Array:
    """Median of what is finite in each frame; NaN where nothing is."""
    return percentiles(np.ascontiguousarray(region, np.float32).reshape(len(region), -1), 50.0).astype(np.float64)


@normalize_by_region.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit


@normalize_by_region.device("cuda")
def _on_cuda(
    frames: Any,
    *,
    rows: Range | None = None,
    columns: Range | None = None,
    of: str = "mean",
    method: str = "divide",
    level: float | None = None,
) -> Any:
    from firstlight.kernels.cuda.arrays import to_host
    from firstlight.kernels.cuda.frames import crop_frames, region_means, scale_frames

    region = _region(frames.shape[1:], rows, columns)
    if of == "mean":
        found = region_means(frames, *region)
    else:  # the region alone goes to the host
        found = _medians(to_host(crop_frames(frames, *region)))
    return scale_frames(frames, *_factors_and_shifts(found, method, level))
