"""Sink that collects a result in memory."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pydantic import PrivateAttr

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import Chunk, Gap, Scan, Stream
from firstlight.core.errors import SinkError
from firstlight.core.run import Result
from firstlight.core.sink import Sink


class MemorySink(Sink):
    """Collects one output as an array, each frame at the place that its id names."""

    use: ClassVar[str] = "memory"

    _stream: Stream | None = PrivateAttr(None)
    _epochs: dict[int, Collected] = PrivateAttr(default_factory=lambda: {})
    _gaps: list[Gap] = PrivateAttr(default_factory=lambda: [])
    _records: list[dict[str, Any]] = PrivateAttr(default_factory=lambda: [])
    _complete: bool = PrivateAttr(False)

    def open(self, scan: Scan, record: dict[str, Any]) -> None:
        """Start anew."""
        self._stream, self._complete = scan.main, False
        self._epochs.clear()
        self._gaps.clear()
        self._records[:] = [record]

    def write(self, chunk: Chunk) -> None:
        """Copy the frames to their places.

        Raises:
            SinkError: The sink is not open, or an id lies outside the scan.
        """
        if self._stream is None:
            raise SinkError("The sink is not open.", field="sink", value="memory", next_move="Call open() first.")
        epoch = self._epochs.get(chunk.epoch)
        if epoch is None:
            epoch = self._epochs[chunk.epoch] = Collected(self._stream, chunk)
        epoch.put(chunk)

    def miss(self, gap: Gap) -> None:
        """Note frames that will not come."""
        self._gaps.append(gap)

    def close(self, record: dict[str, Any], *, complete: bool) -> None:
        """Keep the final record."""
        self._records.append(record)
        self._complete = complete

    @property
    def record(self) -> dict[str, Any]:
        """The newest record."""
        return self._records[-1] if self._records else {}

    @property
    def complete(self) -> bool:
        """True if the run came to its end."""
        return self._complete

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The gaps that were reported."""
        return tuple(self._gaps)

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs that brought frames."""
        return tuple(sorted(self._epochs))

    def result(self, epoch: int | None = None) -> Result:
        """What was collected.

        Args:
            epoch: Which one; default: the newest.

        Raises:
            SinkError: Nothing came.
        """
        wanted = max(self._epochs, default=None) if epoch is None else epoch
        found = None if wanted is None else self._epochs.get(wanted)
        if found is None or self._stream is None:
            raise SinkError(
                "No frame came.",
                field="epoch",
                value=epoch,
                expected="one of " + (", ".join(map(str, self.epochs)) or "(none)"),
            )
        return found.result()


class Collected:
    """The array of one epoch, growing where its length is not known beforehand; used by one thread."""

    def __init__(self, stream: Stream, chunk: Chunk) -> None:
        """Take the shape from the stream, and from the first chunk what the stream leaves open."""
        self._stream = stream
        scanned = stream.arrival_axes or stream.axes[:1]
        frame = stream.frame_axes if stream.arrival else stream.axes
        seen = dict(zip(chunk.axes, chunk.data.shape[1:], strict=True))
        self._frame = tuple(stream.sizes.get(label) or seen[label] for label in frame)
        self._growing = stream.arrival > 0 and stream.frames is None
        self._shape = tuple(stream.sizes.get(label) for label in scanned)
        self._parts: dict[tuple[tuple[int, int], ...], Array] = {}
        count = 1 if not stream.arrival else (stream.frames or 0)
        self._data = np.zeros((count, *self._frame), chunk.data.dtype)
        self._filled = np.zeros(count, np.int64)
        self._length = count

    def put(self, chunk: Chunk) -> None:
        """Copy the frames of one chunk to their places."""
        if not len(chunk):
            return
        stream = self._stream
        places = chunk.ids - stream.first if stream.arrival else np.zeros(1, np.int64)
        data = chunk.data if stream.arrival else chunk.data[-1:]
        self._check(places)
        if stream.arrival:
            self._reach(int(places.max()) + 1)
        frame = stream.frame_axes if stream.arrival else stream.axes
        cuts = tuple(chunk.where.get(label, slice(None)) for label in frame)
        bounds = tuple(cut.indices(size)[:2] for cut, size in zip(cuts, self._frame, strict=True))
        self._data[(places, *cuts)] = data
        self._mark(places, bounds)

    def _check(self, places: Ids) -> None:
        top = None if self._growing else len(self._data)
        if places.min() < 0 or (top is not None and places.max() >= top):
            raise SinkError(
                "A frame lies outside the scan.",
                field="ids",
                value=[int(places.min()) + self._stream.first, int(places.max()) + self._stream.first],
                expected=f"ids from {self._stream.first}"
                + ("" if top is None else f" to {self._stream.first + top - 1}"),
            )

    def _reach(self, count: int) -> None:
        """Make room up to a position, in whole lines of the inner scan axes; doubling, so that growth costs one copy in all."""
        inner = int(np.prod([size or 1 for size in self._shape[1:]]))
        self._length = max(self._length, -(-count // inner) * inner)
        more = max(self._length, 2 * len(self._data)) - len(self._data)
        if self._length > len(self._data):
            self._data = np.concatenate([self._data, np.zeros((more, *self._frame), self._data.dtype)])
            self._filled = np.concatenate([self._filled, np.zeros(more, np.int64)])

    def _mark(self, places: Ids, bounds: tuple[tuple[int, int], ...]) -> None:
        """Count the elements of each frame that have come; the same block of the same frame counts once."""
        seen = self._parts.get(bounds)
        if seen is None or len(seen) < len(self._filled):
            grown = np.zeros(len(self._filled), bool)
            grown[: 0 if seen is None else len(seen)] = False if seen is None else seen
            seen = self._parts[bounds] = grown
        size = int(np.prod([stop - start for start, stop in bounds], dtype=np.int64))
        self._filled[places[~seen[places]]] += size
        seen[places] = True

    def result(self) -> Result:
        """The array in the stream's axes, and which positions were filled."""
        stream = self._stream
        covered = self._filled[: self._length] >= int(np.prod(self._frame, dtype=np.int64))
        if not stream.arrival:
            gaps = None if covered.all() else self._covered_first()
            return Result(self._data[0], stream.axes, stream.unit, gaps, stream.marks)
        shape = (-1, *(size or 1 for size in self._shape[1:]))
        data = self._data[: self._length].reshape(*shape, *self._frame)
        return Result(data, stream.axes, stream.unit, None if covered.all() else covered.reshape(shape), stream.marks)

    def _covered_first(self) -> Array:
        """Of one array that came in blocks: the positions along its first axis that are whole."""
        whole = np.zeros(self._frame[0], np.int64)
        for bounds, seen in self._parts.items():
            if seen[0]:
                whole[bounds[0][0] : bounds[0][1]] += int(
                    np.prod([stop - start for start, stop in bounds[1:]], dtype=np.int64)
                )
        return whole >= int(np.prod(self._frame[1:], dtype=np.int64))
