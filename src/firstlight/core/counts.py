"""Conservation of frames: what was expected, and what became of each, for every consumer of a run."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from .arrays import Ids
from .chunk import Chunk, Gap, Stream
from .held import Place
from .run import Counts


class Seen:
    """The ids settled in one epoch, as disjoint runs in rising order; few, because gaps settle ids too."""

    def __init__(self) -> None:
        """Start before the first frame."""
        self._starts: list[int] = []
        self._ends: list[int] = []

    @property
    def first(self) -> int | None:
        """The lowest id settled."""
        return self._starts[0] if self._starts else None

    @property
    def last(self) -> int | None:
        """The highest id settled."""
        return self._ends[-1] if self._ends else None

    @property
    def span(self) -> int:
        """Number of ids from the first to the last, those between that are open included."""
        return self._ends[-1] - self._starts[0] + 1 if self._starts else 0

    def new(self, ids: Ids) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Mark ids as seen; True for each that was not seen before."""
        fresh = np.ones(len(ids), dtype=bool)
        if not len(ids):
            return fresh
        low, high = int(ids.min()), int(ids.max())
        consecutive = high - low + 1 == len(ids) and bool((np.diff(ids) == 1).all())
        if consecutive and self.open(low, high) == [(low, high)]:
            self.mark(low, high)
            return fresh
        for place, value in enumerate(ids.tolist()):
            fresh[place] = bool(self.open(value, value))
            if fresh[place]:
                self.mark(value, value)
        return fresh

    def open(self, low: int, high: int) -> list[tuple[int, int]]:
        """The parts of a range (both ends included) that are not settled yet."""
        found: list[tuple[int, int]] = []
        place = bisect_left(self._ends, low)
        while low <= high:
            start, end = (self._starts[place], self._ends[place]) if place < len(self._starts) else (high + 1, high)
            if low < start:
                found.append((low, min(high, start - 1)))
            low = max(low, end + 1)
            place += 1
        return found

    def mark(self, low: int, high: int) -> None:
        """Settle a range of ids (both ends included)."""
        first = bisect_left(self._ends, low - 1)
        last = bisect_right(self._starts, high + 1)
        if first < last:
            low, high = min(low, self._starts[first]), max(high, self._ends[last - 1])
        self._starts[first:last] = [low]
        self._ends[first:last] = [high]

    def holes(self) -> list[tuple[int, int]]:
        """The ranges between the first and the last id that are open."""
        return [(end + 1, start - 1) for end, start in zip(self._ends, self._starts[1:], strict=False)]


class Intake:
    """What the source has delivered: drops duplicates, knows what to expect. Shared by threads."""

    def __init__(self, stream: Stream) -> None:
        """Count one stream; its number of frames is what to expect, where it is known."""
        self._total = stream.frames
        self._first = stream.first
        self._epochs: dict[int, Seen] = {}
        self._lock = threading.Lock()
        self.duplicates = 0
        self.frames = 0
        self.bytes = 0

    def take(self, chunk: Chunk) -> Chunk | None:
        """The frames of a chunk that are new; None if there is none."""
        with self._lock:
            fresh = self._epochs.setdefault(chunk.epoch, Seen()).new(chunk.ids)
            count = int(fresh.sum())
            self.duplicates += len(chunk) - count
            self.frames += count
            self.bytes += int(chunk.nbytes * count / max(len(chunk), 1))
        if count == len(chunk):
            return chunk
        return chunk.take(np.flatnonzero(fresh)) if count else None

    def miss(self, gap: Gap) -> list[Gap]:
        """Note a gap that the source reports; the parts of it that were neither delivered nor reported before."""
        with self._lock:
            epoch = self._epochs.setdefault(gap.epoch, Seen())
            parts = epoch.open(gap.first, gap.last)
            for low, high in parts:
                epoch.mark(low, high)
        return [
            gap if (low, high) == (gap.first, gap.last) else replace(gap, first=low, last=high) for low, high in parts
        ]

    @property
    def expected(self) -> int:
        """How many frames a consumer should account for, as far as is known now."""
        with self._lock:
            return max(self._total or 0, self._known())

    def _known(self) -> int:
        return sum(epoch.span for epoch in self._epochs.values())

    def missing(self, *, stopped: bool = False) -> list[Gap]:
        """At the end of the stream: gaps for everything that was neither delivered nor reported.

        Args:
            stopped: The user ended the run: what was still to come is excluded, not lost.
        """
        with self._lock:
            found = [
                Gap(number, low, high, "never came")
                for number, epoch in sorted(self._epochs.items())
                for low, high in epoch.holes()
            ]
            absent = 0 if self._total is None else max(self._total - self._known(), 0)
            if absent:
                found += self._ends(absent, stopped)
        return found

    def _ends(self, absent: int, stopped: bool) -> list[Gap]:
        """The frames that a scan of known length lacks before the first one seen, and after the last."""
        first = self._epochs[min(self._epochs)].first if self._epochs else None
        head = 0 if first is None else min(max(first - self._first, 0), absent)
        found = [] if first is None or not head else [Gap(min(self._epochs), first - head, first - 1, "never came")]
        if absent == head:
            return found
        number = max(self._epochs, default=0)
        last = self._epochs[number].last if number in self._epochs else None
        start = self._first if last is None else last + 1
        end = start + absent - head - 1
        if stopped:
            return [*found, Gap(number, start, end, "the run was stopped", "excluded")]
        return [*found, Gap(number, start, end, "the stream ended before they came")]

    @property
    def next_place(self) -> Place:
        """The place after the newest frame: from where a change made now holds."""
        with self._lock:
            return self._next()

    @contextmanager
    def held_back(self) -> Generator[Place]:
        """The place after the newest frame; no further frame is taken in while the context lasts."""
        with self._lock:
            yield self._next()

    def _next(self) -> Place:
        number = max(self._epochs, default=0)
        last = self._epochs[number].last if number in self._epochs else None
        return (number, self._first if last is None else last + 1)


class Ledger:
    """What one consumer did with its frames. Shared by threads."""

    def __init__(self) -> None:
        """Start with nothing done."""
        self._lock = threading.Lock()
        self._done = 0
        self._gaps: Counter[str] = Counter()

    def done(self, frames: int) -> None:
        """Count frames that were consumed."""
        with self._lock:
            self._done += frames

    def miss(self, gap: Gap) -> None:
        """Count frames that this consumer will not get."""
        with self._lock:
            self._gaps[gap.kind] += len(gap)

    def counts(self, expected: int, duplicates: int = 0) -> Counts:
        """The sum as it stands; what is not accounted for yet is waiting."""
        with self._lock:
            settled = self._done + sum(self._gaps.values())
            return Counts(
                expected=max(expected, settled),
                done=self._done,
                lost=self._gaps["lost"],
                dropped=self._gaps["dropped"],
                rejected=self._gaps["rejected"],
                excluded=self._gaps["excluded"],
                waiting=max(expected - settled, 0),
                duplicates=duplicates,
            )


def worst(counts: dict[str, Counts]) -> Counts:
    """The consumer that misses most."""
    if not counts:
        return Counts()
    return max(counts.values(), key=lambda c: (c.lost + c.dropped + c.rejected, c.waiting, c.excluded))
