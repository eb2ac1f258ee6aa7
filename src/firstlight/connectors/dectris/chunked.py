"""Frames as chunks of an HDF5 dataset: written as they came, without being decoded, at the places of their numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import Gap, Scan
from firstlight.kernels.decompress import BrokenStream
from firstlight.kernels.stored_chunk import bslz4_chunk, lz4_chunk

from ..hdf5.nexus import data_group, describe_data, end_entry
from ..recorded.place import missing_ranges
from .wire import BadMessage, Frame, Payload, decode_into

_TIMES = ("start_time", "stop_time", "real_time")
"""Of the exposure, in nanosecond since the series was armed; -1 where the detector does not tell."""
_FIRST_ROOM = 1024
"""Frames that a dataset of unknown length begins with."""


class ChunkedFrames:
    """The dataset, the mask of what is there, and the times; used by one thread.

    Args:
        entry: Group of the file.
        detector: Where the times go.
        scan: What the frames look like.
    """

    def __init__(self, entry: Any, detector: Any, scan: Scan) -> None:
        """Nothing is made before the first frame, which tells how frames are compressed."""
        self._entry, self._detector, self._scan = entry, detector, scan
        self.stream = scan.main
        self.group = data_group(entry, 0)
        lengths = [self.stream.sizes.get(label) for label in self.stream.arrival_axes]
        self.growing = lengths[0] is None
        self._inner = math.prod(size or 1 for size in lengths[1:])
        self.scanned: tuple[int, ...] = (0 if self.growing else lengths[0] or 0, *(size or 1 for size in lengths[1:]))
        """Lengths of the scan axes, as far as they are known."""
        self.data: Any = None
        self.covered: Any = None
        self.count = 0
        self._last = -1
        self._direct: tuple[str, int, str] | None = None
        """Encoding, size of the shuffled items and type of the frames that go in as they come."""
        room = math.prod(self.scanned) or _FIRST_ROOM
        self._usual: tuple[tuple[int, ...], str, int] | None = None
        """What the frames that fit look like."""
        self._mask = np.zeros(room, np.uint8)
        self._times: dict[str, Array] = {"received": np.full(room, np.nan)}
        self._times |= {name: np.full(room, -1, np.int64) for name in _TIMES}

    def put(self, place: int, frame: Frame, at: float) -> None:
        """Write one frame.

        Raises:
            BadMessage: It does not look like the others, or is cut off.
        """
        first = frame.planes[0]
        look = (first.shape, first.dtype, len(frame.planes))
        if look != self._usual:
            if frame.shape != self.stream.frame_shape or frame.dtype != self.stream.dtype:
                wanted = f"{self.stream.dtype} {self.stream.frame_shape}"
                raise BadMessage(f"it is {frame.dtype} {frame.shape}, not {wanted}")
            self._usual = look
        chunks = [self._chunk(plane) for plane in frame.planes]
        self._make(first)
        self._grow(place)
        where = _indices(place, self.scanned)
        for at_plane, (plane, chunk) in enumerate(zip(frame.planes, chunks, strict=True)):
            inner = (at_plane,) if len(frame.planes) > 1 else ()
            offset = (*where, *inner, 0, 0)
            if chunk is not None and self._direct == (plane.codec, plane.shuffled, plane.dtype):
                self.data.id.write_direct_chunk(offset, chunk)
            else:
                self.data[offset[:-2]] = _decoded(plane)
        self._mask[place] = 1
        self._last = max(self._last, place)
        self.count += 1
        self._times["received"][place] = at
        for name, value in zip(_TIMES, frame.exposure, strict=True):
            self._times[name][place] = -1 if value is None else min(value, 2**62)

    def _chunk(self, plane: Payload) -> Any:
        """What is stored for a plane; None if it must be decoded first.

        Raises:
            BadMessage: It is broken.
        """
        if plane.columns_first:
            return None
        try:
            if plane.codec == "bslz4":
                return bslz4_chunk(plane.data, plane.nbytes, plane.shuffled)
            if plane.codec == "lz4":
                return lz4_chunk(plane.data, plane.nbytes)
        except BrokenStream as error:
            raise BadMessage(f"it can not be decoded: {error}") from error
        if len(plane.data) != plane.nbytes:
            raise BadMessage(f"{len(plane.data)} of {plane.nbytes} byte came")
        return plane.data

    def _make(self, first: Payload) -> None:
        if self.data is not None:
            return
        dtype = np.dtype(first.dtype)
        if not first.columns_first and (first.codec != "bslz4" or first.shuffled == dtype.itemsize):
            self._direct = (first.codec, first.shuffled, first.dtype)
        if self.growing:
            self.scanned = (-(-_FIRST_ROOM // self._inner), *self.scanned[1:])
        frame = self.stream.frame_shape
        stored = (*(1 for _ in self.scanned), *(1 for _ in frame[:-2]), *frame[-2:])
        limits = (None, *self.scanned[1:], *frame) if self.growing else None
        self.data = self.group.create_dataset(
            "data", (*self.scanned, *frame), dtype, chunks=stored, maxshape=limits, **_filter(first.codec)
        )
        kept = {"chunks": self.scanned, "maxshape": (None, *self.scanned[1:])} if self.growing else {}
        self.covered = self.group.create_dataset("covered", self.scanned, np.uint8, **kept)
        for name, values in self._times.items():
            limit: dict[str, Any] = {"chunks": (_FIRST_ROOM,), "maxshape": (None,)} if self.growing else {}
            made = self._detector.create_dataset(name, data=values[: math.prod(self.scanned)], **limit)
            made.attrs["units"] = "s" if name == "received" else "ns"
        self._detector["received"].attrs["description"] = "Unix time at which the frame came"
        if not self.growing:
            describe_data(cast("Any", self), self._scan)

    def _grow(self, place: int) -> None:
        """Make room for a place, twice as much as there was."""
        lines = -(-(place + 1) // self._inner)
        if lines <= self.scanned[0]:
            return
        self._resize(max(lines, 2 * self.scanned[0]))

    def _resize(self, lines: int) -> None:
        self.scanned = (lines, *self.scanned[1:])
        room = math.prod(self.scanned)
        self.data.resize(lines, axis=0)
        self.covered.resize(lines, axis=0)
        self._mask = _longer(self._mask, room, 0)
        for name, values in self._times.items():
            self._times[name] = _longer(values, room, np.nan if values.dtype.kind == "f" else -1)
            self._detector[name].resize((room,))

    def room(self) -> int:
        """Bytes that mask and times may take beyond the frames."""
        return 2 * 40 * max(len(self._mask), _FIRST_ROOM)

    def flush(self) -> None:
        """Write mask and times as they are now."""
        if self.data is None:
            return
        count = math.prod(self.scanned)
        self.data.flush()
        self.covered[...] = self._mask[:count].reshape(self.scanned)
        for name, values in self._times.items():
            self._detector[name][...] = values[:count]

    def end(self, record: Mapping[str, Any], refused: Sequence[Gap], *, complete: bool) -> None:
        """Write what is missing, and cut off what was never reached."""
        if self.data is not None and self.growing:
            self._resize(-(-(self._last + 1) // self._inner))
            describe_data(cast("Any", self), self._scan)
        self.flush()
        targets = {} if self.data is None else {0: cast("Any", self)}
        end_entry(self._entry, targets, refused, record, complete=complete)

    def missing(self) -> Ids:
        """First and last id of each stretch that is not there; shape (range, 2)."""
        return missing_ranges(self._mask[: math.prod(self.scanned)])

    def frame_ids(self) -> None:
        """None: frames lie where their numbers say."""


def _filter(codec: str) -> dict[str, Any]:
    if not codec:
        return {}
    import hdf5plugin

    return dict(hdf5plugin.LZ4(nbytes=0) if codec == "lz4" else hdf5plugin.Bitshuffle(nelems=0, cname="lz4"))


def _decoded(plane: Payload) -> Array:
    out = np.empty(plane.shape, np.dtype(plane.dtype).newbyteorder("="))
    decode_into(plane, out)
    return out


def _indices(place: int, lengths: tuple[int, ...]) -> tuple[int, ...]:
    """Index along each axis, the last one fastest; `numpy.unravel_index` takes ten times as long for one place."""
    found: tuple[int, ...] = ()
    for length in reversed(lengths[1:]):
        place, at = divmod(place, length)
        found = (at, *found)
    return (place, *found)


def _longer(values: Array, count: int, fill: float) -> Array:
    if count <= len(values):
        return values[:count]
    return np.concatenate([values, np.full(count - len(values), fill, values.dtype)])
