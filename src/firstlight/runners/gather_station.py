"""The station of a regrouping: fills it from the threads of the stage before, and feeds the stage behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np

from firstlight.core.arrays import Ids
from firstlight.core.chunk import Chunk, End, Gap, Item
from firstlight.core.errors import Stopped
from firstlight.core.plan import Cut, port_name
from firstlight.core.sizes import Regrouping

from .bands import Bands
from .context import Context
from .gather import Gathered, surplus_of
from .placed import PlacedLog
from .stage import Stage


class GatherStation:
    """Gathers what one cut names: whole in memory, band by band, or in a scratch file."""

    def __init__(self, cut: Cut, names: list[str], context: Context, regrouping: Regrouping) -> None:
        """Take the room.

        Args:
            cut: What is gathered.
            names: The steps behind it.
            context: What the run shares.
            regrouping: How it is held.
        """
        self._names = names
        for name in names:
            context.ledger(name)
        self._context = context
        self.behind: Stage | None = None
        """The stage that takes the blocks; set before the run starts."""
        self._bands = Bands(cut, regrouping.rows, context) if regrouping.way == "bands" else None
        self._memory = 0.0 if regrouping.way == "disk" else float("inf")
        self._cut = cut
        self._todo: list[slice] = []
        self._gathered: Gathered | None = None
        self._log: PlacedLog | None = None
        self._lock = threading.Lock()
        self.thread = threading.Thread(target=self._feed, name=f"gather-{names[0]}", daemon=True)

    def _open(self) -> Gathered:
        """The gathered frames; made at the first item, when it is known what an earlier run has finished."""
        with self._lock:
            if self._gathered is None:
                bands = self._bands
                if bands is not None:
                    self._todo = [part for part in bands.parts if self._band_wanted(part)] or bands.parts[-1:]
                band = self._todo[0] if self._todo else None
                log = self._placed()
                folder = self._context.plan.job.runner.scratch if log is None else log.scratch
                self._gathered = Gathered(self._cut, self._memory, folder, band)
                if log is not None:
                    self._gathered.restore(log)
                    self._log = log
            return self._gathered

    def _placed(self) -> PlacedLog | None:
        """The log of a scratch file that outlives this process, if it is to be one."""
        checkpoint, cut = self._context.checkpoint, self._cut
        if checkpoint is None or self._memory or cut.along not in cut.stream.frame_axes:
            return None
        return checkpoint.placed(port_name(cut.port), self._context.plan.job.runner.scratch)

    def has(self, epoch: int, ids: Ids) -> bool:
        """True if an interrupted run has placed all of these frames."""
        self._open()
        return self._log is not None and self._log.has(epoch, ids)

    def skip(self, frames: int) -> None:
        """Count frames that are placed already."""
        for name in self._names:
            self._context.ledger(name).done(frames)

    def _band_wanted(self, part: slice) -> bool:
        return self._wanted(np.arange(part.start, part.stop, dtype=np.int64))

    def _wanted(self, ids: Ids) -> bool:
        """True if somebody behind lacks what is made of a block; what nobody lacks is counted as done."""
        return self.behind is None or not self.behind.has(0, ids)

    def narrowed(self, chunk: Chunk) -> Chunk:
        """What is needed of a chunk, where nobody else takes it."""
        gathered = self._open()
        if self._bands is None or gathered.band is None or self._bands.label not in chunk.axes:
            return chunk
        return self._bands.narrowed(chunk, gathered.band)

    def put(self, item: Item) -> None:
        """Place a chunk, or start the next stage at the end of the stream."""
        gathered = self._open()
        if isinstance(item, Chunk) and self.has(item.epoch, item.ids):
            self.skip(len(item))
        elif isinstance(item, Chunk):
            count = gathered.place(item if self._bands is None else self._bands.trimmed(item))
            surplus = None if count == len(item) else surplus_of(item.take(slice(count, None)))
            for name in self._names:
                self._context.ledger(name).done(count)
                for gap in surplus or ():
                    self._context.ledger(name).miss(gap)
        elif isinstance(item, Gap):
            gathered.miss(item)
            for name in self._names:
                self._context.ledger(name).miss(item)
        elif item.set is None:
            self.thread.start()

    def _feed(self) -> None:
        gathered = self._open()
        feeds = self.behind
        if feeds is None:
            return
        try:
            for block in self._blocks(gathered):
                feeds.put(block)
            feeds.put(End())
        except Stopped:
            return
        except Exception as error:
            self._context.fail(error)
        finally:
            gathered.close()

    def _blocks(self, gathered: Gathered) -> Iterator[Chunk | Gap]:
        if self._bands is None or not gathered.used:
            return gathered.blocks(self._wanted_now)
        for part in self._bands.parts:
            if part not in self._todo:
                self._count(part)
        return self._bands.blocks(gathered, self._todo, self._wanted_now)

    def _count(self, part: slice) -> None:
        """Count a band that an earlier run has finished."""
        if self.behind is not None:
            self.behind.skip(part.stop - part.start)

    def _wanted_now(self, ids: Ids) -> bool:
        if self._wanted(ids):
            return True
        if self.behind is not None:
            self.behind.skip(len(ids))
        return False
