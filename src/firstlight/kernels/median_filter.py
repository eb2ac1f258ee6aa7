"""Median filter of images, many pixels side by side.

The median of a window is found by forgetting: of somewhat more than half the values the least and the largest can not be it and
are dropped, the next value takes their place, until three are left (Paeth 1990). All of it is minima and maxima of pairs, without a
branch, so that hundreds of neighbouring windows go through it together in the processor's vector registers.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

_OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "fastmath": {"nnan", "nsz"}}
_LANES = 256
_LARGEST = 11
"""Side of the window above which scipy's moving window does less work."""


def median_filter(images: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Replace every pixel by the median of its neighbourhood; at the rim the outermost pixel is repeated.

    Args:
        images: shape (image, row, col), float32, without NaN.
        size: side of the window in pixels, odd.

    Returns:
        New array of the same shape.

    Raises:
        ValueError: an even size, or another kind of array.
    """
    if images.ndim != 3 or images.dtype != np.float32 or size < 1 or size % 2 == 0:
        raise ValueError(
            f"images is {images.dtype} {images.shape} and size {size}; expected float32 (image, row, col), odd."
        )
    if size > _LARGEST:
        return scipy.ndimage.median_filter(images, (1, size, size), mode="nearest")
    if size == 1:
        return images.copy()
    out = np.empty(images.shape, np.float32)
    half = size // 2
    for image, result in zip(images, out, strict=True):
        _filter(np.pad(image, half, mode="edge"), size, result)
    return out


@numba.njit(**_OPTIONS)
def _order(low: Any, high: Any) -> None:
    """The lesser of each pair to the first line, the larger to the second."""
    for n in range(_LANES):
        a, b = low[n], high[n]
        low[n], high[n] = min(a, b), max(a, b)


@numba.njit(**_OPTIONS)
def _ends(lines: Any, count: int) -> None:
    """The least of `count` lines to the first of them, the largest to the last."""
    for i in range(count // 2):
        _order(lines[i], lines[count - 1 - i])
    for i in range(1, (count + 1) // 2):
        _order(lines[0], lines[i])
    for i in range(count // 2, count - 1):
        _order(lines[i], lines[count - 1])


@numba.njit(**_OPTIONS)
def _filter(padded: Any, size: int, out: Any) -> None:
    rows, columns = out.shape
    every = size * size
    kept = every // 2 + 2
    lines = np.empty((kept, _LANES), np.float32)
    for row in range(rows):
        for start in range(0, columns, _LANES):
            width = min(_LANES, columns - start)
            if width < _LANES:
                lines[:] = 0.0
            for n in range(kept):
                lines[n, :width] = padded[row + n // size, start + n % size : start + n % size + width]
            count = kept
            for n in range(kept, every):
                _ends(lines, count)
                count -= 1  # the largest is forgotten, and the least overwritten
                lines[0, :width] = padded[row + n // size, start + n % size : start + n % size + width]
            _ends(lines, count)
            out[row, start : start + width] = lines[1, :width]
