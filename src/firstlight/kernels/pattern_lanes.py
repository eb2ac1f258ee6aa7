"""Patterns of many scan points side by side: what a virtual detector sees of all of them reads the pixels of the detector alone.

Patterns are stored as ``(block, pixel, lane)``: 64 patterns make a block, and one pixel of all of them lies in one run of memory.
A detector that is moved by a pixel gains and loses some pixels at its edge; only these runs are read, instead of every pattern.
Integers are added up exactly.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

LANES = 64
"""Patterns of a block: a pixel of them is one or two cache lines of counts."""
_TILE = 64
"""Pixels that are written at a time: their lines of all lanes stay in the first-level cache."""
_SMALL = 65536
"""So many values of 16 bit can not overflow 32 bits."""


def room_for(patterns: int, pixels: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Memory for some patterns, not touched before they come: (block, pixel, lane)."""
    lanes = min(LANES, patterns)
    return np.zeros((-(-patterns // lanes), pixels, lanes), dtype)


@numba.njit(nogil=True, cache=True)
def put_patterns(store: Any, places: Any, frames: Any) -> None:
    """Write patterns to their places.

    Args:
        store: (block, pixel, lane), changed in place.
        places: (frame,): block times lanes plus lane.
        frames: (frame, pixel), of the same type.
    """
    count, pixels = frames.shape
    lanes = store.shape[2]
    for start in range(0, pixels, _TILE):
        stop = min(start + _TILE, pixels)
        for frame in range(count):
            block, lane = places[frame] // lanes, places[frame] % lanes
            for pixel in range(start, stop):
                store[block, pixel, lane] = frames[frame, pixel]


def pattern_of(store: NDArray[Any], place: int) -> NDArray[Any]:
    """The pattern at a place, (pixel,): a view."""
    return store[place // store.shape[2], :, place % store.shape[2]]


def patterns_at(store: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
    """Copies of the patterns at some places, (place, pixel)."""
    return store[places // store.shape[2], :, places % store.shape[2]]


def sums_of_pixels(store: NDArray[Any], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum each pattern under weights; pixels without weight are not read.

    Args:
        store: (block, pixel, lane).
        weights: (pixel,): 0 and ±1 alone keep integers exact, and so do others that are multiples of a small power of 1/2.

    Returns:
        Sum of each place, (block · lane,).
    """
    small = store.dtype.kind == "u" and store.dtype.itemsize <= 2 and len(weights) <= _SMALL
    exact = (
        np.dtype(np.uint32) if small else np.dtype({"u": np.uint64, "i": np.int64}.get(store.dtype.kind, np.float64))
    )
    sums = np.zeros((store.shape[0], store.shape[2]))
    for sign in (1.0, -1.0):
        if len(pixels := np.flatnonzero(weights == sign)):
            _add(store, pixels, sign, np.zeros(store.shape[2], exact), sums)
    parts = np.flatnonzero((weights != 0) & (np.abs(weights) != 1))
    if len(parts):
        _add_weighted(store, parts, weights[parts], sums)
    return sums.reshape(-1)


@numba.njit(nogil=True, cache=True)
def _add(store: Any, pixels: Any, sign: float, line: Any, sums: Any) -> None:
    """Add some pixels of every pattern; `line` is room for a block of sums, in a type that holds them."""
    kind = line.dtype.type
    for block in range(store.shape[0]):
        line[:] = 0
        for pixel in pixels:
            values = store[block, pixel]
            for lane in range(values.size):
                line[lane] = kind(line[lane] + kind(values[lane]))
        for lane in range(line.size):
            sums[block, lane] += sign * line[lane]


@numba.njit(nogil=True, cache=True)
def _add_weighted(store: Any, pixels: Any, weights: Any, sums: Any) -> None:
    for block in range(store.shape[0]):
        line = sums[block]
        for place in range(pixels.size):
            values = store[block, pixels[place]]
            for lane in range(values.size):
                line[lane] += weights[place] * values[lane]


@numba.njit(nogil=True, cache=True)
def block_sums(frames: Any, binning: int, out: Any) -> None:
    """Sums over blocks of pixels, each pixel read once; a block that is cut by the edge has fewer.

    Args:
        frames: (frame, row, col).
        binning: Rows and columns of a block.
        out: (frame, ceil(row / binning), ceil(col / binning)) in a type that holds the sums; overwritten.
    """
    count, rows, cols = frames.shape
    kind = out.dtype.type
    line = np.zeros(out.shape[2] * binning, out.dtype)
    for frame in range(count):
        for top in range(out.shape[1]):
            line[:] = 0
            for row in range(top * binning, min((top + 1) * binning, rows)):
                for col in range(cols):
                    line[col] = kind(line[col] + kind(frames[frame, row, col]))
            for left in range(out.shape[2]):
                total = kind(0)
                for col in range(left * binning, (left + 1) * binning):
                    total = kind(total + line[col])
                out[frame, top, left] = total
