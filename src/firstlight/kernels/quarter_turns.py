"""Frames with rows and columns exchanged, and mirrored: a block of pixels at a time, so that both sides stay in the cache."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["transposed_frames"]

_BLOCK = 32


def transposed_frames(frames: NDArray[Any], *, up: bool = False, left: bool = False) -> NDArray[Any]:
    """Exchange rows and columns.

    Args:
        frames: (frame, row, col), any type.
        up: afterwards mirror up and down.
        left: afterwards mirror left and right.

    Returns:
        New array (frame, col, row) of the same type.
    """
    count, rows, columns = frames.shape
    out = np.empty((count, columns, rows), frames.dtype)
    kind = f"u{frames.dtype.itemsize}"  # bits are moved, whatever they mean
    target = out[:, :: -1 if up else 1, :: -1 if left else 1]
    if frames.dtype.itemsize in (1, 2, 4, 8) and frames.flags.c_contiguous:
        _transpose(frames.view(kind), target.view(kind))
    else:
        target[...] = frames.swapaxes(1, 2)
    return out


@numba.njit(nogil=True, cache=True)
def _transpose(frames: Any, out: Any) -> None:
    count, rows, columns = frames.shape
    for n in range(count):
        for top in range(0, rows, _BLOCK):
            for left in range(0, columns, _BLOCK):
                for j in range(left, min(left + _BLOCK, columns)):
                    for i in range(top, min(top + _BLOCK, rows)):
                        out[n, j, i] = frames[n, i, j]
