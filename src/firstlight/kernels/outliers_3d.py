"""Outliers among the neighbours of a volume: row, column and angle (see :mod:`firstlight.kernels.median`)."""

from __future__ import annotations

from typing import Any, get_args

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from firstlight.kernels.mask_products import readable
from firstlight.kernels.median import NEVER, Outliers, count_neighbours, mark_outliers

__all__ = ["remove_outliers_3d"]

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}


def remove_outliers_3d(volume: ArrayLike, *, threshold: float, size: int = 3, kind: Outliers = "both") -> NDArray[Any]:
    """Replace values that differ from the median of their cube of neighbours by more than a threshold, by that median.

    Args:
        volume: (angle, row, col), integers or floats; at the rim the outermost values are repeated.
        threshold: largest difference that is left alone.
        size: side of the cube, odd.
        kind: "bright", "dark" or "both".

    Returns:
        New array of the same type and shape. NaN is replaced too, where the cube holds a number; NaN is no neighbour.

    Raises:
        ValueError: an argument makes no sense.
    """
    values = readable(volume)
    if values.ndim != 3 or values.dtype.kind not in "uif":
        raise ValueError(f"volume is {values.dtype}{values.shape}: expected numbers (angle, row, col)")
    if kind not in get_args(Outliers):
        raise ValueError(f"kind is {kind!r}: expected one of {', '.join(get_args(Outliers))}")
    if size < 3 or size % 2 == 0 or not threshold >= 0:
        raise ValueError(f"size is {size} and threshold {threshold}: expected an odd size from 3 on and 0 or more")
    half = size // 2
    padded = np.pad(values.astype(np.float32), half, mode="edge")
    out = values.copy()
    majority = np.int32(size**3 // 2 + 1)
    limits = (majority if kind != "dark" else NEVER, majority if kind != "bright" else NEVER)
    _remove(padded, out, np.float32(threshold), half, *limits, values.dtype.kind != "f")
    return out


@numba.njit(**_OPTIONS)
def _median(padded: NDArray[np.float32], angle: int, row: int, col: int, size: int) -> float:
    """Median of the numbers in a cube that begins at a place; NaN if there are none."""
    values = np.empty(size**3, np.float32)
    count = 0
    for a in range(angle, angle + size):
        for i in range(row, row + size):
            for j in range(col, col + size):
                value = padded[a, i, j]
                if value == value:  # only NaN differs from itself
                    values[count] = value
                    count += 1
    return float(np.median(values[:count])) if count else np.nan


@numba.njit(**_OPTIONS)
def _remove(
    padded: NDArray[np.float32],
    out: NDArray[Any],
    threshold: np.float32,
    half: int,
    most_below: np.int32,
    most_above: np.int32,
    whole: bool,
) -> None:
    angles, rows, columns = out.shape
    size = 2 * half + 1
    below, above = np.empty(columns, np.int32), np.empty(columns, np.int32)
    for angle in range(angles):
        for row in range(rows):
            line = padded[angle + half, row + half, half : half + columns]
            below[:] = 0
            above[:] = 0
            for a in range(angle, angle + size):
                for i in range(row, row + size):
                    count_neighbours(padded[a, i], line, threshold, below, above)
            found = mark_outliers(line, below, above, most_below, most_above)
            for col in range(columns if found else 0):
                if below[col]:
                    middle = _median(padded, angle, row, col, size)
                    if middle == middle:
                        out[angle, row, col] = out.dtype.type(np.rint(middle) if whole else middle)
