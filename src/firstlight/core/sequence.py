"""From a detector's running number to (epoch, id): unwraps, finds gaps, duplicates and restarts.

A number that falls from within one reorder window of the counter's maximum to within one of zero has wrapped; any other
fall beyond the window opens a new epoch, because the detector restarted.
"""

from __future__ import annotations

from typing import NamedTuple

from .chunk import MAIN, Gap


class Placed(NamedTuple):
    """Where one frame belongs (a tuple, because one is made for every frame, and nothing is made faster)."""

    epoch: int
    id: int


class Sequencer:
    """Places frames by their number and reports those that never came; used by one thread.

    Args:
        bits: Width of the detector's counter.
        window: How far out of order frames may come. Only after so many later frames is a missing one given up.
        stream: The stream that gaps are reported for.
        first: The id of the first frame, where it is known: a missing head then counts as lost.
    """

    def __init__(self, *, bits: int = 32, window: int = 64, stream: str = MAIN, first: int | None = None) -> None:
        """Start before the first frame."""
        self._span = 1 << bits
        self._window = min(window, self._span // 4)
        self._stream = stream
        self._first = first
        self._epoch = 0
        self._next: int | None = first
        """The lowest id that is neither seen nor given up."""
        self._lowest: int | None = first
        """The first id of this epoch, as far as it is known."""
        self._ahead: set[int] = set()
        """Ids at or above `_next` that were seen."""
        self._top: int | None = None
        self._gaps: list[Gap] = []
        self.duplicates = 0

    @property
    def epoch(self) -> int:
        """The epoch of the frames that come now."""
        return self._epoch

    @property
    def top(self) -> int | None:
        """The highest id of this epoch, or None before its first frame."""
        return self._top

    def place(self, number: int, *, reconnected: bool = False) -> Placed | None:
        """Place one frame; None if it was seen before, which is counted, or given up already.

        Args:
            number: The detector's own number.
            reconnected: The connection was lost since the last frame: a number that is not above the last one then
                means that the detector started again, however near it is.
        """
        if number == self._next and self._top == number - 1:  # the next one: nothing is missing, and nothing wraps
            self._next, self._top = number + 1, number
            return Placed(self._epoch, number)
        frame = self._unwrap(number)
        if self._top is not None and (frame < self._top - self._window or (reconnected and frame <= self._top)):
            self._restart()
            frame = number
        if self._next is None or (frame < self._next and self._top is None):
            self._next = self._lowest = frame
        if self._first is None and self._lowest is not None and frame < self._lowest:
            self._begin_earlier(frame, self._lowest, self._next)
        if frame in self._ahead or frame < self._next:
            self.duplicates += 1
            return None
        self._see(frame)
        return Placed(self._epoch, frame)

    def follow(self, first: int, count: int) -> bool:
        """Place so many frames in one go if they continue the last one and nothing is missing; otherwise nothing is done."""
        if first != self._next or self._top != first - 1 or first + count > self._span:
            return False
        self._next, self._top = first + count, first + count - 1
        return True

    def gaps(self) -> list[Gap]:
        """The gaps found since the last call."""
        found, self._gaps = self._gaps, []
        return found

    def finish(self, last: int | None = None) -> list[Gap]:
        """Give up whatever is missing, up to `last` where that is known; return the new gaps."""
        end = self._top if last is None else max(last, -1 if self._top is None else self._top)
        if end is not None:
            if self._next is None:
                self._next = 0 if self._first is None else self._first
            self._give_up(end + 1)
        return self.gaps()

    def _unwrap(self, number: int) -> int:
        if self._top is None:
            return number
        turns, low = divmod(self._top, self._span)
        frame = turns * self._span + number
        near_end, near_start = self._span - self._window, self._window
        if low >= near_end and number < near_start:
            return frame + self._span
        if low < near_start and number >= near_end and turns > 0:
            return frame - self._span
        return frame

    def _begin_earlier(self, frame: int, lowest: int, after: int) -> None:
        """Where nobody told the first id, a frame may come after one that follows it: it is the first one then."""
        self._ahead.update(range(lowest, after))
        self._next = self._lowest = frame

    def _see(self, frame: int) -> None:
        self._ahead.add(frame)
        self._top = frame if self._top is None else max(self._top, frame)
        self._slide()
        if self._next is not None and self._top - self._next >= self._window:
            self._give_up(self._top - self._window + 1)

    def _slide(self) -> None:
        while self._next is not None and self._next in self._ahead:
            self._ahead.discard(self._next)
            self._next += 1

    def _give_up(self, end: int) -> None:
        """Report what is missing below `end`."""
        if self._next is None:
            return
        while self._next < end:
            later = min((frame for frame in self._ahead if frame < end), default=end)
            if later > self._next:
                self._gaps.append(Gap(self._epoch, self._next, later - 1, "never came", "lost", self._stream))
                self._next = later
            self._slide()

    def _restart(self) -> None:
        found = self.finish()
        self._gaps += found
        self._epoch += 1
        self._next = self._lowest = self._first
        self._top = None
        self._ahead.clear()
