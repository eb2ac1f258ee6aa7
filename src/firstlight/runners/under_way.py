"""What the threads of a run are working on: since when, how far, and the word that ends it at the next pause."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import Token

from firstlight.core.errors import Stopped
from firstlight.core.sweep import turn
from firstlight.kernels.pause import Onlooker


class UnderWay:
    """Everything that is being worked on; safe for any number of threads."""

    def __init__(self, over: Callable[[], bool]) -> None:
        """Nothing yet; what is under way ends at its next pause once `over` says so."""
        self.over = over
        self.works: dict[int, Work] = {}

    def on(self, step: str, frames: int = 0, series: int = 1) -> Work:
        """A context in which a thread works on so many frames for a step (of fused ones: their names, joined).

        Its rounds are done `series` times, one series after the other.
        """
        return Work(step, frames, series, self)

    def now(self) -> list[Work]:
        """What is being worked on, the longest first."""
        return sorted(self.works.copy().values(), key=lambda work: work.since)


class Work(Onlooker):
    """One block, or one result, that a thread is busy with."""

    def __init__(self, step: str, frames: int, series: int, under_way: UnderWay) -> None:
        """Not begun yet."""
        self.step, self.frames, self._series = step, frames, series
        self._finished = 0
        self.since = time.monotonic()
        self.done = self.of = 0
        self._under_way = under_way

    @property
    def share(self) -> float:
        """How much of it is done, 0…1, by its rounds; 0 for what has none."""
        return self.done / self.of if self.of else 0.0

    def look(self, done: int, of: int) -> None:
        """Note how far it is; it ends here if the run does.

        Raises:
            Stopped: It does.
        """
        if self._under_way.over():
            raise Stopped(f"The run was stopped while '{self.step}' worked.")
        if of:
            self.done, self.of = self._finished * of + done, self._series * of

    def turn(self, done: int) -> None:
        """The next value of a sweep has its turn after so many others; it ends here if the run does.

        Raises:
            Stopped: It does.
        """
        self.look(0, 0)
        rounds = max(self.of // self._series, 1)
        self._finished, self.done, self.of = done, done * rounds, self._series * rounds

    def __enter__(self) -> None:
        """Begin."""
        self._under_way.works[id(self)] = self
        self._before_turn: Token[Callable[[int], None]] = turn.set(self.turn)
        super().__enter__()

    def __exit__(self, *error: object) -> None:
        """End."""
        super().__exit__(*error)
        turn.reset(self._before_turn)
        del self._under_way.works[id(self)]
