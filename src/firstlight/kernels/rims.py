"""Frames cut to a rectangle, or with a rim put around them: line by line, one copy through memory."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["cropped", "padded"]


def cropped(frames: NDArray[Any], rows: slice, columns: slice) -> NDArray[Any]:
    """A rectangle of every frame.

    Args:
        frames: (frame, row, col), any type.
        rows: which rows; start and stop are given and lie in the frame.
        columns: which columns, likewise.

    Returns:
        New array of the same type.
    """
    part = frames[:, rows, columns]
    out = np.empty(part.shape, frames.dtype)
    if _by_lines(frames):
        _crop(_bits(frames), rows.start, columns.start, _bits(out))
    else:
        out[...] = part
    return out


def padded(
    frames: NDArray[Any],
    rows: tuple[int, int],
    columns: tuple[int, int],
    *,
    mirror: bool = False,
    value: float | None = None,
) -> NDArray[Any]:
    """Frames with a rim.

    Args:
        frames: (frame, row, col), any type.
        rows: how many above and below.
        columns: how many on the left and on the right.
        mirror: the rim is the frame mirrored at its outermost pixels (those twice), else these pixels go on.
        value: what the rim holds instead.

    Returns:
        New array of the same type.
    """
    count, height, width = frames.shape
    if not (_by_lines(frames) and height and width):
        rims = ((0, 0), rows, columns)
        if value is not None:
            return np.pad(frames, rims, constant_values=value)
        return np.pad(frames, rims, mode="symmetric" if mirror else "edge")
    out = np.empty((count, height + sum(rows), width + sum(columns)), frames.dtype)
    fill = _bits(np.full(1, 0 if value is None else value).astype(frames.dtype))[0]
    _pad(_bits(frames), rows[0], columns[0], mirror, value is not None, fill, _bits(out))
    return out


def _by_lines(frames: NDArray[Any]) -> bool:
    return frames.flags.c_contiguous and frames.dtype.itemsize in (1, 2, 4, 8)


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    """The same memory as whole numbers: bits are moved, whatever they mean."""
    return values.view(f"u{values.dtype.itemsize}")


@numba.njit(nogil=True, cache=True)
def _copy(line: Any, out: Any) -> None:
    for j in range(out.size):
        out[j] = line[j]


@numba.njit(nogil=True, cache=True)
def _crop(frames: Any, top: Any, left: Any, out: Any) -> None:
    for n in range(out.shape[0]):
        for i in range(out.shape[1]):
            _copy(frames[n, top + i, left : left + out.shape[2]], out[n, i])


@numba.njit(nogil=True, cache=True)
def _place(i: Any, size: Any, mirror: Any) -> Any:
    """Which pixel stands at place `i`, that may lie outside."""
    if mirror and i < 0:
        return -1 - i
    if mirror and i >= size:
        return 2 * size - 1 - i
    return min(max(i, 0), size - 1)


@numba.njit(nogil=True, cache=True)
def _pad(frames: Any, top: Any, left: Any, mirror: Any, filled: Any, fill: Any, out: Any) -> None:
    height, width = frames.shape[1:]
    right = left + width
    for n in range(out.shape[0]):
        for i in range(out.shape[1]):
            target = out[n, i]
            if filled and not top <= i < top + height:
                target[:] = fill
                continue
            line = frames[n, _place(i - top, height, mirror)]
            _copy(line, target[left:right])
            if filled or not mirror:
                target[:left] = fill if filled else line[0]
                target[right:] = fill if filled else line[width - 1]
            else:
                for j in range(left):
                    target[j] = line[_place(j - left, width, mirror)]
                for j in range(right, target.size):
                    target[j] = line[_place(j - left, width, mirror)]
