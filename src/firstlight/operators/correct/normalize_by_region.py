"""Air that is not 1, by a region where nothing but air is seen."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from firstlight.core.arrays import Array
from firstlight.core.chunk import Scan
from firstlight.core.operator import Operator, operator

from .region import Range, whole_range


@operator(
    "row col -> row col",
    sentence="Each frame was scaled ({method}) to {level} by the {of} of rows {rows} and columns {columns}.",
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
    region = frames[:, whole_range("rows", rows, height), whole_range("columns", columns, width)]
    values = np.ascontiguousarray(region, np.float32).reshape(len(frames), -1)
    found = np.array([_value(each, of) for each in values], np.float64)
    if method == "subtract":
        change = (0.0 if level is None else level) - np.nan_to_num(found)
        return np.add(frames, change.astype(np.float32)[:, None, None], dtype=np.float32)
    sound = np.isfinite(found) & (found != 0)
    factor = np.divide(1.0 if level is None else level, found, out=np.ones_like(found), where=sound)
    return np.multiply(frames, factor.astype(np.float32)[:, None, None], dtype=np.float32)


def _value(region: Array, of: str) -> float:
    """Mean or median of what is finite; NaN if nothing is."""
    if not np.isfinite(region.sum(dtype=np.float64)):
        region = region[np.isfinite(region)]
    if region.size == 0:
        return float("nan")
    return float(region.mean(dtype=np.float64)) if of == "mean" else float(np.median(region))


@normalize_by_region.hook("unit")
def _unit(step: Operator, scan: Scan) -> str | None:
    return scan.main.unit
