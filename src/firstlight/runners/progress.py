"""How a run gets on: the rate of each consumer, what is left, and what everything waits for."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from firstlight.core.run import ENDED, Counts, RunState

from .consumers import begun, share_done, titles
from .context import READING, WRITING, Context, StageTimes
from .under_way import Work

WINDOW = 3.0
"""Seconds that rates are counted over: short enough to follow a change …"""
_CHANGES = 4
"""… but never over fewer steps forward than these: what goes on block by block has no rate in between."""
_EVERY = 0.25
"""Seconds between two points that are remembered."""
_REMEMBERED = 1000


class Progress:
    """Remembers how a run got on; called by whoever asks for the status."""

    def __init__(self, threads: int) -> None:
        """Nothing is known yet; `threads` share the work of each stage."""
        self._threads = max(threads, 1)
        self._done: dict[str, deque[tuple[float, float]]] = {}
        """By consumer: times at which it was found further on, and how far."""
        self._worked: deque[tuple[float, dict[str, float]]] = deque()
        """Times, and seconds worked by stage, of the last seconds."""
        self._lock = threading.Lock()

    def told(self, consumers: Mapping[str, Counts], context: Context, state: RunState) -> dict[str, Any]:
        """The fields of a status: how far each part is, what all wait for, and the share of it all that is done.

        After the end they say how far each part came, unless all is done.
        """
        if state == "done":
            return {"progress": 1.0}
        plan, works = context.plan, context.under_way.now()
        if state in ENDED:
            far = self.stages(consumers, {}, titles(plan, consumers))
            return {
                "progress": 1.0,
                "stages": {name: {**each, "rate": 0.0, "left": None} for name, each in far.items()},
            }
        part = begun(plan, consumers, works)
        return {
            "progress": share_done(plan, consumers, part),
            "stages": self.stages(consumers, part, titles(plan, consumers)),
            "bound": self.bound(dict(context.times), works),
        }

    def stages(
        self, consumers: Mapping[str, Counts], begun: Mapping[str, float], titles: Mapping[str, str]
    ) -> dict[str, dict[str, Any]]:
        """By consumer: its title, frames done and expected, frames per second now, and seconds left (None: not known).

        Args:
            consumers: Their counts.
            begun: By consumer: frames' worth of what is done within unfinished blocks.
            titles: What it counts, in words, where its name does not say it.
        """
        found: dict[str, dict[str, Any]] = {}
        now = time.monotonic()
        for name, counts in consumers.items():
            settled = counts.expected - counts.waiting
            rate = self._rate(name, settled + begun.get(name, 0.0), now)
            waiting = counts.waiting - begun.get(name, 0.0)
            left = 0.0 if not counts.waiting else waiting / rate if rate else None
            told = {"done": settled, "expected": counts.expected, "rate": rate, "left": left}
            found[name] = {"title": titles.get(name, name), **told}
        return found

    def _rate(self, name: str, done: float, now: float) -> float:
        """Frames per second of one consumer: over the window, or longer where it takes big steps."""
        with self._lock:
            points = self._done.setdefault(name, deque([(now, done)], maxlen=_REMEMBERED))
            if not done:
                points[-1] = (now, done)  # it counts from its beginning, not from the run's
            elif done != points[-1][1] and now - points[-1][0] >= _EVERY:
                points.append((now, done))
            enough = [point for point in list(points)[:-_CHANGES] if now - point[0] >= WINDOW]
            since, before = enough[-1] if enough else points[0]
        return max(done - before, 0.0) / (now - since) if now > since else 0.0

    def bound(self, times: Mapping[str, StageTimes], works: Sequence[Work]) -> str | None:
        """What takes longest now: reading, computing a step (and in which round), or writing; None before anything was done.

        Args:
            times: What was worked, by stage.
            works: What is under way.
        """
        now = time.monotonic()
        worked = {name: each.seconds for name, each in times.items()}
        for work in works:
            worked[work.step] = worked.get(work.step, 0.0) + max(now - work.since, 0.0)
        before = self._worked_before(now, worked)
        shares: dict[str, float] = {}
        for name, seconds in worked.items():
            parts = 1 if name == READING or name.startswith(WRITING) else self._threads
            shares[name] = (seconds - before.get(name, 0.0)) / parts
        busiest = max(shares, key=lambda name: shares[name], default=None)
        if busiest is None or shares[busiest] <= 0:
            return None
        if busiest == READING or busiest.startswith(WRITING):
            return busiest
        rounds = next((f" ({work.done} of {work.of} rounds)" for work in works if work.step == busiest and work.of), "")
        return f"computing {busiest}{rounds}"

    def _worked_before(self, now: float, worked: dict[str, float]) -> dict[str, float]:
        """Note what was worked by now; what was worked when the window began."""
        with self._lock:
            before = self._worked[0][1] if self._worked else {}
            if not self._worked or now - self._worked[-1][0] >= _EVERY:
                self._worked.append((now, worked))
            while len(self._worked) > 2 and now - self._worked[1][0] >= WINDOW:
                self._worked.popleft()
        return before
