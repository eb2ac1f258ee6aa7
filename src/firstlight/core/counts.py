"""Conservation of frames: what was expected, and what became of each, for every consumer of a run."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import pairwise

import numpy as np

from .arrays import Ids
from .chunk import Chunk, Gap, Stream
from .held import Place
from .run import Counts


class Seen:
    """The ids seen in one epoch, as a boundary below which all are settled plus the few above it."""

    def __init__(self) -> None:
        """Start before the first frame."""
        self.first: int | None = None
        self.last: int | None = None
        self._runs: list[list[int]] = []
        """Disjoint runs [first, last] in rising order; few, because gaps settle ids too."""

    def new(self, ids: Ids) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Mark ids as seen; True for each that was not seen before."""
        fresh = np.ones(len(ids), dtype=bool)
        if not len(ids):
            return fresh
        low, high = int(ids.min()), int(ids.max())
        consecutive = high - low + 1 == len(ids) and bool((np.diff(ids) == 1).all())
        if consecutive and not self._overlaps(low, high):
            self.mark(low, high)
            return fresh
        for place, value in enumerate(ids.tolist()):
            fresh[place] = not self._overlaps(value, value)
            if fresh[place]:
                self.mark(value, value)
        return fresh

    def _overlaps(self, low: int, high: int) -> bool:
        return any(first <= high and low <= last for first, last in reversed(self._runs))

    def mark(self, low: int, high: int) -> None:
        """Settle a range of ids (both ends included)."""
        self.first = low if self.first is None else min(self.first, low)
        self.last = high if self.last is None else max(self.last, high)
        if self._runs and self._runs[-1][1] == low - 1:
            self._runs[-1][1] = high
            return
        self._runs.append([low, high])
        self._runs.sort()
        merged: list[list[int]] = []
        for first, last in self._runs:
            if merged and first <= merged[-1][1] + 1:
                merged[-1][1] = max(merged[-1][1], last)
            else:
                merged.append([first, last])
        self._runs = merged


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

    def miss(self, gap: Gap) -> None:
        """Note a gap that the source reports."""
        with self._lock:
            self._epochs.setdefault(gap.epoch, Seen()).mark(gap.first, gap.last)

    @property
    def expected(self) -> int:
        """How many frames a consumer should account for, as far as is known now."""
        with self._lock:
            seen = sum(
                e.last - e.first + 1 for e in self._epochs.values() if e.first is not None and e.last is not None
            )
            return seen if self._total is None else max(self._total, seen)

    def missing(self) -> list[Gap]:
        """At the end of the stream: gaps for everything that was neither delivered nor reported."""
        found: list[Gap] = []
        with self._lock:
            for number, epoch in self._epochs.items():
                runs = epoch._runs  # pyright: ignore[reportPrivateUsage]
                found += [Gap(number, a[1] + 1, b[0] - 1, "never came") for a, b in pairwise(runs)]
            known = sum(
                e.last - e.first + 1 for e in self._epochs.values() if e.first is not None and e.last is not None
            )
            if self._total is not None and known < self._total:
                found.append(self._tail(self._total - known))
        return found

    def _tail(self, count: int) -> Gap:
        """The frames that a scan of known length lacks after the last one seen."""
        number = max(self._epochs, default=0)
        last = self._epochs[number].last if number in self._epochs else None
        start = self._first if last is None else last + 1
        return Gap(number, start, start + count - 1, "the stream ended before they came")

    @property
    def next_place(self) -> Place:
        """The place after the newest frame: from where a change made now holds."""
        with self._lock:
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
