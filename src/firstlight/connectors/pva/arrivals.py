"""What each update of an image channel is: a frame of this scan, an old one served again, or one of a restarted IOC.

A channel serves its current value to whoever connects. That value may be the last frame of a scan that ended yesterday,
or the first of this one. So it waits until the next frame comes: it belongs to the scan if that frame continues it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from firstlight.core.chunk import Gap
from firstlight.core.sequence import Sequencer

_log = logging.getLogger(__name__)


class Numbered(Protocol):
    """Anything with a running number and a time stamp."""

    @property
    def id(self) -> int:
        """The detector's own number."""
        ...

    @property
    def stamp(self) -> float:
        """Second since 1970, 0 if unknown."""
        ...


Item = TypeVar("Item", bound=Numbered)


@dataclass(frozen=True, slots=True)
class Arrival(Generic[Item]):
    """A frame and its place in the scan."""

    frame: Item
    epoch: int
    place: int
    """Counted from 0 at the first projection."""


class Arrivals(Generic[Item]):
    """Places the frames of one channel; used by one thread.

    Args:
        start: The number of the frame at place 0.
        bits: Width of the detector's counter.
        window: How far out of order frames may come.
        frames: How many there will be, where that is known: a missing head and tail then count as lost.
        idle: Seconds after which a frame no longer continues the one before it.
        since: When the connection was asked for (second since 1970).
    """

    def __init__(
        self, *, start: int, bits: int, window: int, frames: int | None, idle: float, since: float = 0.0
    ) -> None:
        """Start before the first connection."""
        self._start, self._bits, self._window, self._frames = start, bits, window, frames
        self._idle, self._since = idle, since
        self._sequencer = Sequencer(bits=bits, window=window, first=None if frames is None else start)
        self._candidate: Item | None = None
        self._current = True
        """The next update is the value that the channel had when we connected."""
        self._reconnected = False
        self._warned = False
        self._unplaced = 0
        """Frames of this scan whose number is below its first: counted as rejected when it ends."""
        self._last: tuple[int, float] | None = None
        self._settled = 0
        self._settled_epoch = 0
        self.repeated = 0
        """Updates that brought a frame that was there already."""

    @property
    def epoch(self) -> int:
        """The epoch of the frames that come now."""
        return self._sequencer.epoch

    @property
    def next_place(self) -> int:
        """The place after the newest frame; 0 before the first."""
        top = self._sequencer.top
        return 0 if top is None else max(0, top + 1 - self._start)

    @property
    def started(self) -> bool:
        """True once a frame has been placed."""
        return self._last is not None

    @property
    def came(self) -> bool:
        """True once a frame of this scan has come, even if it still waits for the one that continues it."""
        return self.started or (self._candidate is not None and self._candidate.stamp >= self._since)

    @property
    def duplicates(self) -> int:
        """Frames that came twice."""
        return self._sequencer.duplicates + self.repeated

    @property
    def complete(self) -> bool:
        """True when every frame of a scan of known length has come or has been given up."""
        return self._frames is not None and self._settled >= self._frames

    @property
    def reached_end(self) -> bool:
        """True when the last frame of a scan of known length has come, though some before it may be missing."""
        return self._frames is not None and self.next_place >= self._frames

    def disconnected(self) -> None:
        """The channel went away; what comes next is the value it has when it is back."""
        self._current = True
        self._reconnected = self.started

    def blank(self) -> None:
        """The channel has no frame yet: the next update is a new one."""
        self._current = False

    def take(self, frame: Item) -> list[Arrival[Item]]:
        """Place one update: no frame (old, repeated, or not decided yet), one, or two."""
        number = frame.id & ((1 << self._bits) - 1)
        if self._before_scan(number):
            self._current = False
            self._leave_out(number)
            return []
        if self._current:
            self._current = False
            if self._last == (frame.id, frame.stamp):
                self.repeated += 1
            else:
                self._candidate = frame
            return []
        frames = [frame]
        if self._candidate is not None:
            if self._continues(self._candidate, frame):
                frames.insert(0, self._candidate)
            else:
                _log.info("Frame %d was there before this scan; left out.", self._candidate.id)
            self._candidate = None
        return [placed for one in frames if (placed := self._place(one)) is not None]

    def _before_scan(self, number: int) -> bool:
        """A number below the first projection's, unless the counter has just wrapped."""
        top = self._sequencer.top
        return number < self._start and (top is None or top < (1 << self._bits) - self._window)

    def _leave_out(self, number: int) -> None:
        """Say once that frames have no place: those before the scan are not its own, later ones count as rejected."""
        if not self.started:
            if not self._warned:
                text = "Frame %d comes before the first projection (first_id + first_proj_id = %d): all below are left out."
                _log.warning(text, number, self._start)
            self._warned = True
            return
        self._unplaced += 1
        if self._unplaced == 1:
            text = (
                "Frame %d came after frame %d, below the scan's first (first_id + first_proj_id = %d): it has no angle. "
                "Such frames count as rejected when the scan ends. A counter that wraps needs its width: id_bits (now %d)."
            )
            _log.warning(text, number, self._sequencer.top, self._start, self._bits)

    def _continues(self, first: Item, second: Item) -> bool:
        step = (second.id - first.id) % (1 << self._bits)
        known = first.stamp > 0 and second.stamp > 0
        return 0 < step <= self._window and (not known or second.stamp - first.stamp < self._idle)

    def _place(self, frame: Item) -> Arrival[Item] | None:
        placed = self._sequencer.place(frame.id & ((1 << self._bits) - 1), reconnected=self._reconnected)
        if placed is None:
            return None
        self._reconnected = False
        self._last = (frame.id, frame.stamp)
        if placed.id < self._start:
            return None
        self._settle(placed.epoch, 1)
        return Arrival(frame, placed.epoch, placed.id - self._start)

    def _settle(self, epoch: int, count: int) -> None:
        if epoch != self._settled_epoch:
            # numbers below the first came before the scan that the restarted detector takes
            self._settled, self._settled_epoch, self._unplaced = 0, epoch, 0
        self._settled += count

    def gaps(self) -> list[Gap]:
        """The gaps found since the last call, by place."""
        return self._by_place(self._sequencer.gaps())

    def finish(self) -> tuple[list[Arrival[Item]], list[Gap]]:
        """The end: a frame that still waited, if it was posted after we connected, and everything that is missing."""
        waiting, self._candidate = self._candidate, None
        arrival = self._place(waiting) if waiting is not None and waiting.stamp >= self._since else None
        last = self._start + self._frames - 1 if self._frames is not None and self.started else None
        rejected = self._rejected()
        return ([arrival] if arrival else []), rejected + self._by_place(self._sequencer.finish(last))

    def _rejected(self) -> list[Gap]:
        """Frames without a number of this scan came instead of those after the newest: they take those places."""
        open_places = self._unplaced if self._frames is None else min(self._unplaced, self._frames - self.next_place)
        if open_places <= 0:
            return []
        first = self.next_place
        reason = f"numbered below the scan's first frame {self._start} (id_bits is {self._bits})"
        return [Gap(self.epoch, first, first + open_places - 1, reason, "rejected")]

    def _by_place(self, gaps: list[Gap]) -> list[Gap]:
        moved: list[Gap] = []
        for gap in gaps:
            first, last = max(0, gap.first - self._start), gap.last - self._start
            if last >= first:
                moved.append(replace(gap, first=first, last=last))
                self._settle(gap.epoch, last - first + 1)
        return moved
