"""Frames brought to another level: one pass over memory each, from the detector's numbers to float32."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .mask_products import readable

__all__ = ["finite_means", "percentiles", "scale_and_shift", "subtract_image", "value_of_rank"]

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy"}


def subtract_image(frames: NDArray[Any], image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Frames (frame, row, col) less one image (row, col)."""
    out = np.empty(frames.shape, np.float32)
    _subtract(readable(frames), image, out)
    return out


def scale_and_shift(
    frames: NDArray[Any], factors: NDArray[np.float32], shifts: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Frames (frame, row, col), each times a factor of its own, plus a number of its own."""
    out = np.empty(frames.shape, np.float32)
    _scale(readable(frames), factors, shifts, out)
    return out


def finite_means(frames: NDArray[Any], rows: slice, columns: slice) -> NDArray[np.float64]:
    """Mean of what is finite in a region of each frame (frame, row, col); NaN where nothing is."""
    out = np.empty(len(frames), np.float64)
    _means(readable(frames), rows.start, rows.stop, columns.start, columns.stop, out)
    return out


def percentiles(lines: NDArray[np.float32], percentile: float) -> NDArray[np.float32]:
    """A percentile of what is finite in each line (line, col), interpolated between neighbours; NaN where nothing is."""
    out = np.empty(len(lines), np.float32)
    _percentiles(lines, percentile / 100, out)
    return out


@numba.njit(**_OPTIONS)
def _subtract(frames: Any, image: Any, out: Any) -> None:
    for n in range(frames.shape[0]):
        for i in range(frames.shape[1]):
            for j in range(frames.shape[2]):
                out[n, i, j] = np.float32(frames[n, i, j]) - image[i, j]


@numba.njit(**_OPTIONS)
def _scale(frames: Any, factors: Any, shifts: Any, out: Any) -> None:
    for n in range(frames.shape[0]):
        factor, shift = factors[n], shifts[n]
        for i in range(frames.shape[1]):
            for j in range(frames.shape[2]):
                out[n, i, j] = np.float32(frames[n, i, j]) * factor + shift


@numba.njit(**_OPTIONS, fastmath={"reassoc", "nsz"})
def _means(frames: Any, top: Any, bottom: Any, left: Any, right: Any, out: Any) -> None:
    for n in range(frames.shape[0]):
        total, count = 0.0, (bottom - top) * (right - left)
        for i in range(top, bottom):
            line = frames[n, i, left:right]
            for j in range(line.size):
                total += float(line[j])
        if not np.isfinite(total):  # seldom: then each number is looked at
            total, count = 0.0, 0
            for i in range(top, bottom):
                for value in frames[n, i, left:right]:
                    if np.isfinite(value):
                        total += float(value)
                        count += 1
        out[n] = total / count if count else np.nan


@numba.njit(**_OPTIONS)
def value_of_rank(values: Any, rank: Any) -> Any:
    """Value of a rank, from 0, among numbers that are put in another order: lower ones end before it (Hoare 1961)."""
    first, last = 0, values.size - 1
    while first < last:
        middle = values[(first + last) // 2]
        left, right = first, last
        while left <= right:
            while values[left] < middle:
                left += 1
            while values[right] > middle:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if rank <= right:
            last = right
        elif rank >= left:
            first = left
        else:
            break
    return values[rank]


@numba.njit(**_OPTIONS)
def _percentiles(lines: Any, share: Any, out: Any) -> None:
    numbers = np.empty(lines.shape[1], np.float32)
    for n in range(lines.shape[0]):
        count = 0
        for j in range(lines.shape[1]):
            if np.isfinite(lines[n, j]):
                numbers[count] = lines[n, j]
                count += 1
        if not count:
            out[n] = np.nan
            continue
        place = share * (count - 1)
        rank = min(int(place), count - 1)
        low = value_of_rank(numbers[:count], rank)
        high = low
        if rank + 1 < count:  # the least of those above
            high = numbers[rank + 1]
            for j in range(rank + 2, count):
                high = min(high, numbers[j])
        out[n] = low + np.float32(place - rank) * (high - low)
