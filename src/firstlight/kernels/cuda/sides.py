"""Lines brought to one level by the air at both of their ends, on a CUDA device: as `firstlight.kernels.sides`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from firstlight.kernels.cuda.arrays import Device, cuda, empty
from firstlight.kernels.cuda.grids import over

__all__ = ["level_lines"]


def level_lines(lines: Device, left: int, right: int, *, divide: bool) -> Device:
    """Divide each line by the straight line between the means of both ends, or subtract it.

    Args:
        lines: (line, col), integers or floats.
        left: columns of air at the left end, 0 for none.
        right: columns of air at the right end, 0 for none.
        divide: divide; otherwise subtract.

    Returns:
        float32 of the same shape; see `firstlight.kernels.sides.level_lines`.
    """
    count, columns = lines.shape
    air, out = empty((2, count)), empty(lines.shape)
    over(_find_air, (count,), lines, np.int32(left), np.int32(right), divide, air)
    # lines are many and columns few thousand: a launch has room for more blocks along x
    over(
        _level,
        (count * columns,),
        lines.reshape((count * columns,)),
        air,
        columns,
        divide,
        out.reshape((count * columns,)),
    )
    return out


@cuda.jit(device=True)
def _mean(lines: Any, n: Any, first: Any, last: Any, divide: Any) -> Any:
    """Mean of what is finite, in double precision; NaN where there is none, or where it can not divide."""
    total, count = 0.0, 0
    for col in range(first, last):
        value = float(lines[n, col])
        if math.isfinite(value):
            total += value
            count += 1
    mean = total / count if count else math.nan
    return mean if mean > 0 or not divide else math.nan


@cuda.jit
def _find_air(lines: Any, left: Any, right: Any, divide: Any, air: Any) -> None:
    """Air at the first column, and its slope, of each line."""
    n = cuda.grid(1)
    if n >= lines.shape[0]:
        return
    columns, both = lines.shape[1], left > 0 and right > 0
    distance = columns - 1 - (right - 1) / 2 - (left - 1) / 2 if both else 1.0
    first, last = _mean(lines, n, 0, left, divide), _mean(lines, n, columns - right, columns, divide)
    if math.isnan(first):
        first = last
    if math.isnan(last):
        last = first
    if math.isnan(first):
        first = last = 1.0 if divide else 0.0
    slope = (last - first) / distance
    air[0, n] = first - slope * (left - 1) / 2 if both else first
    air[1, n] = slope


@cuda.jit
def _level(values: Any, air: Any, columns: Any, divide: Any, out: Any) -> None:
    place = cuda.grid(1)
    if place >= out.shape[0]:
        return
    n, col = place // columns, place % columns
    level, value = air[0, n] + air[1, n] * np.float32(col), np.float32(values[place])
    if not divide:
        out[place] = value - level
    else:
        out[place] = value / level if level > np.float32(0) else value
