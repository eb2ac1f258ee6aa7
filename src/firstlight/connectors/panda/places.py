"""From samples to one position for each frame, by number."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from firstlight.core.arrays import Array, Ids
from firstlight.core.chunk import Gap

from .messages import Samples, Stop

FURTHEST = 2**32
"""Samples that may be missing between two messages; a number beyond is damaged."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Positions that are complete."""

    ids: Ids
    values: Array
    """Shape (position, channel): means over the samples of each position."""


@dataclass(slots=True)
class Averages:
    """Means over `upsample` consecutive samples of one capture, keyed by sample number // `upsample`; used by one thread.

    A position of which a sample never comes is given up when `window` later ones are complete, or at the end.
    """

    channels: tuple[str, ...]
    upsample: int = 1
    window: int = 64
    strays: int = 0
    """Messages that could not be placed, or lacked a channel."""
    _next_message: int = 0
    _expected: int = 0
    """Number of the sample after the last one, for messages that do not say where they begin."""
    _sums: dict[int, Array] = field(default_factory=dict[int, Array])
    _counts: dict[int, int] = field(default_factory=dict[int, int])
    _settled: int = 0
    """Positions below this are done or given up."""
    _done: set[int] = field(default_factory=set[int])
    begun: bool = False
    """True once samples have come."""

    @property
    def settled(self) -> int:
        """Positions that are complete or given up, all below the first open one."""
        return self._settled

    def starts_over(self, samples: Samples, *, over: bool) -> bool:
        """True if the numbers of a message say that another capture began, though nobody told.

        Args:
            samples: Of the next message.
            over: This capture has ended: another one begins at 0. Before, only numbers that fall beyond `window` tell it.
        """
        if not self.begun or any(name not in samples.values for name in self.channels):
            return False
        if over and 0 in (samples.first, samples.message):
            return True
        late = self.window * self.upsample
        return samples.first is not None and samples.first + len(samples) <= self._expected - late

    def take(self, samples: Samples) -> tuple[Placed | None, list[Gap]]:
        """The positions that these samples complete, and those that are given up."""
        if any(name not in samples.values for name in self.channels):
            self.strays += 1
            return None, []
        first = self._first(samples)
        if first is None:
            self.strays += 1
            return None, []
        self.begun = True
        values = np.stack([samples.values[name] for name in self.channels], axis=1)
        placed = self._complete(first + np.arange(len(values)), values)
        return placed, self._give_up(max(self._done, default=-1) + 1 - self.window)

    def _first(self, samples: Samples) -> int | None:
        """Number of the first sample; None if nobody can tell."""
        first = samples.first
        if first is None:
            # without sample numbers only an unbroken row of messages tells where the samples belong
            if samples.message is not None and samples.message != self._next_message:
                return None
            first = self._expected
        if first > self._expected + FURTHEST:
            return None
        self._next_message = (samples.message or 0) + 1
        self._expected = first + len(samples)
        return first

    def _complete(self, numbers: Ids, values: Array) -> Placed | None:
        keys = numbers // self.upsample
        ready: list[int] = []
        means: list[Array] = []
        starts = np.flatnonzero(np.diff(keys, prepend=keys[0] - 1)) if len(keys) else []
        for start, stop in zip(starts, [*starts[1:], len(keys)], strict=True):
            key = int(keys[start])
            if key < self._settled or key in self._done:
                continue
            total = self._sums.pop(key, 0) + values[start:stop].sum(axis=0)
            count = self._counts.pop(key, 0) + int(stop - start)
            if count < self.upsample:
                self._sums[key], self._counts[key] = total, count
                continue
            ready.append(key)
            means.append(total / self.upsample)
            self._done.add(key)
        if not ready:
            return None
        return Placed(np.array(ready, np.int64), np.stack(means))

    def finish(self, stop: Stop | None = None) -> list[Gap]:
        """Give up what is missing; `stop` tells how many samples there should have been."""
        end = self._highest() + 1
        if stop is not None and stop.samples is not None:
            end = max(end, min(stop.samples, self._expected + FURTHEST) // self.upsample)
        return self._give_up(end)

    def _highest(self) -> int:
        return max(max(self._done, default=-1), max(self._counts, default=-1), self._settled - 1)

    def _give_up(self, end: int) -> list[Gap]:
        """Gaps for what is missing below `end`; afterwards everything below it is settled."""
        gaps: list[Gap] = []
        place = self._settled
        for key in sorted(key for key in self._done.union(self._counts) if key < end):
            if key > place:
                gaps.append(Gap(0, place, key - 1, "its samples never came"))
            if key in self._counts:
                gaps.append(Gap(0, key, key, "some of its samples never came"))
                del self._counts[key], self._sums[key]
            self._done.discard(key)
            place = key + 1
        if place < end:
            gaps.append(Gap(0, place, end - 1, "its samples never came"))
        self._settled = max(self._settled, end)
        return gaps
