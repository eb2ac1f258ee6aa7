"""Regrouping: everything of a port is gathered, in memory or in one scratch file, and comes again in blocks."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.buffer import gaps_of
from firstlight.core.chunk import Chunk, Gap
from firstlight.core.plan import Cut, block_length


def surplus_of(chunk: Chunk) -> tuple[Gap, ...]:
    """Frames beyond what the scan announced, for which there is no room."""
    return tuple(replace(gap, kind="rejected") for gap in gaps_of(chunk, "more frames came than the scan announced"))


class Gathered:
    """Frames in the order in which they came, with their places; safe to fill from several threads.

    Positions that never came are left out of the blocks, so that a step sees only measured data, with the coordinates
    that belong to them. (Where several scan axes arrive and one of them stays free, positions must keep their place:
    what is missing is zero there.)

    Args:
        cut: What is gathered, and along which axis it comes again.
        memory: Byte that may be taken from memory; a larger array lies in a file.
        folder: Where that file is made (None: the system's folder for temporary files).
    """

    def __init__(self, cut: Cut, memory: float, folder: str | None = None) -> None:
        """Take the room for all frames."""
        self.cut = cut
        stream = cut.stream
        self._frames = stream.frames or 0
        shape = (self._frames, *stream.frame_shape)
        self.on_disk = cut.bytes > memory
        self._file = tempfile.TemporaryFile(dir=folder, prefix="firstlight-") if self.on_disk else None
        self._data: Array = (
            np.memmap(self._file, dtype=stream.dtype, mode="w+", shape=shape)
            if self._file is not None
            else np.empty(shape, stream.dtype)
        )
        self._ids = np.zeros(self._frames, np.int64)
        self._epochs = np.zeros(self._frames, np.int64)
        self._coords: dict[str, Array] = {}
        self._gaps: list[Gap] = []
        self._used = 0
        self._lock = threading.Lock()
        self.received = 0.0

    def place(self, chunk: Chunk) -> int:
        """Copy the frames of a chunk in; returns how many there was room for."""
        with self._lock:
            start = self._used
            count = min(len(chunk), self._frames - start)
            self._used += count
            self.received = max(self.received, chunk.received)
            for name, values in chunk.coords.items():
                if name not in self._coords:
                    tail = np.asarray(values).shape[1:]
                    self._coords[name] = np.full((self._frames, *tail), np.nan)
        room = slice(start, start + count)
        self._data[room] = chunk.data[:count]
        self._ids[room] = chunk.ids[:count]
        self._epochs[room] = chunk.epoch
        for name, values in chunk.coords.items():
            self._coords[name][room] = values[:count]
        return count

    def miss(self, gap: Gap) -> None:
        """Note frames that will not come."""
        with self._lock:
            self._gaps.append(gap)

    def blocks(self) -> Iterator[Chunk | Gap]:
        """The gathered data in blocks along the free axis (call once all is in); a gap if nothing at all came."""
        cut = self.cut
        if cut.same_frames:
            yield from self._gaps
        elif not self._used:
            length = 1 if cut.along is None else cut.stream.size(cut.along)
            yield Gap(0, 0, length - 1, f"nothing came to '{'.'.join(cut.port)}'")
            return
        order = np.lexsort((self._ids[: self._used], self._epochs[: self._used]))
        if cut.along is not None and cut.along in cut.stream.arrival_axes:
            yield from self._blocks_of_positions(order)
            return
        coords = {name: values[order] for name, values in self._coords.items()}
        length = 1 if cut.along is None else cut.stream.size(cut.along)
        step = block_length(cut)
        for start in range(0, length, step):
            yield self._block(order, coords, slice(start, min(start + step, length)))

    def _block(self, order: Array, coords: dict[str, Array], part: slice) -> Chunk:
        """Positions `part` of the free axis in front, then the whole arrival, then the other frame axes."""
        cut = self.cut
        axes = cut.after.frame_axes
        if cut.along is None:
            data = self._grid(order)[np.newaxis]
            return Chunk(
                data, cut.stream.axes, np.zeros(1, np.int64), coords=self._spread(coords, 1), received=self.received
            )
        axis = 1 + cut.stream.frame_axes.index(cut.along)
        source = np.moveaxis(self._data, axis, 0)[part]
        shape = (source.shape[0], len(order), *source.shape[2:])
        data = np.empty(shape, self._data.dtype)
        for place, slot in enumerate(order):
            data[:, place] = source[:, slot]
        ids = np.arange(part.start, part.stop, dtype=np.int64)
        if len(cut.stream.arrival_axes) > 1:
            data = data.reshape(len(ids), *(cut.stream.size(label) for label in cut.stream.arrival_axes), *shape[2:])
        return Chunk(
            data, axes, ids, coords=self._spread(coords, len(ids)) | {str(cut.along): ids}, received=self.received
        )

    def _spread(self, coords: dict[str, Array], count: int) -> dict[str, Array]:
        """Coordinates along the gathered axis, one (shared) row per block position."""
        return {name: np.broadcast_to(values, (count, *values.shape)) for name, values in coords.items()}

    def _grid(self, order: Array) -> Array:
        """Everything at its place; several arrival axes as a grid, with zero where nothing came."""
        stream = self.cut.stream
        if len(stream.arrival_axes) == 1:
            return self._data[order]
        full = np.zeros((self._frames, *stream.frame_shape), stream.dtype)
        places = self._ids[order] - stream.first
        inside = (places >= 0) & (places < self._frames)
        full[places[inside]] = self._data[order[inside]]
        return full.reshape(*(stream.size(label) for label in stream.arrival_axes), *stream.frame_shape)

    def _blocks_of_positions(self, order: Array) -> Iterator[Chunk]:
        """Blocks along an arrival axis: the same frames again (one arrival axis), or lines of a grid (several)."""
        stream, along = self.cut.stream, self.cut.along
        step = block_length(self.cut)
        if self.cut.same_frames:
            for start in range(0, len(order), step):
                slots = order[start : start + step]
                for epoch in np.unique(self._epochs[slots]):
                    mine = slots[self._epochs[slots] == epoch]
                    coords = {name: values[mine] for name, values in self._coords.items()}
                    yield Chunk(
                        self._data[mine],
                        stream.frame_axes,
                        self._ids[mine],
                        int(epoch),
                        coords=coords,
                        received=self.received,
                    )
            return
        grid = np.moveaxis(self._grid(order), stream.axes.index(str(along)), 0)
        for start in range(0, len(grid), step):
            part = np.ascontiguousarray(grid[start : start + step])
            ids = np.arange(start, start + len(part), dtype=np.int64)
            yield Chunk(part, self.cut.after.frame_axes, ids, coords={str(along): ids}, received=self.received)

    def close(self) -> None:
        """Give the memory, or the file, back."""
        self._data = np.empty(0, self._data.dtype)
        if self._file is not None:
            self._file.close()
