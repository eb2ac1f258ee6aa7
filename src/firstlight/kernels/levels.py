"""Frames brought to another level: one pass over memory each, from the detector's numbers to float32."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .mask_products import readable

__all__ = ["finite_means", "scale_and_shift", "subtract_image"]

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
