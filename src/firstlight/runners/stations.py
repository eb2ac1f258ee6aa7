"""Stations: consumers of a stage. Those with a thread of their own sit behind a small buffer that makes its feeders wait."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from typing import Any, Protocol, runtime_checkable

from firstlight.core.arrange import Arrange
from firstlight.core.arrays import Ids
from firstlight.core.buffer import Buffer, BufferSettings
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item, Stream
from firstlight.core.errors import Stopped
from firstlight.core.held import HeldStore
from firstlight.core.plan import Planned
from firstlight.core.sink import Sink

from .assemble import Assembled
from .context import STATION_MEMORY, WRITING, Context
from .done import DoneLog
from .failing import part_failed
from .folding import versions_of
from .positions import expanded


class Consumer(Protocol):
    """Takes what a stage gives; `put` may block, which slows the stage."""

    def put(self, item: Item) -> None:
        """Take one item."""
        ...


@runtime_checkable
class Narrowing(Protocol):
    """A consumer that may want only a part of each frame."""

    def narrowed(self, chunk: Chunk) -> Chunk:
        """What it wants of a chunk, which nobody else takes."""
        ...


@runtime_checkable
class Resuming(Protocol):
    """A consumer that may have, from an interrupted run, what would be made of some frames."""

    def has(self, epoch: int, ids: Ids) -> bool:
        """True if it has all of them."""
        ...

    def skip(self, frames: int) -> None:
        """Count them as done."""
        ...


class Station(threading.Thread):
    """A consumer with a thread and a buffer of its own."""

    def __init__(self, name: str, context: Context, memory: float = STATION_MEMORY) -> None:
        """Not started yet."""
        super().__init__(name=name, daemon=True)
        self.context = context
        self.buffer = Buffer(BufferSettings(policy="wait", memory=memory), name=name)
        context.failing.append(self.buffer.stop)

    def put(self, item: Item) -> None:
        """Queue one item; waits while the buffer is full."""
        self.buffer.put(item)

    def run(self) -> None:
        """Work until the end of the stream; the first error fails the run."""
        try:
            self.work()
        except Stopped:
            return
        except Exception as error:
            self.context.fail(error)

    @abstractmethod
    def work(self) -> None:
        """Take items until the stream ends."""


class SinkStation(Station):
    """Writes to one sink; the run closes it with the final record."""

    def __init__(
        self,
        sink: Sink,
        stream: Stream,
        consumer: str,
        context: Context,
        *,
        streams: int = 1,
        log: DoneLog | None = None,
    ) -> None:
        """Not started yet; the sink is open.

        Args:
            sink: Where it writes.
            stream: What it writes.
            consumer: Under which name it counts.
            context: What the run shares.
            streams: How many it takes: darks and flats beside the frames, or one.
            log: Notes what is written, for a run that goes on after an interruption.
        """
        super().__init__(f"sink-{sink.use}-{consumer}", context, context.station_memory)
        self._sink = sink
        self._stream = stream
        self._consumer = consumer
        self._streams = streams
        self._log = log
        context.ledger(consumer)

    def work(self) -> None:
        """Write each chunk, note each gap; only frames of the main stream are counted."""
        ledger = self.context.ledger(self._consumer)
        left = self._streams
        while left:
            item = self.buffer.get()
            if item is None:
                return
            left -= isinstance(item, End) and item.set is None
            try:
                self._take(item)
            except Exception as error:
                raise part_failed(f"sink '{self._sink.use}' of {self._consumer.rpartition(' ')[2]}", error) from error
            if self._streams > 1 and item.stream != MAIN:
                continue
            if isinstance(item, Chunk):
                ledger.done(len(item))
            elif isinstance(item, Gap):
                ledger.miss(item)

    def has(self, epoch: int, ids: Ids) -> bool:
        """True if an earlier run has written all of these frames; one array that is no stream is written anew."""
        frames = self._streams == 1 and self._stream.arrival > 0
        return self._log is not None and frames and self._log.has(epoch, ids)

    def skip(self, frames: int) -> None:
        """Count frames that are written already."""
        self.context.ledger(self._consumer).done(frames)

    def _take(self, item: Item) -> None:
        if isinstance(item, Chunk):
            started = time.perf_counter()
            self._sink.write(expanded(item, self._stream))
            self.context.worked(f"{WRITING}{self._consumer.partition(' ')[2]}", time.perf_counter() - started, item)
            if self._log is not None and item.stream == MAIN:
                self._log.add(item.epoch, item.ids)
        elif isinstance(item, Gap):
            self._sink.miss(item)


class ArrangeStation(Station):
    """Owns the state of an arrangement and feeds the next stage."""

    def __init__(self, planned: Planned, context: Context, feeds: Consumer) -> None:
        """Not started yet."""
        super().__init__(f"arrange-{planned.name}", context)
        self._planned = planned
        context.ledger(planned.name)
        self._feeds = feeds
        step: Any = planned.step
        self._step: Arrange[Any] = step
        self._ports = {planned.step.arguments[0]: planned.main, **planned.ports}
        self._queue: list[tuple[str, Item]] = []
        self._lock = threading.Lock()

    def port(self, name: str) -> Consumer:
        """The consumer that stands for one data argument."""
        return _PortOf(self, name)

    def put_from(self, port: str, item: Item) -> None:
        """Queue one item of a port."""
        with self._lock:
            self._queue.append((port, item))
        self.buffer.put(item)

    def work(self) -> None:
        """Push until all ports have ended, then flush.

        Raises:
            StepFailed: The arrangement raised; the message names it and what it had in hand.
        """
        self._hand: Item | None = None
        try:
            self._work()
        except Exception as error:
            parameters = self._step.model_dump()
            raise self.context.guarded(self._planned.name, error, parameters, self._hand) from error

    def _work(self) -> None:
        state = self._step.open(self._planned.scan)
        ledger = self.context.ledger(self._planned.name)
        first = self._planned.step.arguments[0]
        open_ports = set(self._ports)
        while open_ports:
            if self.buffer.get() is None:
                return
            with self._lock:
                port, item = self._queue.pop(0)
            self._hand = item
            if isinstance(item, End):
                if item.set is None and port in open_ports:
                    open_ports.discard(port)
                    self._give(self._step.finish(state, port))
                continue
            if port == first:
                ledger.done(len(item)) if isinstance(item, Chunk) else ledger.miss(item)
            self._give(self._step.push(state, port, item))
        self._give(self._step.flush(state))
        self._feeds.put(End())

    def _give(self, items: Any) -> None:
        for item in items:
            self._feeds.put(item)


class _PortOf:
    """One data argument of an arrangement."""

    def __init__(self, station: ArrangeStation, port: str) -> None:
        self._station = station
        self._port = port

    def put(self, item: Item) -> None:
        """Hand on, with the name of the port."""
        self._station.put_from(self._port, item)


class VersionStation:
    """Makes versions of a held input of what a map step gives for each result of a fold."""

    def __init__(self, store: HeldStore) -> None:
        """Fill `store`."""
        self._store = store

    def put(self, item: Item) -> None:
        """Add one version for each array; the end completes the input."""
        if isinstance(item, Chunk):
            for version in versions_of(item):
                self._store.add(version)
        elif isinstance(item, End) and item.set is None:
            self._store.complete()


class AssembleStation:
    """Places the outputs of a per-frame step, for results in memory and for views."""

    def __init__(self, assembled: Assembled, consumer: str, context: Context) -> None:
        """Fill `assembled`; count under the name of the consumer."""
        self.assembled = assembled
        self._consumer = consumer
        context.ledger(consumer)
        self._context = context
        self.ended = threading.Event()

    def put(self, item: Item) -> None:
        """Place a chunk."""
        if isinstance(item, Chunk):
            self.assembled.place(item)
            self._context.ledger(self._consumer).done(len(item))
        elif isinstance(item, Gap):
            self._context.ledger(self._consumer).miss(item)
        elif item.set is None:
            self.ended.set()
