"""An array in one piece in a file, filled frame by frame at the places that the ids name, with a mask of what is there."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import Chunk, Stream
from firstlight.core.errors import SinkError

from .disk import disk_errors, reserve
from .place import missing_ranges

MASK = ".covered"
"""Ending of the file, beside an unfinished one, with one byte for each position: 1 where it is whole."""


class MappedArray:
    """The array; used by one writer thread.

    Args:
        path: The file; it exists.
        offset: Where the array begins in it.
        stream: What is written; every length is known.
        fresh: False to go on in an array that is there.
    """

    def __init__(self, path: Path, offset: int, stream: Stream, *, fresh: bool = True) -> None:
        """Take the room on the disk and map the array."""
        self.path, self.stream = path, stream
        self.shape = tuple(stream.size(label) for label in stream.axes)
        self.positions = prod(self.shape[: stream.arrival]) if stream.arrival else prod(self.shape[:1])
        self.frame = self.shape[stream.arrival :] if stream.arrival else self.shape[1:]
        dtype = np.dtype(stream.dtype)
        mask = path.with_name(path.name + MASK)
        if fresh or not mask.is_file() or mask.stat().st_size != self.positions:
            with disk_errors(mask, "note what is there", self.positions):
                mask.write_bytes(bytes(self.positions))
        if fresh:
            reserve(path, offset + prod(self.shape) * dtype.itemsize)
        self.data = np.memmap(path, dtype, "r+", offset, (self.positions, *self.frame))
        self.covered = np.memmap(mask, np.uint8, "r+", 0, (self.positions,))
        self._filled = np.zeros(self.positions, np.int64)
        self._seen: set[tuple[int, tuple[tuple[int, int], ...]]] = set()

    def write(self, chunk: Chunk) -> None:
        """Put frames at their places. A position counts as there once all of its parts came.

        Raises:
            SinkError: An id lies outside, or the frames do not have the shape of the others.
        """
        stream = self.stream
        labels = stream.frame_axes if stream.arrival else stream.axes
        cuts = tuple(chunk.where.get(label, slice(None)) for label in labels)
        if not stream.arrival:
            self.data.reshape(self.shape)[cuts] = chunk.data[-1]
            rows = range(*cuts[0].indices(self.positions)) if cuts else range(1)
            self._cover(np.array(rows, np.int64), cuts[1:])
        else:
            places = places_of(chunk.ids, stream, self.positions)
            check_shape(chunk, cuts, self.frame)
            self.data[(places, *cuts)] = chunk.data
            self._cover(places, cuts)
        self.data.flush()
        self.covered.flush()

    def _cover(self, places: Ids, cuts: tuple[slice, ...]) -> None:
        """Count what has come: a part that comes twice counts once; a mark is set after the frames."""
        bounds = tuple(cut.indices(size)[:2] for cut, size in zip(cuts, self.frame, strict=True))
        size = prod(stop - start for start, stop in bounds)
        if size == prod(self.frame):
            self.covered[places] = 1
            return
        for place in places.tolist():
            if (place, bounds) not in self._seen:
                self._seen.add((place, bounds))
                self._filled[place] += size
                if self._filled[place] >= prod(self.frame):
                    self.covered[place] = 1

    def trust(self, ids: Ids) -> None:
        """Of an array that is there: only these positions are."""
        self.covered[:] = 0
        self.covered[ids - self.stream.first] = 1

    def missing(self) -> Ids:
        """First and last id of each stretch that is not whole; shape (range, 2)."""
        return missing_ranges(self.covered) + (self.stream.first if self.stream.arrival else 0)

    def close(self) -> None:
        """Write everything out; the mask stays only where something is missing."""
        whole = bool(self.covered.all())
        with disk_errors(self.path, "write the last frames"):
            self.data.flush()
            self.covered.flush()
        mask = self.path.with_name(self.path.name + MASK)
        del self.data, self.covered
        if whole:
            mask.unlink(missing_ok=True)


def hide(path: Path) -> None:
    """Mark nothing of a file as there, before it is made or replaced: whoever finds it half made takes no zeros for frames."""
    path.with_name(path.name + MASK).write_bytes(b"")


def read_mask(path: Path, positions: int) -> Array:
    """(position,) which are there, of a file that may be unfinished: none beyond the end of the mask."""
    mask = path.with_name(path.name + MASK)
    if not mask.is_file():
        return np.ones(positions, bool)
    found = np.fromfile(mask, np.uint8, positions).astype(bool)
    return np.concatenate([found, np.zeros(positions - len(found), bool)])


def places_of(ids: Ids, stream: Stream, positions: int | None) -> Ids:
    """Positions along the flattened arrival.

    Raises:
        SinkError: An id lies outside the scan.
    """
    places = ids - stream.first
    if len(places) and (places.min() < 0 or (positions is not None and places.max() >= positions)):
        top = "" if positions is None else f" to {stream.first + positions - 1}"
        raise SinkError(
            "A frame lies outside the scan.",
            field="ids",
            value=[int(ids.min()), int(ids.max())],
            expected=f"ids from {stream.first}{top}",
        )
    return places


def check_shape(chunk: Chunk, cuts: tuple[slice, ...], frame: tuple[int, ...]) -> None:
    """Refuse frames that do not have the shape of the others.

    Raises:
        SinkError: They have another.
    """
    expected = tuple(len(range(*cut.indices(size))) for cut, size in zip(cuts, frame, strict=True))
    if chunk.data.shape[1:] != expected:
        raise SinkError(
            "A frame does not have the shape of the others.",
            field="shape",
            value=chunk.data.shape[1:],
            expected=str(expected),
        )


def check_known(stream: Stream, what: str) -> None:
    """Refuse a stream whose end is not known, for a format that must know it.

    Raises:
        SinkError: A length is open.
    """
    unknown = [label for label in stream.axes if not stream.sizes.get(label)]
    if unknown:
        raise SinkError(
            f"{what} must know all lengths beforehand.",
            field="axes",
            value=" ".join(unknown),
            expected="an output of known lengths",
            next_move="Use the sink hdf5, or a folder of TIFF files.",
        )


def check_epoch(chunk: Chunk, stream: str) -> None:
    """Refuse frames that such a file has no place for.

    Raises:
        SinkError: They came after a restart of the detector, or belong to another stream.
    """
    if chunk.epoch or chunk.stream != stream:
        raise SinkError(
            "There is no place for these frames.",
            field="epoch" if chunk.epoch else "stream",
            value=chunk.epoch or chunk.stream,
            expected="one run of the detector",
            next_move="Use the sink hdf5.",
        )


def merged_angles(angles: Array | None, chunk: Chunk, places: Ids) -> None:
    """Note the angles of frames."""
    if angles is not None and "angle" in chunk.coords:
        values: Any = chunk.coords["angle"]
        inside = places < len(angles)
        angles[places[inside]] = np.asarray(values, np.float64)[inside]
