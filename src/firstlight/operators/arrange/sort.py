"""Put frames in the order of their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from firstlight.core.arrange import Arrange
from firstlight.core.chunk import Chunk, Gap, Scan, Stream


@dataclass(slots=True)
class Unsorted:
    """Chunks and gaps that wait for earlier frames."""

    chunks: list[Chunk] = field(default_factory=list[Chunk])
    gaps: list[Gap] = field(default_factory=list[Gap])
    given: tuple[int, int] = (0, -(2**62))
    """The last place given out."""


class Sort(Arrange[Unsorted]):
    """Put frames in the order of their ids, as far as a window of frames allows.

    A frame that comes after a later one was given out becomes a gap.
    """

    use: ClassVar[str] = "sort"
    keeps_ids: ClassVar[bool] = True
    signature: ClassVar[Any] = "[*] -> "

    window: Annotated[int, Field(ge=1)] = 64
    """Frames that wait for earlier ones."""

    def after(self, scan: Scan) -> dict[str, Stream]:
        """The frames as they came, in order."""
        main = scan.main
        return {"data": Stream(main.axes, main.sizes, main.dtype, main.arrival, "sorted", main.unit)}

    def dtype(self, given: str) -> str:
        """That of the frames."""
        return given

    @property
    def bound(self) -> int:
        """The largest number of frames ever held."""
        return self.window

    def held_frames(self, state: Unsorted) -> int:
        """Frames that wait."""
        return sum(len(chunk) for chunk in state.chunks)

    def open(self, scan: Scan) -> Unsorted:
        """The state before the first chunk."""
        return Unsorted()

    def push(self, state: Unsorted, port: str, item: Chunk | Gap) -> Iterable[Chunk | Gap]:
        """Take frames; give those that are old enough for nothing earlier to come."""
        return [*self._take(state, item), *self._give(state, self.window)]

    def _take(self, state: Unsorted, item: Chunk | Gap) -> Iterator[Gap]:
        if isinstance(item, Gap):
            state.gaps.append(item)
        else:
            late = np.array([(item.epoch, int(place)) < state.given for place in item.ids], bool)
            if late.any():
                reason = "came after a later frame was given out"
                for place in np.sort(item.ids[late]).tolist():
                    yield Gap(item.epoch, place, place, reason, "dropped", item.stream)
                item = item.take(np.flatnonzero(~late))
            if len(item):
                state.chunks.append(item)

    def _give(self, state: Unsorted, keep: int) -> Iterator[Chunk | Gap]:
        """Give frames in order until `keep` are left, then the gaps before them."""
        while (surplus := self.held_frames(state) - keep) > 0:
            epoch = min(chunk.epoch for chunk in state.chunks)
            same = [chunk for chunk in state.chunks if chunk.epoch == epoch]
            limit = np.sort(np.concatenate([chunk.ids for chunk in same]))[:surplus][-1]
            state.chunks = [chunk for chunk in state.chunks if chunk.epoch != epoch]
            ready: list[Chunk] = []
            for chunk in same:
                order = np.argsort(chunk.ids, kind="stable")
                count = int(np.searchsorted(chunk.ids[order], limit, side="right"))
                if count:
                    ready.append(chunk.take(order[:count]))
                if count < len(chunk):
                    state.chunks.append(chunk.take(order[count:]))
            yield from _merged(ready)
            state.given = (epoch, int(limit))
        yield from self._gaps(state)

    def _gaps(self, state: Unsorted) -> Iterator[Gap]:
        ready = [gap for gap in state.gaps if not state.chunks or (gap.epoch, gap.last) <= state.given]
        state.gaps = [gap for gap in state.gaps if gap not in ready]
        yield from sorted(ready, key=lambda gap: (gap.epoch, gap.first))

    def flush(self, state: Unsorted) -> Iterable[Chunk | Gap]:
        """Give everything that waits."""
        return [*self._give(state, 0)]


def _merged(chunks: list[Chunk]) -> Iterator[Chunk]:
    """The frames of several chunks (each in order) in one order, cut where they interleave."""
    owner = np.concatenate([np.full(len(chunk), index) for index, chunk in enumerate(chunks)])
    ids = np.concatenate([chunk.ids for chunk in chunks])
    inside = np.concatenate([np.arange(len(chunk)) for chunk in chunks])
    order = np.argsort(ids, kind="stable")
    owner, inside = owner[order], inside[order]
    for run in np.split(np.arange(len(ids)), np.flatnonzero(np.diff(owner)) + 1):
        first = int(inside[run[0]])
        yield chunks[int(owner[run[0]])].take(slice(first, first + len(run)))
