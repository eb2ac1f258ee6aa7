"""One thread for each value of an array: how many blocks, and of which shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from firstlight.kernels.cuda.arrays import launch

__all__ = ["over", "over_columns"]

_THREADS = 256
_WIDE = 64
"""Threads of a block along the last axis: neighbours in memory, so that a warp reads whole lines of it."""
_MOST = 65_535
"""Blocks along the second and the third axis of a grid, at most."""
_BUSY = 1 << 20
"""Threads that keep a large device busy."""


def over(kernel: Any, shape: Sequence[int], *arguments: Any) -> None:
    """Start a kernel with a thread for each place of a shape of one to three axes, the last one along x.

    Nothing is started for an empty shape. The kernel must leave threads alone that lie beyond the rim.

    Raises:
        ValueError: more places along a leading axis than a grid has blocks.
    """
    if math.prod(shape) == 0:
        return
    sizes = tuple(reversed(tuple(shape)))
    width = _upward(sizes[0], _WIDE if len(sizes) > 1 else _THREADS)
    height = _upward(sizes[1], _THREADS // width) if len(sizes) > 1 else 1
    block = (width, height, 1)[: len(sizes)]
    grid = tuple(-(-size // threads) for size, threads in zip(sizes, block, strict=True))
    if max(grid[1:], default=0) > _MOST:
        raise ValueError(f"an array of {tuple(shape)} is more than one launch can do: take smaller blocks of frames")
    launch(kernel, grid, block, *arguments)


def over_columns(kernel: Any, shape: tuple[int, int, int], *arguments: Any) -> None:
    """Start a kernel whose threads stand over (row, col) and walk along the frames, the first axis.

    Each thread does the frames ``cuda.grid(3)[2]``, plus ``cuda.gridDim.z``, and so on: what it reads of an image is read
    once for many frames, and there are as many threads as keep the device busy.
    """
    frames, rows, columns = shape
    if not frames or not rows or not columns:
        return
    groups = min(frames, max(1, _BUSY // (rows * columns)), _MOST)
    width = _upward(columns, _WIDE)
    height = _upward(rows, _THREADS // width)
    grid = (-(-columns // width), -(-rows // height), groups)
    launch(kernel, grid, (width, height, 1), *arguments)


def _upward(size: int, most: int) -> int:
    """The next power of two, at most `most`: small arrays take small blocks."""
    return min(most, 1 << max(0, size - 1).bit_length())
