"""Lines brought to one level by the air at both of their ends."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["level_lines"]

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}


def level_lines(lines: NDArray[Any], left: int, right: int, *, divide: bool) -> NDArray[np.float32]:
    """Divide each line by the straight line between the means of both ends, or subtract it.

    Args:
        lines: (line, col), integers or floats.
        left: columns of air at the left end, 0 for none.
        right: columns of air at the right end, 0 for none.
        divide: divide; otherwise subtract.

    Returns:
        float32 of the same shape. An end without a finite value, or not above 0 where it divides, counts as the other
        one; a line without either stays as it is.
    """
    values = lines if lines.dtype.isnative and lines.dtype != np.float16 else lines.astype(np.float32)
    out = np.empty(lines.shape, np.float32)
    _level(values, left, right, divide, out)
    return out


@numba.njit(**_OPTIONS)
def _air(line: NDArray[Any], first: int, last: int, divide: bool) -> float:
    """Mean of what is finite; NaN where there is none, or where it can not divide."""
    total, count = 0.0, 0
    for col in range(first, last):
        value = float(line[col])
        if np.isfinite(value):
            total += value
            count += 1
    mean = total / count if count else np.nan
    return np.nan if divide and not mean > 0 else mean


@numba.njit(**_OPTIONS)
def _divide(line: NDArray[Any], first: np.float32, slope: np.float32, out: NDArray[np.float32]) -> None:
    for col in range(out.size):
        air = first + slope * np.float32(col)
        value = np.float32(line[col])
        out[col] = value / air if air > 0 else value


@numba.njit(**_OPTIONS)
def _subtract(line: NDArray[Any], first: np.float32, slope: np.float32, out: NDArray[np.float32]) -> None:
    for col in range(out.size):
        out[col] = np.float32(line[col]) - (first + slope * np.float32(col))


@numba.njit(**_OPTIONS)
def _level(lines: NDArray[Any], left: int, right: int, divide: bool, out: NDArray[np.float32]) -> None:
    columns = lines.shape[1]
    distance = columns - 1 - (right - 1) / 2 - (left - 1) / 2 if left and right else 1.0
    for n in range(lines.shape[0]):
        line = lines[n]
        first, last = _air(line, 0, left, divide), _air(line, columns - right, columns, divide)
        if np.isnan(first):
            first = last
        if np.isnan(last):
            last = first
        if np.isnan(first):
            first = last = 1.0 if divide else 0.0
        slope = (last - first) / distance
        start = first - slope * (left - 1) / 2 if left and right else first
        if divide:
            _divide(line, np.float32(start), np.float32(slope), out[n])
        else:
            _subtract(line, np.float32(start), np.float32(slope), out[n])
