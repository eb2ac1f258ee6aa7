"""Stations: consumers of a stage. Those with a thread of their own sit behind a small buffer that makes its feeders wait."""

from __future__ import annotations

import threading
from abc import abstractmethod
from typing import Any, Protocol

from firstlight.core.arrange import Arrange
from firstlight.core.buffer import MIB, Buffer, BufferSettings
from firstlight.core.chunk import MAIN, Chunk, End, Gap, Item, Stream
from firstlight.core.errors import Stopped
from firstlight.core.held import HeldStore
from firstlight.core.plan import Cut, Planned
from firstlight.core.sink import Sink

from .assemble import Assembled
from .context import Context
from .failing import part_failed
from .folding import versions_of
from .gather import Gathered, surplus_of
from .positions import expanded

STATION_MEMORY = 64 * MIB


class Consumer(Protocol):
    """Takes what a stage gives; `put` may block, which slows the stage."""

    def put(self, item: Item) -> None:
        """Take one item."""
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

    def __init__(self, sink: Sink, stream: Stream, consumer: str, context: Context, *, streams: int = 1) -> None:
        """Not started yet; the sink is open. `streams` is how many it takes: darks and flats beside the frames, or one."""
        super().__init__(f"sink-{sink.use}-{consumer}", context)
        self._sink = sink
        self._stream = stream
        self._consumer = consumer
        self._streams = streams
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
                raise part_failed(f"sink '{self._sink.use}' of {self._consumer.partition(' ')[2]}", error) from error
            if self._streams > 1 and item.stream != MAIN:
                continue
            if isinstance(item, Chunk):
                ledger.done(len(item))
            elif isinstance(item, Gap):
                ledger.miss(item)

    def _take(self, item: Item) -> None:
        if isinstance(item, Chunk):
            self._sink.write(expanded(item, self._stream))
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
            if isinstance(error, Stopped):
                raise
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


class GatherStation:
    """Fills a gathered array from the threads of the stage before, and feeds the stage behind when all is in."""

    def __init__(self, cut: Cut, names: list[str], context: Context, feeds: Consumer) -> None:
        """Take the room."""
        settings = context.plan.job.runner
        memory = settings.memory or _half_of_memory()
        self._gathered = Gathered(cut, memory, settings.scratch)
        self._names = names
        for name in names:
            context.ledger(name)
        self._context = context
        self._feeds = feeds
        self.thread = threading.Thread(target=self._feed, name=f"gather-{names[0]}", daemon=True)

    def put(self, item: Item) -> None:
        """Place a chunk, or start the next stage at the end of the stream."""
        if isinstance(item, Chunk):
            count = self._gathered.place(item)
            surplus = None if count == len(item) else surplus_of(item.take(slice(count, None)))
            for name in self._names:
                self._context.ledger(name).done(count)
                for gap in surplus or ():
                    self._context.ledger(name).miss(gap)
        elif isinstance(item, Gap):
            self._gathered.miss(item)
            for name in self._names:
                self._context.ledger(name).miss(item)
        elif item.set is None:
            self.thread.start()

    def _feed(self) -> None:
        try:
            for block in self._gathered.blocks():
                self._feeds.put(block)
            self._feeds.put(End())
        except Stopped:
            return
        except Exception as error:
            self._context.fail(error)
        finally:
            self._gathered.close()


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


def _half_of_memory() -> float:
    import psutil

    return psutil.virtual_memory().total / 2


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
