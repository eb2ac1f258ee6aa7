"""Means of neighbouring lines, and means and spread of frames."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from .mask_products import readable

__all__ = ["frame_moments", "mean_of_groups"]


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
