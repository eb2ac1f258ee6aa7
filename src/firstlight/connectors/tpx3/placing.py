"""Hits to frames: which scan point the probe stood at when an electron came.

Triggers tell where the scan is: one for each line, whose points are then equally long, or one for each point. They bear numbers, so that
one that was lost leaves a gap and moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstlight.core.chunk import Chunk, Gap, Item
from firstlight.kernels.sparse_frames import SparseFrames
from firstlight.kernels.timepix import cluster

from .packets import Found, joined

MOST = 4096
"""Frames handed on at once."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How a scan runs, in ticks."""

    lines: int
    points: int
    dwell: float
    """How long the probe stays at a point."""
    per_line: bool
    """A trigger begins a line; otherwise each point."""
    kind: int
    """Of the triggers that count."""
    disorder: int
    """How late a packet may come behind others."""
    window: int | None
    """Time within which neighbouring hits are one electron; None: each hit counts."""

    @property
    def points_of_trigger(self) -> int:
        """Frames that begin with a trigger."""
        return self.points if self.per_line else 1

    @property
    def frames(self) -> int:
        """Of the whole scan."""
        return self.lines * self.points


class Placing:
    """Holds hits until their scan points are over, then gives frames in order; bounded by what comes in one line and `disorder`."""

    def __init__(self, clock: Clock, size: tuple[int, int], dtype: str) -> None:
        """Before the first trigger."""
        self._clock, self._size, self._dtype = clock, size, dtype
        self._hits: list[Found] = []
        self._starts: list[int] = []
        self._numbers: list[int] = []
        self._last: int | None = None
        """Count of the last trigger, which wraps."""
        self._number = -1
        self._done = 0
        """Frames given out, or given up."""
        self.outside = 0
        """Hits between scan points, or before the scan."""
        self.strange = 0
        """Triggers whose number or time can not be."""

    @property
    def complete(self) -> bool:
        """True once every frame was given out, or the triggers went beyond the scan."""
        beyond = (self._number + 1) * self._clock.points_of_trigger > self._clock.frames
        return self._done >= self._clock.frames or (beyond and not self._starts)

    @property
    def started(self) -> bool:
        """True once a trigger has come."""
        return self._last is not None

    def push(self, found: Found, newest: int) -> Iterator[Item]:
        """Take hits and triggers; the frames that are over by now."""
        for kind, count, time in found.triggers.tolist():
            if kind == self._clock.kind:
                self._trigger(count, time)
        if len(found.times):
            self._hits.append(found)
        return self._over(newest - self._clock.disorder)

    def flush(self) -> Iterator[Item]:
        """All that is left: nothing more will come."""
        yield from self._over(None)
        yield from self._gap(self._clock.frames, "the stream ended before the scan did")

    def _trigger(self, count: int, time: int) -> None:
        ahead = 1 if self._last is None else (count - self._last) % 4096
        if ahead == 0 or ahead > 2048 or (self._starts and time <= self._starts[-1]):
            self.strange += 1
            return
        self._last, self._number = count, self._number + ahead
        if self._number * self._clock.points_of_trigger < self._clock.frames:
            self._starts.append(time)
            self._numbers.append(self._number)

    def _over(self, now: int | None) -> Iterator[Item]:
        """Frames of triggers whose time is over at `now` (None: all), and drop the hits that no frame can want any more."""
        starts, numbers = np.array(self._starts, np.int64), np.array(self._numbers, np.int64)
        length = self._clock.dwell * self._clock.points_of_trigger
        ends = starts + np.int64(np.ceil(length))
        if not self._clock.per_line and len(starts) > 1:
            follows = np.diff(numbers) == 1
            ends[:-1] = np.where(follows, starts[1:], np.minimum(starts[1:], ends[:-1]))
        ready = len(starts) if now is None else int(np.searchsorted(ends, now, "right"))
        before = now
        if ready < len(starts):
            before = int(starts[ready])
        hits = self._taken(before)
        if ready:
            yield from self._frames(starts[:ready], ends[:ready], numbers[:ready], hits)
            del self._starts[:ready], self._numbers[:ready]
        else:
            self.outside += len(hits.times)

    def _taken(self, before: int | None) -> Found:
        """The hits before a time (None: all), in order."""
        whole = joined(self._hits)
        early = np.ones(len(whole.times), bool) if before is None else whole.times < before
        late = ~early
        self._hits = [Found(whole.times[late], whole.pixels[late], whole.widths[late], whole.triggers[:0])]
        order = np.flatnonzero(early)[np.argsort(whole.times[early], kind="stable")]
        return Found(whole.times[order], whole.pixels[order], whole.widths[order], whole.triggers[:0])

    def _frames(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64], numbers: NDArray[np.int64], hits: Found
    ) -> Iterator[Item]:
        times, pixels = hits.times, hits.pixels
        if self._clock.window is not None:
            times, pixels, _ = cluster(times, pixels, hits.widths, self._size[1], self._clock.window)
        which = np.searchsorted(starts, times, "right") - 1
        point = np.zeros(len(times), np.int64)
        if self._clock.per_line:
            point = ((times - starts[which]) / self._clock.dwell).astype(np.int64)
        inside = (which >= 0) & (times < ends[which]) & (point < self._clock.points_of_trigger)
        self.outside += int((~inside).sum())
        rank = (which * self._clock.points_of_trigger + point)[inside]
        order = np.argsort(rank, kind="stable")
        counts = np.bincount(rank, minlength=len(starts) * self._clock.points_of_trigger)
        events = pixels[inside][order]
        whole = SparseFrames(
            np.concatenate([[0], np.cumsum(counts)]), events, np.ones(len(events), np.uint8), self._size, self._dtype
        )
        ids = (numbers[:, None] * self._clock.points_of_trigger + np.arange(self._clock.points_of_trigger)).ravel()
        breaks = np.flatnonzero(np.diff(ids) != 1) + 1
        for run in np.split(np.arange(len(ids)), breaks):
            yield from self._gap(int(ids[run[0]]), "triggers were lost")
            for first in range(int(run[0]), int(run[-1]) + 1, MOST):
                part = slice(first, min(first + MOST, int(run[-1]) + 1))
                yield Chunk(whole[part], ("row", "col"), ids[part])  # pyright: ignore[reportArgumentType]
            self._done = int(ids[run[-1]]) + 1

    def _gap(self, until: int, why: str) -> Iterator[Item]:
        if until > self._done:
            yield Gap(0, self._done, until - 1, why)
            self._done = until
