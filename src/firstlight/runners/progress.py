"""How a run gets on: the rate of each consumer, what is left, and what everything waits for."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from firstlight.core.run import Counts

from .context import READING, WRITING, StageTimes

WINDOW = 3.0
"""Seconds that rates are counted over: long enough for a slow stage, short enough to follow a change."""
_EVERY = 0.25
"""Seconds between two points that are remembered."""

Point = tuple[float, dict[str, int], dict[str, float]]
"""Time, frames settled by consumer, seconds worked by stage."""


class Progress:
    """Remembers the last seconds of a run, a point at a time; called by whoever asks for the status."""

    def __init__(self, threads: int) -> None:
        """Nothing is known yet; `threads` share the work of each stage."""
        self._threads = max(threads, 1)
        self._points: deque[Point] = deque()
        self._lock = threading.Lock()

    def stages(self, consumers: Mapping[str, Counts], times: Mapping[str, StageTimes]) -> dict[str, dict[str, Any]]:
        """By consumer: frames done and expected, frames per second now, and seconds left (None: not known)."""
        now = time.monotonic()
        settled = {name: counts.expected - counts.waiting for name, counts in consumers.items()}
        before, done, _ = self._window((now, settled, {name: t.seconds for name, t in times.items()}))
        found: dict[str, dict[str, Any]] = {}
        for name, counts in consumers.items():
            rate = max(settled[name] - done.get(name, 0), 0) / (now - before) if now > before else 0.0
            left = 0.0 if not counts.waiting else counts.waiting / rate if rate else None
            found[name] = {"done": settled[name], "expected": counts.expected, "rate": rate, "left": left}
        return found

    def bound(self, times: Mapping[str, StageTimes]) -> str | None:
        """What takes longest now: reading, computing a step, or writing; None before anything was done."""
        with self._lock:
            before = self._points[0][2] if self._points else {}
        shares: dict[str, float] = {}
        for name, each in times.items():
            worked = each.seconds - before.get(name, 0.0)
            if name == READING or name.startswith(WRITING):
                shares[name] = worked
            else:
                shares[f"computing {name}"] = worked / self._threads
        busiest = max(shares, key=lambda name: shares[name], default=None)
        return busiest if busiest is not None and shares[busiest] > 0 else None

    def _window(self, point: Point) -> Point:
        """Add a point; the oldest one within the window."""
        with self._lock:
            if not self._points or point[0] - self._points[-1][0] >= _EVERY:
                self._points.append(point)
            while len(self._points) > 2 and point[0] - self._points[1][0] >= WINDOW:
                self._points.popleft()
            return self._points[0]
