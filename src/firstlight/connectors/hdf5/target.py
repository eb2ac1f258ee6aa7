"""One array in a file, filled frame by frame at the places that the ids name, with a mask of what is there."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import Chunk, Stream
from firstlight.core.errors import SinkError

from ..recorded.behind import LARGE, WriteBehind
from ..recorded.place import boxes, missing_ranges, runs, volume
from .create import Compression, filters, settled
from .handles import Dataset, Group

_STORED = 2**20
"""Aim for storage chunks of this size in byte, where frames are smaller."""
_PACKED = 2**10
"""Frames smaller than this many byte are stored as they are."""
_STORED_MASK = 2**14
"""Likewise for the mask of what is there."""


@dataclass(frozen=True, slots=True)
class Storage:
    """How an array is laid out in the file."""

    compression: Compression = "none"
    chunks: tuple[int, ...] | None = None
    swmr: bool = False


class Target:
    """The array of one epoch; used by one writer thread.

    Args:
        group: Where ``data``, ``covered`` and the axes go.
        stream: What the frames look like.
        first: The first chunk: gives the type, and the lengths that the stream leaves open. None: all are known.
        storage: Layout in the file.
        name: Name of the array.
        mask: Name of the mask of what is there.
    """

    def __init__(
        self,
        group: Group,
        stream: Stream,
        first: Chunk | None,
        storage: Storage,
        *,
        name: str = "data",
        mask: str = "covered",
    ) -> None:
        """Create the datasets."""
        self.stream = stream
        self.group = group
        self._names = (name, mask)
        seen = {} if first is None else dict(zip(first.axes, first.data.shape[1:], strict=True))
        self.frame_axes = stream.frame_axes if stream.arrival else stream.axes
        self.frame_shape = tuple(_length(stream, label, seen) for label in self.frame_axes)
        lengths = [stream.sizes.get(label) for label in stream.arrival_axes]
        self.growing = bool(lengths) and lengths[0] is None
        self.scanned = tuple(
            _length(stream, label, {}) if n else (lengths[0] or 0) for n, label in enumerate(stream.arrival_axes)
        )
        dtype = np.dtype(stream.dtype) if first is None else first.data.dtype.newbyteorder("=")
        self.data = self._create(name, self.scanned + self.frame_shape, dtype, storage, frames=True)
        masked = self.scanned or self.frame_shape[:1]
        self.covered = self._create(mask, masked, np.dtype(np.uint8), Storage(swmr=storage.swmr))
        self.settled = not self.growing and storage.compression == "none"
        """True if all of its room in the file was taken when it was made."""
        self._behind = WriteBehind()
        self._filled = np.zeros(prod(self.scanned), np.int64)
        self._seen: dict[tuple[tuple[int, int], ...], Array] = {}
        self._rows: dict[int, int] | None = {} if stream.arrival_axes == ("frame",) else None

    def _create(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], storage: Storage, *, frames: bool = False
    ) -> Dataset:
        frame_bytes = prod(shape[len(self.scanned) :]) * dtype.itemsize
        packed = filters(storage.compression) if shape and (not self.scanned or frame_bytes >= _PACKED) else {}
        limits = (None, *shape[1:]) if self.growing else None
        chunks = storage.chunks if frames and storage.chunks else None
        if chunks is not None and len(chunks) != len(shape):
            raise SinkError(
                "The storage chunks do not fit the data.",
                field="chunks",
                value=chunks,
                expected=f"{len(shape)} numbers, one per axis {' '.join(self.stream.axes)}",
            )
        if name in self.group:
            return self._found(name, shape, dtype)
        if chunks is None and shape and (packed or limits or storage.swmr):
            # a packed chunk that is written twice moves, and HDF5 cuts the file before it says so: one frame in each
            aim = 1 if packed else _STORED if frames else _STORED_MASK
            chunks = _stored_chunk(shape, dtype, len(self.scanned) if frames else len(shape), aim)
        dcpl = None if packed or limits or not shape or 0 in shape else settled()
        return self.group.create_dataset(name, shape, dtype, chunks=chunks, maxshape=limits, dcpl=dcpl, **packed)

    def _found(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Dataset:
        """An array that an interrupted run made.

        Raises:
            SinkError: It is another one.
        """
        found = self.group[name]
        if (found.shape, found.dtype) != (shape, dtype):
            raise SinkError(
                f"The array '{found.name}' in {found.file.filename} is not what this run writes.",
                field="shape",
                value=f"{found.dtype} {found.shape}",
                expected=f"{dtype} {shape}",
                next_move="Run the job without --resume.",
            )
        return found

    def restore(self, done: Ids) -> None:
        """Take over the frames that an interrupted run had finished; all others count as missing."""
        places = done - self.stream.first if self.stream.arrival else done
        mask = np.zeros(self.covered.shape, np.uint8)
        if self.stream.arrival:
            mask.reshape(-1)[places] = 1
            self._filled[places] = prod(self.frame_shape)
        self.covered[...] = mask

    def room(self, chunk: Chunk) -> int:
        """Bytes by which the file may grow when a chunk is written."""
        if self.settled:
            return 0
        stored = prod(self.data.chunks or ()) * self.data.dtype.itemsize
        return chunk.nbytes + chunk.nbytes // 16 + 2 * stored + 2 * _STORED_MASK

    @property
    def frames(self) -> int:
        """Positions along the flattened arrival."""
        return prod(self.scanned)

    def write(self, chunk: Chunk) -> None:
        """Write the frames of one chunk, which fits (`check`), to their places, and note that they are there."""
        cuts, bounds = self._cuts(chunk)
        if not self.stream.arrival:
            self.data[cuts] = chunk.data[-1]
            self._secure()
            self._cover_block(bounds)
            return
        places = self._places(chunk.ids)
        self._grow(int(places.max()) + 1)
        order = None if len(places) == 1 or bool((np.diff(places) > 0).all()) else np.argsort(places, kind="stable")
        rising, data = (places, chunk.data) if order is None else (places[order], chunk.data[order])
        for start, stop in runs(rising):
            self._write_run(int(rising[start]), data[start:stop], cuts)
        self._secure()
        self._cover(rising, bounds)
        if chunk.data.shape[1:] == self.frame_shape:
            self._leave(rising)

    def _secure(self) -> None:
        """Hand the frames over before they are marked: a writer that is killed now must not have marked what is not there.

        An array that takes new room moves the end of the file, which HDF5 writes last of all: without it, what lies
        beyond counts as no part of the file. Readers in SWMR mode look beyond it.
        """
        (self.data if self.settled or self.data.file.swmr_mode else self.data.file).flush()

    def _leave(self, rising: Ids) -> None:
        """Let whole frames that lie one after the other go to the disk, and out of memory."""
        size, first = prod(self.frame_shape) * self.data.dtype.itemsize, int(rising[0])
        begin = self.data.id.get_offset() if size * len(rising) >= LARGE else None
        if begin is not None and int(rising[-1]) - first < len(rising):  # in one piece, not in storage chunks
            self._behind.wrote(self.data.file.id.get_vfd_handle(), begin + first * size, len(rising) * size)

    def _write_run(self, place: int, data: Array, cuts: tuple[slice, ...]) -> None:
        done = 0
        for box in boxes(place, place + len(data), self.scanned):
            count = volume(box)
            lengths = tuple(part.stop - part.start for part in box)
            self.data[(*box, *cuts)] = data[done : done + count].reshape(lengths + data.shape[1:])
            done += count

    def _places(self, ids: Ids) -> Ids:
        """Positions along the flattened arrival. Dark and flat frames are stored in the order in which they come."""
        if self._rows is None:
            return ids - self.stream.first
        rows = self._rows
        return np.array([rows.setdefault(frame, len(rows)) for frame in ids.tolist()], dtype=np.int64)

    def _cuts(self, chunk: Chunk) -> tuple[tuple[slice, ...], tuple[tuple[int, int], ...]]:
        """What part of the frames a chunk has, as slices and as first and last positions."""
        cuts = tuple(chunk.where.get(label, slice(None)) for label in self.frame_axes)
        return cuts, tuple(cut.indices(size)[:2] for cut, size in zip(cuts, self.frame_shape, strict=True))

    def check(self, chunk: Chunk) -> None:
        """Refuse frames that have no place here.

        Raises:
            SinkError: An id lies outside the scan, or the frames do not have the shape of the others.
        """
        _, bounds = self._cuts(chunk)
        expected = tuple(stop - start for start, stop in bounds)
        if chunk.data.shape[1:] != expected:
            raise SinkError(
                "A frame does not have the shape of the others.",
                field="shape",
                value=chunk.data.shape[1:],
                expected=str(expected),
            )
        if not self.stream.arrival or self._rows is not None or not len(chunk):
            return
        low, high = int(chunk.ids.min()), int(chunk.ids.max())
        top = None if self.growing else self.stream.first + self.frames - 1
        if low < self.stream.first or (top is not None and high > top):
            text = f"ids from {self.stream.first}" + ("" if top is None else f" to {top}")
            raise SinkError("A frame lies outside the scan.", field="ids", value=[low, high], expected=text)

    def lines(self, chunk: Chunk) -> int:
        """Length of the first axis once a chunk is written."""
        return max(self.scanned[0], -(-(int(self._places(chunk.ids).max()) + 1) // prod(self.scanned[1:])))

    def _grow(self, count: int) -> None:
        inner = prod(self.scanned[1:])
        lines = -(-count // inner)
        if lines <= self.scanned[0]:
            return
        if not self.growing:
            raise SinkError(
                "There are more frames than announced.", field="frames", value=count, expected=f"at most {self.frames}"
            )
        self.scanned = (lines, *self.scanned[1:])
        self.data.resize(lines, axis=0)
        self.covered.resize(lines, axis=0)
        self._filled = np.concatenate([self._filled, np.zeros(lines * inner - len(self._filled), np.int64)])

    def shrink(self) -> None:
        """After a failed write: give back room that holds no frame, so that the file can be closed whole."""
        if not self.growing:
            return
        inner = prod(self.scanned[1:])
        used = np.flatnonzero(self._filled)
        lines = -(-int(used[-1] + 1) // inner) if len(used) else 0
        self.scanned = (lines, *self.scanned[1:])
        self.data.resize(lines, axis=0)
        self.covered.resize(lines, axis=0)
        self._filled = self._filled[: lines * inner]

    def _cover(self, places: Ids, bounds: tuple[tuple[int, int], ...]) -> None:
        """Count what has come of each frame: a block of a frame that comes twice counts once."""
        seen = self._seen.get(bounds)
        if seen is None or len(seen) < len(self._filled):
            grown = np.zeros(max(len(self._filled), 0 if seen is None else 2 * len(seen)), bool)
            if seen is not None:
                grown[: len(seen)] = seen
            seen = self._seen[bounds] = grown
        fresh = np.unique(places[~seen[places]])
        self._filled[fresh] += prod(stop - start for start, stop in bounds)
        seen[places] = True
        whole = fresh[self._filled[fresh] >= prod(self.frame_shape)]
        for start, stop in runs(whole):
            for box in boxes(int(whole[start]), int(whole[stop - 1]) + 1, self.scanned):
                self.covered[box] = 1

    def _cover_block(self, bounds: tuple[tuple[int, int], ...]) -> None:
        """Of one array that comes in blocks: which positions along its first axis are whole."""
        self._seen[bounds] = np.ones(1, bool)
        if not bounds:
            self.covered[()] = 1
            return
        filled = np.zeros(self.frame_shape[0], np.int64)
        for (start, stop), *rest in self._seen:
            filled[start:stop] += prod(last - first for first, last in rest)
        self.covered[...] = filled >= prod(self.frame_shape[1:])

    def frame_ids(self) -> Ids | None:
        """Ids of dark or flat frames in the order in which they are stored; None for frames that lie where their id says."""
        return None if self._rows is None else np.array(list(self._rows), dtype=np.int64)

    def missing(self) -> Ids:
        """First and last id of each stretch that is not whole; shape (range, 2)."""
        return missing_ranges(self.covered[()]) + (self.stream.first if self.stream.arrival else 0)

    def reopen(self, group: Group) -> None:
        """Go on with the same datasets after the file was opened anew."""
        self.group, self.data, self.covered = group, group[self._names[0]], group[self._names[1]]

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        self.data.flush()
        self.covered.flush()


def whole_bytes(stream: Stream) -> int:
    """Room that an array of known lengths takes, with its mask, in byte."""
    places = prod(stream.size(label) for label in (stream.arrival_axes or stream.axes[:1]))
    return prod(stream.size(label) for label in stream.axes) * np.dtype(stream.dtype).itemsize + places


def _stored_chunk(shape: tuple[int, ...], dtype: np.dtype[Any], scanned: int, aim: int) -> tuple[int, ...]:
    """Shape of a storage chunk: whole frames, several where they are small."""
    free = max(scanned, 1)
    frame = shape[free:]
    room = max(1, aim // max(1, prod(frame) * dtype.itemsize))
    chunk: list[int] = []
    for size in reversed(shape[:free]):
        chunk.insert(0, max(1, min(room, size or room)))
        room //= chunk[0]
    return (*chunk, *(max(1, size) for size in frame))


def _length(stream: Stream, label: str, seen: dict[str, int]) -> int:
    known = stream.sizes.get(label) or seen.get(label)
    if not known:
        raise SinkError(
            f"The length of the axis '{label}' is not known, and only the first one may grow.",
            field="axes",
            value=" ".join(stream.axes),
            expected=f"a known length of '{label}'",
            next_move="Give it in the source.",
        )
    return known
