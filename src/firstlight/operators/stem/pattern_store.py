"""Patterns of a scan, held in a bounded part of memory: all of them where they fit, otherwise the newest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.kernels.mask_products import readable
from firstlight.kernels.pattern_lanes import (
    LANES,
    block_sums,
    pattern_of,
    patterns_at,
    put_patterns,
    room_for,
    sums_of_pixels,
)

NONE = -1


def kept_type(dtype: str, binning: int) -> np.dtype[np.generic]:
    """A type that holds the sum of a block of pixels."""
    given = np.dtype(dtype)
    if given.kind == "b":
        return np.dtype(np.uint8) if binning < 16 else np.dtype(np.uint16)
    if given.kind == "f":
        return np.promote_types(given, np.float32)
    if binning == 1:
        return given.newbyteorder("=")
    limits = np.iinfo(given)
    return np.result_type(*(np.min_scalar_type(int(limit) * binning**2) for limit in (limits.min, limits.max)))


def binned(frames: Array, binning: int) -> Array:
    """Sums over blocks of pixels; a block that is cut by the edge has fewer.

    Args:
        frames: (frame, row, col), integers, bool or floats.
        binning: Rows and columns of a block.

    Returns:
        (frame, ceil(row / binning), ceil(col / binning)), of `kept_type`; not copied where nothing changes.
    """
    dtype = kept_type(frames.dtype.str, binning)
    if binning == 1:
        return np.ascontiguousarray(frames, dtype)
    count, rows, cols = frames.shape
    sums = np.empty((count, -(-rows // binning), -(-cols // binning)), dtype)
    block_sums(readable(frames), binning, sums)
    return sums


def block_sizes(size: tuple[int, int], binning: int) -> Array:
    """Pixels of each block of a frame: fewer where the edge cuts it."""
    rows, cols = (np.minimum(binning, length - np.arange(0, length, binning)) for length in size)
    return rows[:, None] * cols


@dataclass(slots=True)
class PatternStore:
    """Patterns by the number of their point. A point has one place; of points with the same place the later is held."""

    patterns: Array
    """(block, pixel, lane), binned."""
    points: Ids
    """(place,): the point whose pattern lies there, or NONE."""
    size: tuple[int, int]
    """Rows and columns of a frame."""
    binning: int

    @classmethod
    def empty(cls, points: int, size: tuple[int, int], dtype: str, binning: int, memory: float) -> PatternStore:
        """Nothing is held.

        Args:
            points: Of the scan.
            size: Rows and columns of a frame.
            dtype: Of the frames.
            binning: Rows and columns that are summed.
            memory: Bytes that patterns may take; one pattern is always held.
        """
        pixels = int(np.prod([-(-length // binning) for length in size]))
        kind = kept_type(dtype, binning)
        room = int(max(memory // (pixels * kind.itemsize), 1))
        if room >= LANES:
            room -= room % LANES
        room = min(max(points, 1), room)
        return cls(room_for(room, pixels, kind), np.full(room, NONE, np.int64), size, binning)

    def clear(self) -> None:
        """Forget everything."""
        self.points[:] = NONE

    def take(self, points: Ids, patterns: Array) -> None:
        """Hold patterns (point, row, col), binned, each unless a later point has its place."""
        order = np.argsort(points, kind="stable")
        places = points[order] % len(self.points)
        newer = points[order] >= self.points[places]
        chosen, places = order[newer], places[newer]
        self.points[places] = points[chosen]
        flat = patterns.reshape(len(patterns), -1)
        whole = len(chosen) == len(flat) and bool((chosen[1:] > chosen[:-1]).all())
        put_patterns(self.patterns, places, np.ascontiguousarray(flat if whole else flat[chosen], self.patterns.dtype))

    def held(self) -> tuple[Ids, Array]:
        """The points whose patterns are held, and copies of these, (point, row, col), binned."""
        places = np.flatnonzero(self.points != NONE)
        rows, cols = (-(-length // self.binning) for length in self.size)
        return self.points[places], patterns_at(self.patterns, places).reshape(len(places), rows, cols)

    def sums(self, weights: Array) -> tuple[Ids, Array]:
        """The points whose patterns are held, and the sum of each under weights (row, col), binned."""
        full = self.points != NONE
        return self.points[full], sums_of_pixels(self.patterns, weights.ravel())[: len(full)][full]

    def pattern(self, point: int) -> Array:
        """The pattern of a point, (row, col): each block's mean in all of its pixels; NaN if it is not held."""
        place = point % len(self.points)
        rows, cols = self.size
        if point < 0 or self.points[place] != point:
            return np.full(self.size, np.nan)
        blocks = block_sizes(self.size, self.binning)
        found = pattern_of(self.patterns, place).reshape(blocks.shape)
        if self.binning == 1:
            return found.astype(np.float64)
        return np.repeat(np.repeat(found / blocks, self.binning, 0), self.binning, 1)[:rows, :cols]
