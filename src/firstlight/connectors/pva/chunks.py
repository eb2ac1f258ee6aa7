"""Gathers frames into chunks: several small frames share one, a large frame is a chunk by itself and is not copied."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from firstlight.core.arrays import Array, as_ids
from firstlight.core.chunk import Chunk
from firstlight.core.handover import Pool, lend

from .wire import Frame, decode_into

CHUNK_BYTES = 4 * 2**20
"""A chunk of about this size is handed on at once."""
DIRECT_BYTES = 2**20
"""A frame of this size or more is handed on as it came: copying it would cost more than one Python call."""
MOST_FRAMES = 512
OLDEST = 0.02
"""Seconds that the first frame of a chunk waits at most."""
QUIET = 0.004
"""Seconds without a frame after which what is there is handed on."""


class Gatherer:
    """Fills chunks with frames of one shape and type; used by one thread.

    Args:
        shape: (rows, columns).
        dtype: Type of the pixels.
        coords: Names of the coordinates that every frame brings.
    """

    def __init__(self, shape: tuple[int, int], dtype: str, coords: tuple[str, ...]) -> None:
        """Start with no frame."""
        self.shape, self.dtype, self._names = shape, np.dtype(dtype), coords
        frame = shape[0] * shape[1] * self.dtype.itemsize
        self._capacity = min(MOST_FRAMES, max(1, CHUNK_BYTES // frame))
        self._pool = Pool(self._capacity * frame)
        self._direct = frame >= DIRECT_BYTES
        self._slab: Array | None = None
        self._begin = self._filled = 0
        self._ids: list[int] = []
        self._coords: list[tuple[float, ...]] = []
        self._epoch = 0
        self._oldest = self._received = 0.0

    @property
    def due(self) -> float | None:
        """When what is gathered must be handed on (`time.monotonic`), or None if there is nothing."""
        return self._oldest + QUIET if self._ids else None

    def add(self, frame: Frame, epoch: int, place: int, coords: Mapping[str, float]) -> list[Chunk]:
        """Take one frame; the chunks that are ready now.

        Raises:
            BadPayload: The frame does not decode; nothing was taken.
        """
        ready = self.flush() if self._ids and epoch != self._epoch else []
        values = tuple(coords.get(name, np.nan) for name in self._names)
        if self._direct and not frame.codec:
            pixels = lend(frame.payload).reshape(1, *frame.shape)
            return [*ready, *self.flush(), self._chunk(pixels, [place], [values], epoch, time.time())]
        decode_into(frame, self._room())
        now = time.monotonic()
        self._oldest = self._oldest if self._ids else now
        self._ids.append(place)
        self._coords.append(values)
        self._epoch, self._received = epoch, time.time()
        self._filled += 1
        if self._filled == self._capacity or now - self._oldest > OLDEST:
            ready += self.flush()
        return ready

    def _room(self) -> Array:
        """Where the next frame goes, shape (rows, columns)."""
        if self._slab is None:
            memory = self._pool.take()
            self._slab = memory.view(self.dtype).reshape(self._capacity, *self.shape)
            self._begin = self._filled = 0
        return self._slab[self._filled]

    def flush(self) -> list[Chunk]:
        """Hand on what is gathered. The rest of the memory serves the next chunk."""
        if not self._ids or self._slab is None:
            return []
        data = self._slab[self._begin : self._filled]
        chunk = self._chunk(data, self._ids, self._coords, self._epoch, self._received)
        self._begin = self._filled
        self._ids, self._coords = [], []
        if self._filled == self._capacity:
            self._slab = None
        return [chunk]

    def _chunk(
        self, data: Array, ids: list[int], coords: list[tuple[float, ...]], epoch: int, received: float
    ) -> Chunk:
        values = np.array(coords, np.float64).reshape(len(ids), len(self._names))
        return Chunk(
            data=data,
            axes=("row", "col"),
            ids=as_ids(ids),
            epoch=epoch,
            coords={name: values[:, at] for at, name in enumerate(self._names)},
            received=received,
        )
