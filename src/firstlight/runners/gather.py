"""Regrouping: everything of a port is gathered, in memory or in one scratch file, and comes again in blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.buffer import gaps_of
from firstlight.core.chunk import Chunk, Gap
from firstlight.core.plan import Cut, block_length

from .placed import PlacedLog
from .positions import position_name
from .stores import BlockStore, MemoryBlocks, ScratchBlocks, scratch_file


def surplus_of(chunk: Chunk) -> tuple[Gap, ...]:
    """Frames beyond what the scan announced, for which there is no room."""
    return tuple(replace(gap, kind="rejected") for gap in gaps_of(chunk, "more frames came than the scan announced"))


def overlapping(length: int, step: int, halo: int, own: slice | None = None) -> Iterator[tuple[slice, tuple[int, int]]]:
    """Blocks of `step` out of `length` positions, each with up to `halo` neighbours on both sides, and its margins.

    With `own`, only the blocks of that part.
    """
    first, last = (0, length) if own is None else (own.start, own.stop)
    for start in range(first, last, step):
        stop = min(start + step, last)
        margin = (min(halo, start), min(halo, length - stop))
        yield slice(start - margin[0], stop + margin[1]), margin


class Gathered:
    """Frames in the order in which they came, with their places; safe to fill from several threads.

    Positions that never came are left out of the blocks, so that a step sees only measured data, with the coordinates
    that belong to them. (Where several scan axes arrive and one of them stays free, positions must keep their place:
    what is missing is zero there.)

    Args:
        cut: What is gathered, and along which axis it comes again.
        memory: Byte that may be taken from memory; a larger array lies in a file.
        folder: Where that file is made (None: the system's folder for temporary files), or the file itself.
        band: The positions along the axis of the blocks that are kept; None: all.
    """

    def __init__(self, cut: Cut, memory: float, folder: str | Path | None = None, band: slice | None = None) -> None:
        """Room is taken with the first chunk."""
        self.cut = cut
        self.band = band
        self._frames = cut.stream.frames or 0
        self.on_disk = cut.bytes > memory
        self._folder = folder
        self._inside = cut.along is not None and cut.along in cut.stream.frame_axes
        """The axis of the blocks lies inside a frame: frames are cut along it as they come."""
        self._store: BlockStore | None = None
        self._length = 0 if band is None else cut.stream.size(str(cut.along))
        """Positions along the axis of the blocks."""
        self._file: IO[bytes] | None = None
        self._data: Array = np.empty((0, *(0 for _ in cut.stream.frame_axes)), cut.stream.dtype)
        self._ids = np.zeros(self._frames, np.int64)
        self._epochs = np.zeros(self._frames, np.int64)
        self._coords: dict[str, Array] = {}
        self._gaps: list[Gap] = []
        self._free = [slice(0, self._frames)]
        """Slots that no frame has taken, first things first."""
        self._filled = np.zeros(self._frames, bool)
        self._made = False
        self._lock = threading.Lock()
        self.received = 0.0
        self.log: PlacedLog | None = None
        """Where placed frames are noted, for a run that may be interrupted."""

    @property
    def used(self) -> int:
        """Frames that have come."""
        return int(self._filled.sum())

    @property
    def _axis(self) -> int:
        return 1 + self.cut.stream.frame_axes.index(str(self.cut.along))

    def _make(self, shape: tuple[int, ...]) -> None:
        """Take the room: frames are as large as they come, which is smaller than announced where some were lost."""
        self._made = True
        if self._inside:
            axis = self._axis - 1
            self._length = self._length or shape[axis]
            self._store = self._block_store((*shape[:axis], *shape[axis + 1 :]))
        elif self.on_disk:
            size = self._frames * int(np.prod(shape)) * np.dtype(self.cut.stream.dtype).itemsize
            self._file = scratch_file(self._folder, size)
            self._data = np.memmap(self._file, dtype=self.cut.stream.dtype, mode="r+", shape=(self._frames, *shape))
        else:
            self._data = np.empty((self._frames, *shape), self.cut.stream.dtype)

    def _block_store(self, rest: tuple[int, ...]) -> BlockStore:
        pieces = tuple(self._pieces())
        if self.on_disk and self.band is None:
            return ScratchBlocks(pieces, self._frames, rest, self.cut.stream.dtype, self._folder)
        at_once = self.band is not None and bool(self._filled.any())
        return MemoryBlocks(pieces, self._frames, rest, self.cut.stream.dtype, at_once=at_once)

    def _pieces(self) -> Iterator[slice]:
        """The blocks without neighbours, and at the rims of a band the neighbours."""
        own, halo = self._own(), self.cut.halo
        if halo and own.start:
            yield slice(max(own.start - halo, 0), own.start)
        for part, _ in overlapping(self._length, block_length(self.cut), 0, own):
            yield part
        if halo and own.stop < self._length:
            yield slice(own.stop, min(own.stop + halo, self._length))

    def _own(self) -> slice:
        return slice(0, self._length) if self.band is None else self.band

    def again(self, band: slice) -> Gathered:
        """The same frames, to be filled with another band of their axis."""
        made = Gathered(self.cut, self.cut.bytes, None, band)
        made._ids, made._epochs, made._coords = self._ids, self._epochs, self._coords
        made._filled, made._length, made.received = self._filled, self._length, self.received
        return made

    def runs(self, most: int) -> Iterator[tuple[slice, Ids]]:
        """Slots of frames that came one after the other and have consecutive ids, at most so many, with the ids."""
        slots = np.flatnonzero(self._filled)
        ids, epochs = self._ids[slots], self._epochs[slots]
        breaks = np.flatnonzero((np.diff(ids) != 1) | (np.diff(epochs) != 0) | (np.diff(slots) != 1)) + 1
        for start, stop in zip([0, *breaks.tolist()], [*breaks.tolist(), len(slots)], strict=True):
            for first in range(start, stop, most):
                last = min(first + most, stop)
                yield slice(int(slots[first]), int(slots[last - 1]) + 1), ids[first:last]

    def coords_at(self, slots: slice) -> dict[str, Array]:
        """Coordinates of some frames."""
        return {name: values[slots] for name, values in self._coords.items()}

    def fill(self, slots: slice, chunk: Chunk) -> None:
        """Place the data of frames that are known already."""
        with self._lock:
            if not self._made:
                self._make(chunk.data.shape[1:])
        self._put(slots, chunk, len(chunk))

    def place(self, chunk: Chunk) -> int:
        """Copy the frames of a chunk in; returns how many there was room for."""
        with self._lock:
            taken = self._take(len(chunk))
            if taken and not self._made:
                self._make(chunk.data.shape[1:])
            self.received = max(self.received, chunk.received)
            for name, values in chunk.coords.items():
                self._coords_of(name, np.asarray(values).shape[1:])
        done = 0
        for slots in taken:
            part = chunk.take(slice(done, done + slots.stop - slots.start))
            self._put(slots, part, len(part))
            self._note(slots, part)
            done += len(part)
        if self.log is not None and done:
            self.log.add(taken, chunk.take(slice(done)))
        return done

    def _take(self, count: int) -> list[slice]:
        """Free slots for so many frames, or for as many as there is room for."""
        taken: list[slice] = []
        while count and self._free:
            free = self._free[0]
            stop = min(free.start + count, free.stop)
            if stop > free.start:
                taken.append(slice(free.start, stop))
                count -= stop - free.start
            self._free[:1] = [slice(stop, free.stop)] if stop < free.stop else []
        return taken

    def _coords_of(self, name: str, tail: tuple[int, ...]) -> Array:
        if name not in self._coords:
            self._coords[name] = np.full((self._frames, *tail), np.nan)
        return self._coords[name]

    def _note(self, slots: slice, chunk: Chunk) -> None:
        self._ids[slots] = chunk.ids
        self._epochs[slots] = chunk.epoch
        for name, values in chunk.coords.items():
            self._coords[name][slots] = values
        self._filled[slots] = True

    def restore(self, log: PlacedLog) -> None:
        """Take over the frames that an interrupted run has placed in the scratch file, and go on noting them there."""
        self.log = log
        for entry in log.entries:
            if not self._made:
                self._make(tuple(entry.shape))
            slots = np.concatenate([np.arange(first, last) for first, last in entry.slots])
            self._ids[slots], self._epochs[slots], self._filled[slots] = entry.ids, entry.epoch, True
            for name, values in entry.coords.items():
                found = np.asarray(values)
                self._coords_of(name, found.shape[1:])[slots] = found
        holes = np.flatnonzero(~self._filled)
        edges = np.flatnonzero(np.diff(holes) != 1) + 1
        self._free = [slice(int(part[0]), int(part[-1]) + 1) for part in np.split(holes, edges) if len(part)]

    def _put(self, slots: slice, chunk: Chunk, count: int) -> None:
        if self._store is None:
            self._data[slots] = chunk.data[:count]
            return
        first = chunk.where[str(self.cut.along)].start if str(self.cut.along) in chunk.where else 0
        self._store.put(slots, np.moveaxis(chunk.data[:count], self._axis, 0), first)

    def miss(self, gap: Gap) -> None:
        """Note frames that will not come."""
        with self._lock:
            self._gaps.append(gap)

    def blocks(self, wanted: Callable[[Ids], bool] | None = None) -> Iterator[Chunk | Gap]:
        """The gathered data in blocks along the free axis (call once all is in); a gap if nothing at all came.

        Args:
            wanted: Asked for the ids of each block along a frame axis; those that are not wanted are left out.
        """
        cut = self.cut
        if cut.same_frames:
            yield from self._gaps
        elif not self._filled.any():
            length = 1 if cut.along is None else cut.stream.size(cut.along)
            yield Gap(0, 0, length - 1, f"nothing came to '{'.'.join(cut.port)}'")
            return
        slots = np.flatnonzero(self._filled)
        order = slots[np.lexsort((self._ids[slots], self._epochs[slots]))]
        if cut.along is not None and cut.along in cut.stream.arrival_axes:
            yield from self._blocks_of_positions(order)
            return
        coords = self._coords_in(order)
        if cut.along is None:
            axes = cut.stream.axes
            yield Chunk(
                self._grid(order)[np.newaxis], axes, np.zeros(1, np.int64), coords=coords, received=self.received
            )
            return
        ids = self._positions(cut.along, self._length)
        yield from self._absent(ids)
        for part, margin in overlapping(self._length, block_length(cut), cut.halo, self._own()):
            if wanted is None or wanted(ids[part.start + margin[0] : part.stop - margin[1]]):
                yield replace(self._block(order, coords, ids, part), margin=margin)

    def _positions(self, label: str, length: int) -> Ids:
        """Ids of the positions along a frame axis: those that an earlier regrouping left, or all."""
        known = self._coords.get(position_name(label))
        return np.arange(length, dtype=np.int64) if known is None else known[0].astype(np.int64)

    def _absent(self, ids: Ids) -> Iterator[Gap]:
        """Positions along the block axis that an earlier regrouping left out."""
        size = self.cut.stream.sizes.get(str(self.cut.along)) or 0
        for place in np.setdiff1d(np.arange(size, dtype=np.int64), ids).tolist():
            yield Gap(0, place, place, "it was lost before the data were regrouped")

    def _coords_in(self, order: Array) -> dict[str, Array]:
        """Coordinates with one leading dimension of length 1: those of the gathered axis, and those of frame axes."""
        stream = self.cut.stream
        inside = set(stream.frame_axes) | {position_name(label) for label in stream.frame_axes}
        found = {n: v[:1] if n in inside and v.ndim > 1 else v[order][np.newaxis] for n, v in self._coords.items()}
        if len(stream.arrival_axes) == 1:
            found[position_name(stream.arrival_axes[0])] = (self._ids[order] - stream.first)[np.newaxis]
        return found

    def _block(self, order: Array, coords: dict[str, Array], places: Ids, part: slice) -> Chunk:
        """Positions `part` of the free axis in front, then the whole arrival, then the other frame axes."""
        cut = self.cut
        if self._store is None:
            raise RuntimeError("A block was asked for before any frame came.")
        data = self._store.get(part)
        if len(order) != data.shape[1] or bool((np.diff(order) != 1).any()):
            data = data[:, order]
        shape = data.shape
        ids = places[part]
        if len(cut.stream.arrival_axes) > 1:
            data = data.reshape(len(ids), *(cut.stream.size(label) for label in cut.stream.arrival_axes), *shape[2:])
        label = str(cut.along)
        along = coords[label][0][part] if label in coords else ids
        rest = {n: v for n, v in coords.items() if n not in (label, position_name(label))}
        spread = {**self._spread(rest, len(ids)), label: along}
        return Chunk(data, cut.after.frame_axes, ids, coords=spread, received=self.received)

    def _spread(self, coords: dict[str, Array], count: int) -> dict[str, Array]:
        """Coordinates along the gathered axis, one (shared) row per block position."""
        return {name: np.broadcast_to(values[0], (count, *values.shape[1:])) for name, values in coords.items()}

    def _grid(self, order: Array) -> Array:
        """Everything at its place; several arrival axes as a grid, with zero where nothing came."""
        stream = self.cut.stream
        if len(stream.arrival_axes) == 1:
            return self._data[order]
        full = np.zeros((self._frames, *self._data.shape[1:]), stream.dtype)
        places = self._ids[order] - stream.first
        inside = (places >= 0) & (places < self._frames)
        full[places[inside]] = self._data[order[inside]]
        return full.reshape(*(stream.size(label) for label in stream.arrival_axes), *full.shape[1:])

    def _blocks_of_positions(self, order: Array) -> Iterator[Chunk]:
        """Blocks along an arrival axis: the same frames again (one arrival axis), or lines of a grid (several)."""
        stream, along = self.cut.stream, self.cut.along
        step, halo = block_length(self.cut), self.cut.halo
        if self.cut.same_frames:
            for epoch in np.unique(self._epochs[order]):
                slots = order[self._epochs[order] == epoch]
                for part, margin in overlapping(len(slots), step, halo):
                    yield replace(self._same_frames(slots[part]), epoch=int(epoch), margin=margin)
            return
        grid = np.moveaxis(self._grid(order), stream.axes.index(str(along)), 0)
        places = np.arange(len(grid), dtype=np.int64)
        for part, margin in overlapping(len(grid), step, halo):
            lines, ids = np.ascontiguousarray(grid[part]), places[part]
            coords = {str(along): ids}
            axes = self.cut.after.frame_axes
            yield Chunk(lines, axes, ids, coords=coords, received=self.received, margin=margin)

    def _same_frames(self, slots: Array) -> Chunk:
        coords = {name: values[slots] for name, values in self._coords.items()}
        axes = self.cut.stream.frame_axes
        return Chunk(self._data[slots], axes, self._ids[slots], coords=coords, received=self.received)

    def close(self) -> None:
        """Give the memory, or the file, back."""
        self._data = np.empty(0, self._data.dtype)
        if self._store is not None:
            self._store.close()
        if self._file is not None:
            self._file.close()
