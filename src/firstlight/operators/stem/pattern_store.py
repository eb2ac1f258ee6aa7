"""Patterns of a scan, held in a bounded part of memory: all of them where they fit, otherwise the newest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firstlight.core.arrays import Array, Ids

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
        (frame, ceil(row / binning), ceil(col / binning)), of `kept_type`.
    """
    dtype = kept_type(frames.dtype.str, binning)
    if binning == 1:
        return np.ascontiguousarray(frames, dtype)
    count, rows, cols = frames.shape
    sums = np.zeros((count, -(-rows // binning), -(-cols // binning)), dtype)
    for row in range(min(binning, rows)):
        for col in range(min(binning, cols)):
            part = frames[:, row::binning, col::binning]
            sums[:, : part.shape[1], : part.shape[2]] += part
    return sums


def block_sizes(size: tuple[int, int], binning: int) -> Array:
    """Pixels of each block of a frame: fewer where the edge cuts it."""
    rows, cols = (np.minimum(binning, length - np.arange(0, length, binning)) for length in size)
    return rows[:, None] * cols


@dataclass(slots=True)
class PatternStore:
    """Patterns by the number of their point. A point has one place; of points with the same place the later is held."""

    patterns: Array
    """(place, row, col), binned."""
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
        rows, cols = (-(-length // binning) for length in size)
        kind = kept_type(dtype, binning)
        room = int(min(max(points, 1), max(memory // (rows * cols * kind.itemsize), 1)))
        return cls(np.zeros((room, rows, cols), kind), np.full(room, NONE, np.int64), size, binning)

    def clear(self) -> None:
        """Forget everything."""
        self.points[:] = NONE

    def take(self, points: Ids, patterns: Array) -> None:
        """Hold patterns, each unless a later point has its place."""
        order = np.argsort(points, kind="stable")
        places = points[order] % len(self.points)
        newer = points[order] >= self.points[places]
        chosen, places = order[newer], places[newer]
        self.points[places] = points[chosen]
        self.patterns[places] = patterns[chosen]

    def held(self) -> tuple[Ids, Array]:
        """The points whose patterns are held, and these; not copied where all are."""
        full = self.points != NONE
        if full.all():
            return self.points, self.patterns
        if full[: (last := int(full.sum()))].all():
            return self.points[:last], self.patterns[:last]
        return self.points[full], self.patterns[full]

    def pattern(self, point: int) -> Array:
        """The pattern of a point, (row, col): each block's mean in all of its pixels; NaN if it is not held."""
        place = point % len(self.points)
        rows, cols = self.size
        if point < 0 or self.points[place] != point:
            return np.full(self.size, np.nan)
        if self.binning == 1:
            return self.patterns[place].astype(np.float64)
        means = self.patterns[place] / block_sizes(self.size, self.binning)
        return np.repeat(np.repeat(means, self.binning, 0), self.binning, 1)[:rows, :cols]
