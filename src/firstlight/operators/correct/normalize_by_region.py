"""Air that is not 1, by a region where nothing but air is seen."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator
from firstlight.kernels.levels import finite_means, scale_and_shift
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
    _, height, width = frames.shape
    region = whole_range("rows", rows, height), whole_range("columns", columns, width)
    found = finite_means(frames, *region) if of == "mean" else _medians(frames[:, region[0], region[1]])
    if method == "subtract":
        return scale_and_shift(frames, np.ones(len(frames), np.float32), _changes(found, level))
    return scale_and_shift(frames, _factors(found, level), np.zeros(len(frames), np.float32))


def _changes(found: Array, level: float | None) -> Array:
    """What is added to each frame."""
    return ((0.0 if level is None else level) - np.nan_to_num(found)).astype(np.float32)


def _factors(found: Array, level: float | None) -> Array:
    """What each frame is multiplied by."""
    sound = np.isfinite(found) & (found != 0)
    factors = np.divide(1.0 if level is None else level, found, out=np.ones_like(found), where=sound)
    return factors.astype(np.float32)


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

    count, height, width = frames.shape
    region = whole_range("rows", rows, height), whole_range("columns", columns, width)
    if of == "mean":
        found = region_means(frames, *region)
    else:  # the region alone goes to the host
        found = _medians(to_host(crop_frames(frames, *region)))
    if method == "subtract":
        return scale_frames(frames, np.ones(count, np.float32), _changes(found, level))
    return scale_frames(frames, _factors(found, level), np.zeros(count, np.float32))
