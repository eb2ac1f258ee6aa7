"""The ring on disk behind a buffer with the policy ``spill``."""

from __future__ import annotations

import tempfile
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.chunk import Chunk
from firstlight.kernels.sparse_frames import SparseFrames


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where a chunk lies in the ring; everything but its frames stays in memory."""

    start: int
    size: int
    shape: tuple[int, ...]
    dtype: str
    empty: Chunk


class DiskRing:
    """Chunks in one unlinked file of bounded size, first in, first out. Used under the buffer's own lock.

    Args:
        capacity: Most bytes that the file takes.
        folder: Where it is made (None: the system's folder for temporary files).
    """

    def __init__(self, capacity: int, folder: str | None = None) -> None:
        """Open the file; it takes room only as chunks come."""
        self._capacity = capacity
        self._file = tempfile.TemporaryFile(dir=folder, prefix="firstlight-spill-", buffering=0)
        self._used: deque[Ticket] = deque()
        self._head = 0
        self.most_bytes = 0

    @property
    def bytes(self) -> int:
        """Bytes stored now."""
        return sum(ticket.size for ticket in self._used)

    def _room(self, size: int) -> int | None:
        """Where `size` bytes can be written, or None."""
        if size > self._capacity:
            return None
        if not self._used:
            return 0
        tail = self._used[0].start
        if self._head > tail:
            if self._head + size <= self._capacity:
                return self._head
            return 0 if size < tail else None
        return self._head if self._head + size < tail else None

    def put(self, chunk: Chunk) -> Ticket | None:
        """Store one chunk; None if there is no room, in the ring or on the disk."""
        given: Any = chunk.data
        sparse = isinstance(given, SparseFrames)
        data = given.packed() if sparse else np.ascontiguousarray(given)
        start = self._room(data.nbytes)
        if start is None:
            return None
        try:
            self._file.seek(start)
            self._write(data)
        except OSError:
            return None
        empty: Any = given.hollow() if sparse else np.broadcast_to(np.zeros((), data.dtype), data.shape)
        ticket = Ticket(start, data.nbytes, data.shape, data.dtype.str, replace(chunk, data=empty))
        self._used.append(ticket)
        self._head = start + data.nbytes
        self.most_bytes = max(self.most_bytes, self.bytes)
        return ticket

    def _write(self, data: Array) -> None:
        view = data.reshape(-1).view(np.uint8).data
        while view:
            view = view[self._file.write(view) :]

    def take(self, ticket: Ticket) -> Chunk:
        """Read a chunk back and free its room."""
        data = np.empty(ticket.shape, ticket.dtype)
        view = data.reshape(-1).view(np.uint8).data
        self._file.seek(ticket.start)
        while view:
            count = self._file.readinto(view)
            if not count:
                raise OSError(f"The spill file lost {len(view)} bytes at {ticket.start}.")
            view = view[count:]
        self._used.remove(ticket)
        given: Any = ticket.empty.data
        return replace(ticket.empty, data=given.like(data) if isinstance(given, SparseFrames) else data)

    def discard(self, ticket: Any) -> None:
        """Free the room of a chunk without reading it."""
        self._used.remove(ticket)

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()
