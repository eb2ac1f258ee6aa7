"""Medians of the neighbourhood of a pixel, to find and mend what does not belong there.

A neighbourhood is a square window; at the rim of the array the outermost pixel is repeated. A caller that works on a
part of a frame passes ``size // 2`` rows more on each side and drops them afterwards: inside, the result is the same.
NaN is never a neighbour: medians are taken over the numbers that are there.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .mask_products import readable

__all__ = [
    "NEVER",
    "Outliers",
    "count_neighbours",
    "hot_pixels",
    "mark_outliers",
    "remove_outliers",
    "replace_pixels",
]

Outliers = Literal["bright", "dark", "both"]
"""Which outliers to remove: brighter than their neighbours (zingers), darker, or both."""

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
# median absolute deviation of a normal distribution, in standard deviations
_MAD = 0.6744897501960817
NEVER = np.int32(2**31 - 1)
"""A count that no window reaches: that kind of outlier is left alone."""


def remove_outliers(
    frames: ArrayLike,
    *,
    threshold: float,
    size: int = 3,
    kind: Outliers = "both",
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Replace pixels that differ from the median of their neighbourhood by more than a threshold, by that median.

    Args:
        frames: (row, col) or (frame, row, col), integers or floats.
        threshold: largest difference that is left alone, in the unit of ``frames``.
        size: side of the window in pixels, odd.
        kind: "bright", "dark" or "both".
        out: array like ``frames`` to fill, not ``frames`` itself.

    Returns:
        ``out``, of the type of ``frames``. NaN pixels are replaced too, where the window holds a number.

    Raises:
        ValueError: if ``size`` is even or below 3, ``threshold`` is negative or NaN, ``kind`` is unknown or ``out`` does not fit.
    """
    values = readable(frames)
    if kind not in get_args(Outliers):
        raise ValueError(f"kind is {kind!r}: expected one of {', '.join(get_args(Outliers))}")
    if not threshold >= 0:
        raise ValueError(f"threshold is {threshold}: expected the largest difference to leave alone, 0 or more")
    _check_size(size)
    if values.ndim not in (2, 3):
        raise ValueError(f"frames has shape {values.shape}: expected (row, col) or (frame, row, col)")
    result = np.empty(values.shape, values.dtype) if out is None else out
    if result.shape != values.shape or result.dtype != values.dtype:
        raise ValueError(f"out is {result.dtype}{result.shape}: expected {values.dtype}{values.shape}")
    if np.may_share_memory(values, result):
        raise ValueError(
            "out shares memory with frames: give another array, since neighbours are read after a pixel is set"
        )
    stack, target = (values[None], result[None]) if values.ndim == 2 else (values, result)
    _remove_outliers(stack, target, float(threshold), size // 2, kind != "dark", kind != "bright")
    return result


def hot_pixels(image: ArrayLike, *, sigmas: float = 6.0, size: int = 3) -> NDArray[np.bool_]:
    """Pixels of a mean dark or flat image that stand out of their neighbourhood: hot, dead or stuck.

    The difference of each pixel from the median of its window is compared with the spread of all these differences
    (median absolute deviation over 0.6745, which outliers do not change).

    Args:
        image: (row, col).
        sigmas: how many standard deviations make a pixel bad.
        size: side of the window in pixels, odd.

    Returns:
        Mask (row, col): True where the pixel is bad; NaN and infinite pixels always are.

    Raises:
        ValueError: if the shape, ``sigmas`` or ``size`` makes no sense.
    """
    values = np.ascontiguousarray(readable(image), dtype=np.float32)
    _check_size(size)
    if values.ndim != 2:
        raise ValueError(f"image has shape {values.shape}: expected (row, col)")
    if not sigmas > 0:
        raise ValueError(f"sigmas is {sigmas}: expected a number of standard deviations larger than 0")
    difference = np.empty_like(values)
    _local_difference(values, difference, size // 2)
    finite = np.isfinite(difference)
    if not finite.any():
        return ~finite
    center = np.median(difference[finite])
    spread = np.median(np.abs(difference[finite] - center)) / _MAD
    # an image without noise has spread 0: then whatever differs by more than rounding is bad
    limit = max(sigmas * spread, 1e-5 * float(np.max(np.abs(values[finite]), initial=0.0)))
    return ~finite | (np.abs(difference - center) > limit)


def replace_pixels(
    frames: ArrayLike, mask: ArrayLike, *, size: int = 3, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Replace the pixels under a mask by the median of the good pixels around them.

    The window grows until it holds a good pixel. A frame without any good pixel is left as it is.

    Args:
        frames: (row, col) or (frame, row, col), integers or floats.
        mask: (row, col), True where a pixel is bad.
        size: side of the smallest window in pixels, odd.
        out: array like ``frames`` to fill; may be ``frames``.

    Returns:
        ``out``, of the type of ``frames``; medians are rounded for integers.

    Raises:
        ValueError: if the shapes do not fit or ``size`` is even or below 3.
    """
    values, bad = readable(frames), np.ascontiguousarray(mask, dtype=np.bool_)
    _check_size(size)
    if values.ndim not in (2, 3) or values.shape[-2:] != bad.shape:
        raise ValueError(f"frames has shape {values.shape} and mask {bad.shape}: expected the same rows and columns")
    if out is None:
        out = np.empty(values.shape, values.dtype)
    elif out.shape != values.shape or out.dtype != values.dtype:
        raise ValueError(f"out is {out.dtype}{out.shape}: expected {values.dtype}{values.shape}")
    if out is not values:
        out[...] = values
    if bad.any() and not bad.all():
        _replace_pixels(out[None] if out.ndim == 2 else out, bad, np.argwhere(bad), size // 2, out.dtype.kind != "f")
    return out


def _check_size(size: int) -> None:
    if size < 3 or size % 2 == 0:
        raise ValueError(f"size is {size}: expected the odd side of a window, 3 or more")


@numba.njit(**_OPTIONS)
def _middle(values: NDArray[Any], count: int) -> float:
    """Median of the first `count` values, which get partly sorted (Hoare's selection)."""
    low, high, target = 0, count - 1, count // 2
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if target <= j:
            high = j
        elif target >= i:
            low = i
        else:
            break
    upper = np.float64(values[target])
    if count % 2:
        return upper
    lower = values[0]
    for k in range(1, target):
        lower = max(lower, values[k])
    return (upper + np.float64(lower)) / 2


@numba.njit(**_OPTIONS)
def _window(frame: NDArray[Any], row: int, col: int, half: int, values: NDArray[Any]) -> int:
    """Collect the numbers of a window, the rim repeated; return how many there are."""
    rows, columns = frame.shape
    count = 0
    for i in range(row - half, row + half + 1):
        for j in range(col - half, col + half + 1):
            value = frame[min(max(i, 0), rows - 1), min(max(j, 0), columns - 1)]
            if value == value:  # only NaN differs from itself
                values[count] = value
                count += 1
    return count


@numba.njit(**_OPTIONS)
def count_neighbours(
    padded: NDArray[np.float32],
    line: NDArray[np.float32],
    threshold: np.float32,
    below: NDArray[np.int32],
    above: NDArray[np.int32],
) -> None:
    """Add one for every pixel of a row of the window that is darker or brighter than the pixel by the threshold."""
    for shift in range(padded.size - line.size + 1):
        for col in range(line.size):
            value = padded[col + shift]
            below[col] = np.int32(below[col] + np.int32(value < line[col] - threshold))
            above[col] = np.int32(above[col] + np.int32(value > line[col] + threshold))


@numba.njit(**_OPTIONS)
def mark_outliers(
    line: NDArray[np.float32],
    below: NDArray[np.int32],
    above: NDArray[np.int32],
    most_below: np.int32,
    most_above: np.int32,
) -> np.int32:
    """Turn the counts in `below` into 1 for outliers and NaN, else 0; return how many there are."""
    found = np.int32(0)
    for col in range(line.size):
        # only NaN differs from itself
        odd = np.int32(below[col] >= most_below) | np.int32(above[col] >= most_above) | np.int32(line[col] != line[col])
        below[col] = np.int32(odd)
        found = np.int32(found + np.int32(odd))
    return found


@numba.njit(**_OPTIONS)
def _pad_row(line: NDArray[Any], half: int, padded: NDArray[np.float32]) -> None:
    for i in range(half):
        padded[i] = np.float32(line[0])
        padded[padded.size - 1 - i] = np.float32(line[line.size - 1])
    for col in range(line.size):
        padded[half + col] = np.float32(line[col])


@numba.njit(**_OPTIONS)
def _remove_outliers(
    frames: NDArray[Any], out: NDArray[Any], threshold: float, half: int, bright: bool, dark: bool
) -> None:
    """The median is darker than a pixel by the threshold if most of the window is: so count, and sort only then."""
    rows, columns = frames.shape[1:]
    side = 2 * half + 1
    majority = np.int32(side * side // 2 + 1)
    padded = np.empty((side, columns + 2 * half), np.float32)
    below, above = np.empty(columns, np.int32), np.empty(columns, np.int32)
    values = np.empty(side * side, frames.dtype)
    for n in range(frames.shape[0]):
        frame = frames[n]
        for row in range(-half, half):
            _pad_row(frame[min(max(row, 0), rows - 1)], half, padded[row % side])
        for row in range(rows):
            _pad_row(frame[min(row + half, rows - 1)], half, padded[(row + half) % side])
            line = padded[row % side, half : half + columns]
            below[:] = 0
            above[:] = 0
            for k in range(side):
                count_neighbours(padded[k], line, np.float32(threshold), below, above)
            out[n, row] = frame[row]
            found = mark_outliers(line, below, above, majority if bright else NEVER, majority if dark else NEVER)
            for col in range(columns if found else 0):
                if below[col]:
                    count = _window(frame, row, col, half, values)
                    if count:
                        out[n, row, col] = out.dtype.type(_middle(values, count))


@numba.njit(**_OPTIONS)
def _local_difference(image: NDArray[np.float32], difference: NDArray[np.float32], half: int) -> None:
    values = np.empty((2 * half + 1) ** 2, np.float32)
    for row in range(image.shape[0]):
        for col in range(image.shape[1]):
            count = _window(image, row, col, half, values)
            difference[row, col] = image[row, col] - np.float32(_middle(values, count)) if count else np.nan


@numba.njit(**_OPTIONS)
def _replace_pixels(
    frames: NDArray[Any], bad: NDArray[np.bool_], places: NDArray[np.int64], half: int, whole: bool
) -> None:
    rows, columns = bad.shape
    for p in range(places.shape[0]):
        row, col = places[p]
        reach = half
        while True:
            top, bottom = max(row - reach, 0), min(row + reach + 1, rows)
            left, right = max(col - reach, 0), min(col + reach + 1, columns)
            if not bad[top:bottom, left:right].all():
                break
            reach += 1
        values = np.empty((bottom - top) * (right - left), frames.dtype)
        for n in range(frames.shape[0]):
            count = 0
            for i in range(top, bottom):
                for j in range(left, right):
                    value = frames[n, i, j]
                    if not bad[i, j] and value == value:  # only NaN differs from itself
                        values[count] = value
                        count += 1
            if count:
                middle = _middle(values, count)
                frames[n, row, col] = frames.dtype.type(np.rint(middle) if whole else middle)
