"""From the receiving thread to the reader: a bounded queue, and memory that is used again.

Fresh pages cost more than copying a frame into them, so the memory of a chunk goes back to a pool when the last array
over it is gone.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from .arrays import Array
from .buffer import gaps_of
from .chunk import MAIN, Chunk, Gap, Item


class Lease:
    """Lends memory to arrays.

    numpy lets an array of an array forget the one in the middle, but keeps this object alive as long as any array
    over it. It also makes read-only memory that we alone hold writable in type: numba compiles read-only arrays apart.
    """

    def __init__(self, memory: Array) -> None:
        """Lend the whole of a C-contiguous array."""
        self._memory = memory
        shown = memory.__array_interface__
        self.__array_interface__ = {**shown, "data": (shown["data"][0], False)}


def lend(memory: Array) -> Array:
    """An array over memory that nobody else writes to."""
    return np.asarray(Lease(memory))


class Pool:
    """Memory of one size, used again and again; safe for several threads.

    Args:
        nbytes: Size of each piece in byte.
        spare: How many unused pieces to keep.
    """

    def __init__(self, nbytes: int, spare: int = 8) -> None:
        """Start with nothing."""
        self.nbytes = nbytes
        self._spare: deque[Array] = deque(maxlen=spare)

    def take(self) -> Array:
        """Shape (nbytes,), uint8, content undefined; goes back when the last array over it is gone."""
        try:
            memory = self._spare.pop()
        except IndexError:
            memory = np.empty(self.nbytes, np.uint8)
        lease = Lease(memory)
        weakref.finalize(lease, self._spare.append, memory)
        return np.asarray(lease)


class HandOver:
    """A queue of chunks, gaps and ends, bounded in bytes; what does not fit becomes a gap, never silence."""

    def __init__(self, limit: int) -> None:
        """Hold at most `limit` byte of frames."""
        self._limit = limit
        self._queue: deque[Item] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closed = False
        self.dropped = 0

    def put(self, item: Item) -> None:
        """Add an item; a chunk that does not fit is given up. Never waits."""
        with self._changed:
            full = isinstance(item, Chunk) and self._bytes and self._bytes + item.nbytes > self._limit
            # a dark or flat image is one frame that thousands need: there is always room for it
            if isinstance(item, Chunk) and full and item.stream == MAIN:
                self.dropped += len(item)
                for gap in gaps_of(item, "the reader was slower than the detector"):
                    self._append_gap(gap)
            else:
                self._queue.append(item)
                self._bytes += item.nbytes if isinstance(item, Chunk) else 0
            self._changed.notify()

    def _append_gap(self, gap: Gap) -> None:
        last = self._queue[-1] if self._queue else None
        if isinstance(last, Gap) and (last.kind, last.epoch, last.stream, last.last + 1) == (
            gap.kind,
            gap.epoch,
            gap.stream,
            gap.first,
        ):
            self._queue[-1] = replace(last, last=gap.last)
        else:
            self._queue.append(gap)

    def get(self, timeout: float) -> Item | None:
        """The next item; None at the time-out, or when it is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._queue) or self._closed, timeout)
            if not self._queue:
                return None
            item = self._queue.popleft()
            self._bytes -= item.nbytes if isinstance(item, Chunk) else 0
            return item

    def items(self) -> Iterator[Item]:
        """All items as they come, until it is closed and empty."""
        while not self.finished:
            item = self.get(timeout=0.5)
            if item is not None:
                yield item

    def close(self) -> None:
        """Nothing more will be put."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def nbytes(self) -> int:
        """Bytes of the frames that wait."""
        with self._changed:
            return self._bytes

    @property
    def finished(self) -> bool:
        """True when it is closed and empty."""
        with self._changed:
            return self._closed and not self._queue
