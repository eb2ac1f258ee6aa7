"""Median over a window that moves across columns, on a CUDA device: each thread moves a window of its own.

As on the CPU the window is kept sorted: one pass over it takes the value that leaves out and puts the one that enters in.
Neighbouring threads follow neighbouring ranks, so that they read whole lines of memory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np

from firstlight.kernels.cuda.arrays import Device, cuda, empty
from firstlight.kernels.cuda.grids import over
from firstlight.kernels.cuda.rims import mirrored

__all__ = ["running_median"]

_STRETCH = 4
"""Columns that a thread does, in windows: sorting the first window takes a sixteenth of its time then."""


def running_median(values: Device, size: int) -> Device:
    """Median over `size` neighbours along the columns; the rim is mirrored, its outermost value repeated.

    Args:
        values: (row, col, rank) float32, without NaN.
        size: width of the window, odd.

    Returns:
        New device array of the same shape.
    """
    rows, columns, ranks = values.shape
    out = empty(values.shape)
    stretch = _STRETCH * size
    over(_kernel(size), (rows, -(-columns // stretch), ranks), values, np.int32(stretch), out)
    return out


@lru_cache(maxsize=16)
def _kernel(size: int) -> Any:
    half = size // 2

    @cuda.jit
    def median(values: Any, stretch: Any, out: Any) -> None:
        rank, part, row = cuda.grid(3)
        columns, first = values.shape[1], part * stretch
        if rank >= values.shape[2] or first >= columns or row >= values.shape[0]:
            return
        window = cuda.local.array(size, numba.float32)
        for k in range(size):
            value = values[row, mirrored(first + k - half, columns), rank]
            place = k
            while place > 0 and window[place - 1] > value:
                window[place] = window[place - 1]
                place -= 1
            window[place] = value
        out[row, first, rank] = window[half]
        last = first + stretch
        last = columns if last > columns else last
        for col in range(first + 1, last):
            old = values[row, mirrored(col - half - 1, columns), rank]
            new = values[row, mirrored(col + half, columns), rank]
            before, value = np.float32(-np.inf), window[0]
            for k in range(size):
                following = window[k + 1] if k + 1 < size else np.float32(np.inf)
                rest = value if value < old else following  # the value at this place without the old one
                smaller = rest if rest < new else new
                window[k] = smaller if smaller > before else before
                before, value = rest, following
            out[row, col, rank] = window[half]

    return median
