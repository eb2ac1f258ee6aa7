"""Columns of a sinogram: sorted by value and back, and mended where they are not finite.

Sorting uses one key for each value: its bits, ordered like the number, in the upper half and its place in the lower.
numpy sorts such keys with vector instructions, and the order of the places comes along.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["column_means", "fill_gaps", "interpolate_columns", "sorted_columns", "unsorted_columns"]

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}
_SIGN = np.uint32(0x80000000)
_BLOCK = 16
"""Columns that are turned round together: one line of the cache."""


def sorted_columns(sinogram: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
    """Sort the values of every column, turned round for speed.

    Args:
        sinogram: (angle, col) float32, without NaN.

    Returns:
        The values in rising order, (col, rank) float32, and the keys that `unsorted_columns` needs, (col, rank).
    """
    angles, columns = sinogram.shape
    keys = np.empty((columns, angles), np.uint64)
    _make_keys(np.ascontiguousarray(sinogram).view(np.uint32), keys)
    keys.sort(axis=1)
    bits = np.empty((columns, angles), np.uint32)
    _read_keys(keys, bits)
    return bits.view(np.float32), keys


def unsorted_columns(values: NDArray[np.float32], keys: NDArray[np.uint64]) -> NDArray[np.float32]:
    """Put values by rank back to the angles that they came from.

    Args:
        values: (col, rank) float32.
        keys: what `sorted_columns` gave.

    Returns:
        (angle, col) float32.
    """
    columns, angles = values.shape
    out = np.empty((angles, columns), np.float32)
    _put_back(values, keys, out)
    return out


def column_means(sinogram: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean over the angles of every column, in double precision.

    Args:
        sinogram: (angle, col) float32, at least one angle.

    Returns:
        (col,).
    """
    sums = np.zeros(sinogram.shape[1])
    _sum_columns(sinogram, sums)
    return sums / sinogram.shape[0]


def fill_gaps(sinogram: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """Replace what is not finite by the last finite value before it in its column, or by the first one after it.

    A column without any finite value gets the mean of the nearest columns that have one, by distance; a sinogram
    without any gets zeros.

    Args:
        sinogram: (angle, col) float32.

    Returns:
        The sinogram itself and None if all of it is finite; else a copy, and a mask (angle, col) of what was filled.
    """
    if np.isfinite(column_means(sinogram)).all():
        return sinogram, None
    gaps = ~np.isfinite(sinogram)
    filled = sinogram.copy()
    _fill_along(filled, gaps)
    empty = np.all(gaps, axis=0)
    if empty.all():
        filled[:] = 0.0
    elif empty.any():
        interpolate_columns(filled, empty)
    return filled, gaps


def interpolate_columns(sinogram: NDArray[np.float32], bad: NDArray[np.bool_]) -> None:
    """Replace columns, in place, by what lies on the line between the nearest good ones; at the rim by the nearest.

    Args:
        sinogram: (angle, col) float32.
        bad: (col,), not all of them.
    """
    good = np.flatnonzero(~bad)
    places = np.flatnonzero(bad)
    after = np.searchsorted(good, places)
    left, right = good[np.maximum(after - 1, 0)], good[np.minimum(after, good.size - 1)]
    wide = np.maximum(right - left, 1)
    weight = np.clip((places - left) / wide, 0.0, 1.0).astype(np.float32)
    sinogram[:, places] = sinogram[:, left] * (1 - weight) + sinogram[:, right] * weight


@numba.njit(**_OPTIONS)
def _add(line: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
    for col in range(sums.size):
        sums[col] += line[col]


@numba.njit(**_OPTIONS)
def _sum_columns(sinogram: NDArray[np.float32], sums: NDArray[np.float64]) -> None:
    for angle in range(sinogram.shape[0]):
        _add(sinogram[angle], sums)


@numba.njit(**_OPTIONS)
def _make_keys(bits: NDArray[np.uint32], keys: NDArray[np.uint64]) -> None:
    angles, columns = bits.shape
    for first in range(0, columns, _BLOCK):
        last = min(first + _BLOCK, columns)
        for angle in range(angles):
            for col in range(first, last):
                value = bits[angle, col]
                # floats order like whole numbers once the sign is turned, and all bits of negative ones
                ordered = ~value if value & _SIGN else value | _SIGN
                keys[col, angle] = (np.uint64(ordered) << np.uint64(32)) | np.uint64(angle)


@numba.njit(**_OPTIONS)
def _read_keys(keys: NDArray[np.uint64], bits: NDArray[np.uint32]) -> None:
    for col in range(keys.shape[0]):
        for rank in range(keys.shape[1]):
            ordered = np.uint32(keys[col, rank] >> np.uint64(32))
            bits[col, rank] = ordered ^ _SIGN if ordered & _SIGN else ~ordered


@numba.njit(**_OPTIONS)
def _put_back(values: NDArray[np.float32], keys: NDArray[np.uint64], out: NDArray[np.float32]) -> None:
    columns, angles = values.shape
    block = np.empty((angles, _BLOCK), np.float32)
    for first in range(0, columns, _BLOCK):
        wide = min(_BLOCK, columns - first)
        for i in range(wide):
            for rank in range(angles):
                block[np.int64(keys[first + i, rank] & np.uint64(0xFFFFFFFF)), i] = values[first + i, rank]
        for angle in range(angles):
            for i in range(wide):
                out[angle, first + i] = block[angle, i]


@numba.njit(**_OPTIONS)
def _fill_along(sinogram: NDArray[np.float32], gaps: NDArray[np.bool_]) -> None:
    angles, columns = sinogram.shape
    for col in range(columns):
        last = -1
        for angle in range(angles):
            if not gaps[angle, col]:
                if last < 0:
                    sinogram[:angle, col] = sinogram[angle, col]
                last = angle
            elif last >= 0:
                sinogram[angle, col] = sinogram[last, col]
