"""Views of per-frame steps: the assembled array, posted at most so often."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from firstlight.core.chunk import Scan
from firstlight.core.view import Shown

from .assemble import Assembled
from .board import Board


@dataclass(slots=True)
class Watched:
    """One assembled array that is viewed."""

    name: str
    scan: Scan
    assembled: Assembled
    every: float
    posted: int = 0
    due: float = 0.0


class ViewClock(threading.Thread):
    """Posts assembled arrays that have changed, each at its own pace."""

    def __init__(self, watched: list[Watched], board: Board) -> None:
        """Not started yet."""
        super().__init__(name="view-clock", daemon=True)
        self._watched = watched
        self._board = board
        self._end = threading.Event()

    def run(self) -> None:
        """Look at the arrays until told to end."""
        while not self._end.wait(0.02):
            for each in self._watched:
                if time.monotonic() >= each.due:
                    self._post(each)

    def _post(self, each: Watched) -> None:
        version = each.assembled.version
        if version == each.posted:
            return
        each.posted = version
        each.due = time.monotonic() + each.every
        result = each.assembled.result()
        epoch, frame = each.assembled.newest
        shown = Shown(
            result.data,
            each.scan.main,
            0,
            epoch,
            frame,
            each.assembled.received,
            coverage=each.assembled.coverage,
            covered=result.covered,
            calibration=each.scan.calibration,
        )
        self._board.post(each.name, shown)

    def end(self) -> None:
        """Post what is new, then stop."""
        self._end.set()
        self.join(timeout=10)
        for each in self._watched:
            self._post(each)
