"""The filtered projections of the last half turn, by frame id."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from firstlight.core.arrays import Array, Ids, bring_last
from firstlight.core.chunk import Chunk
from firstlight.kernels.angles import angular_weights
from firstlight.kernels.half import to_half
from firstlight.kernels.ramp import Window
from firstlight.kernels.row_filter import TransposedRamp

SPARE = 16
"""Projections beyond the window: what comes lies beside what it replaces until both have been counted."""

NONE = -(2**62)
"""No frame."""

FilterKey = tuple[Window, float]
"""Window and cut-off of the ramp filter."""

DIGESTED = ("col", "row")
"""Axes of filtered projections: transposed, as the planes read them."""
UNFILTERED, FILTER = "unfiltered", "filter"
"""Coordinates of filtered projections: what they were made of, and by which filter."""


@lru_cache(maxsize=8)
def ramp(columns: int, key: FilterKey) -> TransposedRamp:
    """The filter for rows of one length."""
    return TransposedRamp(columns, key[0], cutoff=key[1])


def filtered(frames: Array, key: FilterKey, dtype: Any) -> Array:
    """Filter projections (frame, row, col) and lay them out as (frame, col, row); NaN and infinity count as 0."""
    values = np.asarray(frames, np.float32)
    if not np.isfinite(values.sum(dtype=np.float64)):
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    out = np.empty((values.shape[0], values.shape[2], values.shape[1]), dtype)
    return ramp(values.shape[2], key)(values, out)


def digested(chunk: Chunk, key: FilterKey, dtype: Any) -> Chunk:
    """Filtered projections, with the unfiltered ones and the filter's name as coordinates."""
    frames, _ = bring_last(chunk.data, chunk.axes, ("row", "col"))
    # rounded here, on a worker's thread: the owner of the ring then only moves bytes
    coords = {**chunk.coords, UNFILTERED: rounded(frames, dtype), FILTER: np.full(len(chunk), filter_name(key))}
    return replace(chunk.with_data(filtered(frames, key, dtype), DIGESTED), coords=coords)


def rounded(frames: Array, dtype: Any) -> Array:
    """Projections in the number type in which they are kept; values beyond its range become its largest."""
    return to_half(frames) if np.dtype(dtype) == np.float16 and frames.dtype != np.float16 else frames


def is_digested(chunk: Chunk) -> bool:
    """True for what `digested` gave."""
    return chunk.axes == DIGESTED and UNFILTERED in chunk.coords


def filter_name(key: FilterKey) -> str:
    """Window and cut-off as text."""
    return f"{key[0]} {key[1]:.9g}"


@dataclass(slots=True)
class Ring:
    """A window of `length` ids. Every place is physical: an id keeps its place until it leaves."""

    length: int
    thin: int
    """Only ids that this divides are kept, where memory has no room for all."""
    cache: Array
    """Shape (place, col, row): filtered projections."""
    raw: Array | None
    """Shape (place, row, col): attenuation before the filter, where memory has room for it."""
    key: FilterKey
    id: Ids
    """Shape (place,): the frame that lies there, or NONE."""
    angle: Array
    """Shape (place,), degree."""
    weight: Array
    """Shape (place,): share of the half turn in radian that each projection ought to have; 0: none there."""
    stale: Array
    """Shape (place,): filtered with another filter than `key`."""
    free: list[int]
    where: dict[int, int] = field(default_factory=dict[int, int])
    """Place of each id."""
    epoch: int = -1
    newest: int = NONE

    @classmethod
    def empty(cls, length: int, shape: tuple[int, int], dtype: str, key: FilterKey, memory: float) -> Ring:
        """A ring without projections.

        Args:
            length: ids in the window.
            shape: rows and columns of a projection.
            dtype: float16 or float32.
            key: the filter.
            memory: budget in byte; without room for all projections, every second, third, ... id is kept.
        """
        rows, columns = shape
        each = rows * columns * np.dtype(dtype).itemsize
        thin = 1
        while (-(-length // thin) + SPARE) * each > memory and thin < length:
            thin += 1
        places = -(-length // thin) + SPARE
        keeps_raw = 2 * places * each <= memory
        return cls(
            length,
            thin,
            # empty, not zeros: large pages, touched when written; a place is not read before that
            np.empty((places, columns, rows), dtype),
            np.empty((places, rows, columns), dtype) if keeps_raw else None,
            key,
            np.full(places, NONE, np.int64),
            np.zeros(places),
            np.zeros(places),
            np.zeros(places, bool),
            list(range(places)),
        )

    def wanted(self, chunk: Chunk) -> Ids:
        """Positions in a chunk of the frames to take, oldest first; older epochs, duplicates and late frames are not."""
        if chunk.epoch < self.epoch or len(chunk) == 0:
            return np.empty(0, np.int64)
        newest = max(self.newest, int(chunk.ids.max())) if chunk.epoch == self.epoch else int(chunk.ids.max())
        fits = (chunk.ids > newest - self.length) & (chunk.ids % self.thin == 0)
        order = np.flatnonzero(fits)[np.argsort(chunk.ids[fits], kind="stable")]
        known = self.where if chunk.epoch == self.epoch else {}
        return np.array([i for i in order.tolist() if int(chunk.ids[i]) not in known], np.int64)

    def restart(self, epoch: int) -> None:
        """Another epoch began: what came before does not count any more."""
        self.epoch, self.newest = epoch, NONE
        self.leave(list(self.where))

    def take(self, chunk: Chunk, index: Ids, angles: Array) -> None:
        """Lay some frames of a chunk down and let go of what is too old; at most `SPARE` frames."""
        for position, angle in zip(index.tolist(), angles.tolist(), strict=True):
            frame = int(chunk.ids[position])
            if frame in self.where:
                continue
            place = self.free.pop()
            self._lay_down(place, chunk, position)
            self.id[place], self.angle[place], self.where[frame] = frame, angle, place
            self.newest = max(self.newest, frame)
        self.leave(self.id[(self.id != NONE) & (self.id <= self.newest - self.length)].tolist())
        self.weigh()

    def _lay_down(self, place: int, chunk: Chunk, position: int) -> None:
        frame = chunk.coords[UNFILTERED][position]
        if chunk.coords[FILTER][position] == filter_name(self.key):
            self.cache[place] = chunk.data[position]
        else:  # filtered on its way here, before the filter was changed
            self.cache[place] = filtered(frame[None], self.key, self.cache.dtype)[0]
        if self.raw is not None:
            np.copyto(self.raw[place], frame, casting="unsafe")
        self.stale[place] = False

    def leave(self, frames: list[int]) -> None:
        """Take frames out of the window; their places are free after `release`."""
        for frame in frames:
            self.id[self.where.pop(frame)] = NONE

    def weigh(self) -> None:
        """Share of the half turn for each projection, from the angles that are there."""
        there = np.flatnonzero(self.id != NONE)
        self.weight[:] = 0.0
        if there.size:
            self.weight[there] = angular_weights(self.angle[there])

    def release(self) -> None:
        """Free the places of frames that left; call when no plane counts them any more."""
        self.free = np.flatnonzero(self.id == NONE).tolist()

    def refilter(self, places: Ids) -> None:
        """Apply the present filter to projections that have another one."""
        if self.raw is None:
            return
        for place in places[self.stale[places]].tolist():
            frame = self.raw[place : place + 1].astype(np.float32)
            self.cache[place] = filtered(frame, self.key, self.cache.dtype)[0]
            self.stale[place] = False

    @property
    def coverage(self) -> float:
        """Share of the window's frames that are there."""
        return min(1.0, len(self.where) * self.thin / self.length)
