"""Where the frames of one acquisition belong: by the detector's own number, never by arrival."""

from __future__ import annotations

from dataclasses import replace

from .chunk import Gap
from .sequence import Placed, Sequencer


class Places:
    """Places the frames of one acquisition; used by one thread.

    Args:
        announced: It began with a header, so that its first frame is number 0 and numbers never start over. Without one, a
            number that falls far back opens a new epoch: that is all that some replays tell of a new scan.
        window: How far out of order frames may come; a frame is given up after so many later ones.
        total: How many frames there will be, where that is known.
    """

    def __init__(self, *, announced: bool, window: int, total: int | None) -> None:
        """Start before the first frame."""
        self._announced, self._window, self.total = announced, window, total
        self._sequencer = Sequencer(bits=48, window=window, first=0 if announced or total is not None else None)
        self._settled: int = 0
        self._epoch: int = 0
        self.late = 0
        """Frames that came after they had been given up."""
        self.beyond = 0
        """Frames whose number lies beyond the end."""

    @property
    def duplicates(self) -> int:
        """Frames that came twice, or after they had been given up."""
        return self._sequencer.duplicates + self.late

    @property
    def complete(self) -> bool:
        """True when every frame of an acquisition of known length has come or has been given up."""
        return self.total is not None and self._settled >= self.total

    def take(self, number: int) -> Placed | None:
        """The place of one frame; None if it has none, which is counted."""
        if self.total is not None and number >= self.total:
            self.beyond += 1
            return None
        top = self._sequencer.top
        if self._announced and top is not None and number < top - self._window:
            self.late += 1
            return None
        placed = self._sequencer.place(number)
        if placed is not None:
            self._settle(placed.epoch, 1)
        return placed

    def follow(self, first: int, count: int) -> bool:
        """Place so many frames in one go, at their numbers, if they continue the last one; otherwise nothing is done."""
        if self.total is not None and first + count > self.total:
            return False
        followed = self._sequencer.follow(first, count)
        if followed:
            self._settle(self._sequencer.epoch, count)
        return followed

    def gaps(self) -> list[Gap]:
        """The gaps found since the last call."""
        found = self._sequencer.gaps()
        for gap in found:
            self._settle(gap.epoch, len(gap))
        return found

    def finish(self, reason: str, *, tail: bool) -> list[Gap]:
        """Everything that is missing now; up to the end of the acquisition if `tail`, otherwise up to the last frame seen."""
        last = self.total - 1 if tail and self.total is not None else None
        if last is None and self._sequencer.top is None:
            return []
        return [replace(gap, reason=reason) if reason else gap for gap in self._sequencer.finish(last)]

    def _settle(self, epoch: int, count: int) -> None:
        if epoch != self._epoch:
            self._settled = 0
        self._epoch = epoch
        self._settled += count
