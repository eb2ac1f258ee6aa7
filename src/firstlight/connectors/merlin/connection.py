"""A connection to Merlin's data port that lasts over many acquisitions: one thread receives and sorts."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from firstlight.core.arrays import Array
from firstlight.core.errors import FirstlightError, SourceError
from firstlight.core.handover import Pool
from firstlight.core.receiving import Limits
from firstlight.core.tap import Tap
from firstlight.core.untaken import Untaken

from .acquisition import Acquisition
from .wire import PREFIX, BadMessage, Start, read_frame, read_start, split

_log = logging.getLogger(__name__)

_SLAB = 4 * 2**20
"""Bytes that are received into one piece of memory."""
_PATIENCE = 0.004
"""Seconds to wait for bytes: what is gathered is handed on then."""
_STALE = 0.1
"""Seconds of silence after which a connection is drained."""
_RETRY = 0.5
"""Seconds between attempts to connect."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where Merlin sends."""

    host: str
    port: int = 6342
    drain: bool = False
    """Throw away what is there right after connecting: old Merlin software sends leftovers."""


class Connection:
    """Receives from one detector until it is closed; connects again when the connection breaks.

    Args:
        address: Where it sends.
        limits: What an acquisition may take.
        decoders: Threads that decode.
        tap: Is given every header and frame as it came, to be recorded.
    """

    def __init__(self, address: Address, limits: Limits, *, decoders: int = 2, tap: Tap | None = None) -> None:
        """Start connecting."""
        self.address, self._limits = address, limits
        self.connected = False
        self.strays = 0
        """Frames without an acquisition, and bytes without meaning."""
        self.tap = tap
        """May be set before an acquisition begins, and taken away."""
        self.changed = threading.Condition()
        """Notified when an acquisition begins, and when `connected` changes."""
        self._decoders = ThreadPoolExecutor(decoders, "merlin decoder")
        self._current: Acquisition | None = None
        self._untaken: Untaken[Acquisition] = Untaken(self.changed)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="merlin receiver", daemon=True)
        self._thread.start()

    # ---- from other threads -----------------------------------------------------------------------------------------

    def wait(self, timeout: float | None, *, stopped: Callable[[], bool] = lambda: False) -> Acquisition | None:
        """The next acquisition that begins, or has begun since nobody waits; None at the time-out.

        Args:
            timeout: Seconds to wait at most; None: for ever.
            stopped: Says that waiting has no more sense.
        """
        return self._untaken.take(timeout, lambda: stopped() or self._stopping.is_set())

    def wait_connected(self, timeout: float) -> bool:
        """True once Merlin is there."""
        with self.changed:
            return self.changed.wait_for(lambda: self.connected, timeout)

    def close(self) -> None:
        """End; harmless when called twice."""
        self._stopping.set()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=10.0)
        self._decoders.shutdown(wait=True)

    # ---- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    link = socket.create_connection((self.address.host, self.address.port), timeout=2.0)
                except OSError:
                    self._stopping.wait(_RETRY)
                    continue
                with link:
                    self._receive(link)
                self._tell(connected=False)
        except Exception as error:  # it must reach the reader, not end in a silent thread
            _log.exception("The receiving thread failed.")
            if self._current is not None:
                known = isinstance(error, FirstlightError)
                self._current.fail(error if known else SourceError(f"Receiving failed: {error}", field="host"))
        finally:
            if self._current is not None:
                self._current.finish("the connection was closed")

    def _tell(self, *, connected: bool) -> None:
        with self.changed:
            self.connected = connected
            self.changed.notify_all()
        if not connected and self._current is not None:
            self._current.finish("Merlin closed the connection")

    def _receive(self, link: socket.socket) -> None:
        # the size of its buffer is left to the kernel, which gives more than may be asked for (net.core.rmem_max)
        if self.address.drain:
            self._drain(link)
        self._tell(connected=True)
        link.settimeout(_PATIENCE)
        pool = Pool(_SLAB)
        slab = pool.take()
        begin = filled = 0
        while not self._stopping.is_set():
            current = self._current
            if current is not None and not current.over and current.full:
                current.tick(paused=True)
                self._stopping.wait(0.002)
                continue
            try:
                got = link.recv_into(slab.data[filled:])
            except TimeoutError:
                got = -1
            except OSError:
                got = 0
            if got == 0:
                return
            filled += max(got, 0)
            begin, needed = self._sort(slab, begin, filled)
            if begin + needed > len(slab) or filled == len(slab):
                # frames in the memory so far keep it alive until they are decoded; it is used again then
                rest = slab[begin:filled]
                larger = max(needed, len(rest) + PREFIX)
                slab = pool.take() if larger <= _SLAB else np.empty(larger, np.uint8)
                slab[: len(rest)] = rest
                begin, filled = 0, len(rest)
            if self._current is not None:
                self._current.tick()

    def _drain(self, link: socket.socket) -> None:
        link.settimeout(_STALE)
        try:
            while link.recv(65536) and not self._stopping.is_set():
                pass
        except OSError:
            return

    def _sort(self, memory: Array, begin: int, filled: int) -> tuple[int, int]:
        """Handle all messages that are complete; where the rest begins, and how long it must become."""
        data = memory.data[:filled]
        while True:
            begin = self._take_together(memory, begin, filled)
            found = split(data[begin:])
            begin += found.used
            if found.payload is None:
                return begin, found.needed
            self._handle(found.payload, memory, begin - len(found.payload))
            if self.tap is not None:
                self.tap(self._current, (found.payload,))

    def _take_together(self, memory: Array, begin: int, filled: int) -> int:
        """Take frames like those before, which lie one behind the other; where they end."""
        current, like = self._current, None if self._current is None else self._current.alike
        if current is None or like is None:
            return begin
        while True:
            numbers, begins = like.find(memory, begin, filled, current.numbers)
            if not len(numbers):
                return begin
            current.receive_many(numbers, memory, begins)
            begin = int(begins[-1]) + like.length
            if self.tap is not None:
                for at in begins.tolist():
                    self.tap(current, (memory.data[at : at + like.length],))

    def _handle(self, payload: memoryview, memory: Array, begin: int) -> None:
        try:
            if payload[:4] == b"HDR,":
                self._begin(read_start(payload), header=bytes(payload))
                return
            header = read_frame(payload)
        except BadMessage as error:
            self._stray(str(error))
            return
        current = self._current
        if current is not None and current.over and current.start.frames is None and self._limits.frames:
            # the next scan of an acquisition that goes on and on
            first = header.number - (header.number - current.first) % self._limits.frames
            if not current.why and first > current.first:
                self._begin(current.start, first)
                current = self._current
        if current is None:
            self._stray("a frame came before the header of its acquisition")
        else:
            current.receive(header, payload, memory, begin)

    def _stray(self, reason: str) -> None:
        self.strays += 1
        if self.strays == 1:
            _log.warning("A message was passed over: %s", reason)

    def _begin(self, start: Start, first: int = 0, header: bytes = b"") -> None:
        current = self._current
        if current is not None and not current.over:
            current.finish("another acquisition began")
        self._current = Acquisition(start, self._limits, self._decoders, first)
        self._current.header = header
        self._untaken.add(self._current)
