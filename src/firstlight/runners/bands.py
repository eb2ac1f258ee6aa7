"""Reading a scan again, band by band of an axis of its frames: regrouping without a scratch file.

What lies between the source and the regrouping must give the same for a band of the axis as for all of it; `core.sizing`
sees to that. The first reading (which every other consumer needs too) tells which frames there are and fills the first
band; each further band is read, corrected and filled while the blocks of the one before are worked on. Two bands are in
memory and no more: room for the next is taken once the last block of the one before the present is done.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from firstlight.core.arrays import Ids
from firstlight.core.buffer import Buffer
from firstlight.core.chunk import Chunk, Gap
from firstlight.core.errors import Stopped
from firstlight.core.plan import Cut
from firstlight.core.separable import chain_to
from firstlight.core.sizing import CHUNK

from .context import Context
from .gather import Gathered
from .stage import Stage

LOOK = 0.02
"""Seconds between two looks at whether blocks are done."""


class InHand:
    """Blocks of a band that somebody still works on."""

    def __init__(self) -> None:
        """None yet."""
        self._blocks: list[weakref.ref[Any]] = []
        self._needed = threading.Event()

    def add(self, block: Chunk) -> None:
        """Note the array of a block, which ends with its last user."""
        data: Any = block.data
        self._blocks.append(weakref.ref(data if data.base is None else data.base))

    def give_up(self) -> None:
        """The next band is needed now, whoever keeps a block: wait no longer."""
        self._needed.set()

    def wait(self) -> None:
        """Until all blocks are done."""
        while any(block() is not None for block in self._blocks):
            if self._needed.wait(LOOK):
                return


class Bands:
    """The bands of one regrouping.

    Args:
        cut: The regrouping.
        rows: Positions of a band along the axis of its blocks.
        context: What the run shares.
    """

    def __init__(self, cut: Cut, rows: int, context: Context) -> None:
        """Nothing is read yet."""
        self._cut = cut
        self._context = context
        self.label = str(cut.along)
        self._size = cut.stream.size(self.label)
        self._chain = chain_to(context.plan, cut) or ()
        self._halo = sum(planned.step.halo().get(self.label, 0) for planned in self._chain)
        self.parts = [slice(first, min(first + rows, self._size)) for first in range(0, self._size, rows)]
        origin = self._chain[0].main if self._chain else cut.port
        self._stage = Stage(origin, self._chain, {}, Buffer(), context, 0)

    def needed(self, own: slice) -> slice:
        """The part of the frames that a band is made of: its own, and the neighbours of every step on the way."""
        reach = self._halo + self._cut.halo
        return slice(max(own.start - reach, 0), min(own.stop + reach, self._size))

    def narrowed(self, chunk: Chunk, own: slice) -> Chunk:
        """What is needed of a chunk of whole frames."""
        part = self.needed(own)
        index = [slice(None)] * chunk.data.ndim
        index[1 + chunk.axes.index(self.label)] = part
        return replace(chunk, data=chunk.data[tuple(index)], where={**chunk.where, self.label: part})

    def blocks(
        self, first: Gathered, todo: list[slice], wanted: Callable[[Ids], bool] | None = None
    ) -> Iterator[Chunk | Gap]:
        """The blocks of the first band, which is filled already, and of those that are to be read."""
        with ThreadPoolExecutor(1, thread_name_prefix="bands") as reader:
            current, before = first, InHand()
            for number in range(len(todo)):
                following: Future[Gathered] | None = None
                if number + 1 < len(todo):
                    following = reader.submit(self._read, first, todo[number + 1], before)
                present = InHand()
                try:
                    for block in current.blocks(wanted):
                        if isinstance(block, Chunk):
                            present.add(block)
                        yield block
                        del block  # it is the worker's: its room is free once that has done it
                finally:
                    current.close()
                    before.give_up()
                if following is not None:
                    current, before = following.result(), present

    def _read(self, known: Gathered, own: slice, before: InHand) -> Gathered:
        """Fill one band, as soon as the blocks of the one before the present are done."""
        before.wait()
        band = known.again(own)
        source: Any = self._context.plan.job.played
        main = self._context.plan.scan.main
        part = self.needed(own)
        share = (part.stop - part.start) / self._size
        step = max(1, int(getattr(self._context.plan.job.source, "chunk", CHUNK) // (main.frame_bytes * share)))
        for slots, ids in known.runs(step):
            if self._context.failed.is_set():
                raise Stopped("The run was stopped while a band was read.")
            first = int(ids[0]) - main.first
            where = {main.axes[0]: slice(first, first + len(ids)), self.label: part}
            data = source.read(where)
            chunk = Chunk(data, main.frame_axes, ids, where={self.label: part}, coords=known.coords_at(slots))
            band.fill(slots, self._corrected(chunk))
        return band

    def _corrected(self, chunk: Chunk) -> Chunk:
        if not self._chain:
            return chunk
        return self.trimmed(self._stage.results(chunk)[self._cut.port])

    def trimmed(self, chunk: Chunk) -> Chunk:
        """Without what the halos of the steps on the way have made wrong."""
        if not self._halo or self.label not in chunk.where:
            return chunk
        whole = chunk.where[self.label]
        left = self._halo if whole.start else 0
        right = self._halo if whole.stop < self._size else 0
        part = slice(whole.start + left, whole.stop - right)
        index = [slice(None)] * chunk.data.ndim
        index[1 + chunk.axes.index(self.label)] = slice(left, whole.stop - whole.start - right)
        return replace(chunk, data=chunk.data[tuple(index)], where={**chunk.where, self.label: part})
