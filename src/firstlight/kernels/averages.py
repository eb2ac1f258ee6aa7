"""Sums and means of neighbouring pixels and lines, means and spread of frames."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .mask_products import readable

__all__ = ["binned", "frame_moments", "mean_of_groups"]


def mean_of_groups(lines: NDArray[Any], count: int) -> NDArray[np.float32]:
    """Mean of every `count` successive lines of (block, line, col); lines at the end that do not fill a group are left out."""
    out = np.empty((lines.shape[0], lines.shape[1] // count, lines.shape[2]), np.float32)
    _average(readable(lines), count, out)
    return out


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _average(lines: Any, count: Any, out: Any) -> None:
    share = np.float32(1) / np.float32(count)
    for n in range(out.shape[0]):
        for i in range(out.shape[1]):
            target, first = out[n, i], i * count
            for j in range(target.size):
                target[j] = np.float32(lines[n, first, j])
            for k in range(first + 1, first + count):
                for j in range(target.size):
                    target[j] += np.float32(lines[n, k, j])
            for j in range(target.size):
                target[j] *= share


def frame_moments(frames: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean of each pixel of (frame, row, col) over the frames, and the sum of the squared distances from it: (row, col) each."""
    mean, squares = np.zeros(frames.shape[1:]), np.zeros(frames.shape[1:])
    if len(frames):
        _moments(readable(frames), mean, squares)
    return mean, squares


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _moments(frames: Any, mean: Any, squares: Any) -> None:
    """Row by row: the second pass finds what the first has read in the cache."""
    count = frames.shape[0]
    for i in range(mean.shape[0]):
        middle, spread = mean[i], squares[i]
        for n in range(count):
            line = frames[n, i]
            for j in range(middle.size):
                middle[j] += np.float64(line[j])
        for j in range(middle.size):
            middle[j] /= count
        for n in range(count):
            line = frames[n, i]
            for j in range(middle.size):
                away = np.float64(line[j]) - middle[j]
                spread[j] += away * away


def binned(frames: NDArray[Any], rows: int, columns: int, kind: str, *, mean: bool) -> NDArray[Any]:
    """Blocks of pixels of (frame, row, col) combined into one; what does not fill a block is left out.

    Args:
        frames: integers or floats.
        rows: of a block.
        columns: of a block.
        kind: the type in which they are added up, wide enough for a block.
        mean: their mean, in float32, else their sum.
    """
    count, height, width = frames.shape[0], frames.shape[1] // rows, frames.shape[2] // columns
    out = np.empty((count, height, width), np.float32 if mean else kind)
    _bin(readable(frames), rows, columns, np.zeros(width, kind), rows * columns if mean else 0, out)
    return out


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_pairs(line: Any, total: Any) -> None:
    kind = total.dtype.type
    for j in range(total.size):
        total[j] = kind(kind(total[j] + kind(line[2 * j])) + kind(line[2 * j + 1]))


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _bin(frames: Any, rows: Any, columns: Any, total: Any, share: Any, out: Any) -> None:
    kind, made = total.dtype.type, out.dtype.type
    for n in range(out.shape[0]):
        for i in range(out.shape[1]):
            total[:] = 0
            for line in frames[n, i * rows : (i + 1) * rows]:
                if columns == 2:
                    _add_pairs(line, total)
                else:
                    for c in range(columns):
                        for j in range(total.size):
                            total[j] = kind(total[j] + kind(line[j * columns + c]))
            target = out[n, i]
            if share:
                for j in range(total.size):
                    target[j] = made(np.float64(total[j]) / share)
            else:
                for j in range(total.size):
                    target[j] = made(total[j])
