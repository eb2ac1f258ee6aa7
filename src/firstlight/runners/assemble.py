"""Assembling: the frames of a per-frame step at their places, with a mask of what has come."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk, Scan, Stream
from firstlight.core.held import Place
from firstlight.core.run import Result
from firstlight.core.view import Shown

from .positions import expanded


class Assembled:
    """An array that fills as chunks come; grows along the arrival where its length is not known."""

    def __init__(self, stream: Stream) -> None:
        """Start with nothing covered."""
        self._stream = stream
        known = stream.frames
        self._shape = stream.frame_shape
        length = 1 if stream.arrival == 0 else known or 0
        self._data: Array = np.zeros((length, *self._shape), stream.dtype)
        self._covered = np.zeros(length, bool)
        self._offsets: dict[int, int] = {0: -stream.first}
        self._lock = threading.Lock()
        self.version = 0
        self.newest = (0, 0)
        self.received = 0.0

    def place(self, chunk: Chunk) -> None:
        """Copy the frames of a chunk to their places; a new epoch goes behind the one before."""
        if not len(chunk):
            return
        chunk = expanded(chunk, self._stream)
        with self._lock:
            if chunk.epoch not in self._offsets:
                self._offsets[chunk.epoch] = int(self._covered.nonzero()[0].max(initial=-1)) + 1 - int(chunk.ids.min())
            places = chunk.ids + self._offsets[chunk.epoch] if self._stream.arrival else np.zeros(len(chunk), np.int64)
            self._grow(int(places.max()) + 1)
            inside = places >= 0
            data = chunk.data if inside.all() else chunk.data[inside]
            places = places[inside]
            self._data[places] = data
            self._covered[places] = True
            self.version += 1
            self.newest = max(self.newest, (chunk.epoch, int(chunk.ids.max())))
            self.received = max(self.received, chunk.received)

    def _grow(self, length: int) -> None:
        have = len(self._covered)
        if length <= have:
            return
        room = max(length, 2 * have) if self._stream.frames is None else length
        data = np.zeros((room, *self._shape), self._data.dtype)
        data[:have] = self._data
        self._data = data
        self._covered = np.concatenate([self._covered, np.zeros(room - have, bool)])

    def result(self) -> Result:
        """A copy of what has come, in the axes of the stream."""
        stream = self._stream
        with self._lock:
            end = (
                len(self._covered) if stream.frames is not None else int(self._covered.nonzero()[0].max(initial=-1)) + 1
            )
            data, covered = self._data[:end].copy(), self._covered[:end].copy()
        if stream.arrival == 0:
            return Result(data[0], stream.axes, stream.unit, None, stream.marks)
        if stream.arrival > 1 and stream.frames == end:
            lead = tuple(stream.size(label) for label in stream.arrival_axes)
            data, covered = data.reshape(*lead, *self._shape), covered.reshape(lead)
        return Result(data, stream.axes, stream.unit, None if covered.all() else covered, stream.marks)

    @property
    def coverage(self) -> float:
        """Share of the positions that have come, 0…1."""
        with self._lock:
            return float(self._covered.mean()) if len(self._covered) else 0.0


def shown_whole(chunks: Iterable[Chunk], scan: Scan, newest: Place) -> Shown:
    """All chunks at their places, as whoever looks sees them.

    Args:
        chunks: of one output.
        scan: what the output looks like.
        newest: epoch and id of the newest frame.
    """
    assembled = Assembled(scan.main)
    for chunk in chunks:
        assembled.place(chunk)
    data, coverage = assembled.result().data, assembled.coverage
    return Shown(data, scan.main, 0, *newest, coverage=coverage, calibration=scan.calibration)
