"""A source of which only a part is played."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from pydantic import PrivateAttr

from .arrays import Array, Ids
from .chunk import MAIN, Chunk, Gap, Item, Scan
from .errors import SourceError
from .selection import BEFORE, Picked, cut_frames, keeps_ids, length_of, moved_set, narrowed, resolve
from .source import RandomAccess, Source, stored_together


@runtime_checkable
class Selective(Protocol):
    """A source that reads nothing but what is asked for."""

    def narrow(self, scan: Scan, chosen: Mapping[str, range]) -> None:
        """From now on, until it is opened again, play and read only these positions; `scan` is what is left."""
        ...


class Selected(Source):
    """Plays part of another source. A source that can (`Selective`) reads only that part; of others, frames are cut as they come."""

    use: ClassVar[str] = "selected"

    _source: Any = PrivateAttr(None)
    _only: Mapping[str, Picked] = PrivateAttr(default_factory=lambda: {})
    _whole: Scan | None = PrivateAttr(None)
    _chosen: dict[str, range] = PrivateAttr(default_factory=lambda: {})
    _last: dict[str, int] = PrivateAttr(default_factory=lambda: {})

    @classmethod
    def of(cls, source: Source, only: Mapping[str, Picked]) -> Source:
        """The part of a source that a selection names."""
        if not only:
            return source
        made = (_SelectedBlocks if isinstance(source, RandomAccess) else Selected)()
        return made._taking(source, only)

    @property
    def _selective(self) -> Selective | None:
        return self._source if isinstance(self._source, Selective) else None

    def _taking(self, source: Source, only: Mapping[str, Picked]) -> Self:
        self._source, self._only = source, only
        return self

    def open(self) -> Scan:
        """Open the source and say what is left of its scan.

        Raises:
            JobError: The selection names an axis or positions that are not there.
        """
        whole: Scan = self._source.open()
        self._whole, self._last = whole, {}
        try:
            self._chosen = resolve(self._only, whole)
            left = narrowed(whole, self._chosen)
            if self._selective is not None:
                self._selective.narrow(left, self._chosen)
        except BaseException:
            self._source.close()
            raise
        return left

    def items(self) -> Iterator[Item]:
        """What the source gives, without what was not selected."""
        if self._selective is not None:
            yield from self._source.items()
            return
        for item in self._source.items():
            if isinstance(item, Chunk):
                cut = self._cut_chunk(item)
                if len(cut):
                    yield cut
            elif isinstance(item, Gap):
                yield from self._cut_gap(item)
            else:
                yield item

    def _cut_chunk(self, chunk: Chunk) -> Chunk:
        if partial := set(chunk.where) & set(self._chosen):
            raise SourceError(
                f"This source sends parts of frames, and no part of their axis '{min(partial)}' can be selected.",
                field="only",
                value=sorted(self._chosen),
                next_move="Put the step 'crop' first instead.",
            )
        if chunk.stream == MAIN:
            places = self._places(chunk.ids)
            kept = np.flatnonzero(places >= 0)
            chunk = replace(chunk.take(kept), ids=places[kept]) if len(kept) else chunk.take(slice(0, 0))
        else:
            ids = moved_set(chunk.ids, self._opened().main, self._chosen, self._last.get(chunk.stream, BEFORE))
            self._last[chunk.stream] = int(ids[-1])
            chunk = replace(chunk, ids=ids)
        if set(self._chosen) & set(chunk.axes):
            chunk = chunk.dense()
            return replace(chunk, data=cut_frames(chunk.data, chunk.axes, self._chosen))
        return chunk

    def _places(self, ids: Ids) -> Ids:
        """The ids of frames in the selection; -1 for those that are not in it."""
        stream = self._opened().main
        if not any(label in self._chosen for label in stream.arrival_axes):
            return ids
        at = ids - stream.first
        if stream.arrival == 1:
            along = self._chosen[stream.axes[0]]
            inside = (at >= along.start) & (at < along.stop) & ((at - along.start) % along.step == 0)
            new = ids if keeps_ids(stream, self._chosen) else (at - along.start) // along.step
            return np.where(inside, new, -1)
        shape = tuple(stream.size(label) for label in stream.arrival_axes)
        inside = (at >= 0) & (at < np.prod(shape))
        flat = np.zeros(len(at), np.int64)
        grid = np.unravel_index(np.where(inside, at, 0), shape)
        for label, size, index in zip(stream.arrival_axes, shape, grid, strict=True):
            along = self._chosen.get(label, range(size))
            inside &= (index >= along.start) & (index < along.stop) & ((index - along.start) % along.step == 0)
            flat = flat * (length_of(along) or 1) + (index - along.start) // along.step
        return np.where(inside, flat, -1)

    def _cut_gap(self, gap: Gap) -> Iterator[Gap]:
        if gap.stream != MAIN:
            yield gap
            return
        stream = self._opened().main
        if stream.arrival == 1 and (along := self._chosen.get(stream.axes[0])) is not None:  # a long gap costs nothing
            first = max(gap.first, stream.first + along.start)
            last = min(gap.last, stream.first + along.stop - 1)
            low = -(-(first - stream.first - along.start) // along.step)
            high = (last - stream.first - along.start) // along.step
            if low <= high:
                shift = stream.first + along.start if keeps_ids(stream, self._chosen) else 0
                yield replace(gap, first=low + shift, last=high + shift)
            return
        if not any(label in self._chosen for label in stream.arrival_axes):
            yield gap
            return
        places = self._places(np.arange(gap.first, gap.last + 1, dtype=np.int64))
        for place in places[places >= 0].tolist():
            yield replace(gap, first=place, last=place)

    def stop(self) -> None:
        """Ask the source to end."""
        self._source.stop()

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _opened(self) -> Scan:
        if self._whole is None:
            raise SourceError("The source is not open.", field="source", value=self.use, next_move="Call open() first.")
        return self._whole


class _SelectedBlocks(Selected):
    """The same over a source that can read any block."""

    def stored_together(self, label: str) -> int:
        """Positions along a frame axis that the source stores as one piece."""
        return stored_together(self._source, label)

    def read(self, where: Mapping[str, slice], stream: str = MAIN) -> Array:
        """One block of what is selected."""
        if self._selective is not None:
            return self._source.read(where, stream)
        described = self._opened().stream(stream)
        axes = described.axes if stream == MAIN else described.frame_axes
        inner = dict(where)
        for label in axes:
            if label in self._chosen:
                along = self._chosen[label][where.get(label, slice(None))]
                inner[label] = slice(along.start, along.stop, along.step)
        return self._source.read(inner, stream)
