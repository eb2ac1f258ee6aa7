"""How long the event loop was kept from its work: it must never be longer than 20 ms."""

from __future__ import annotations

import asyncio
import time
from collections import deque

PERIOD = 0.01
"""Seconds between two looks."""
KEPT = 60
"""Seconds that are remembered."""


class StallMonitor:
    """Wakes up every 10 ms and notes by how much it was late."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._worst: deque[tuple[int, float]] = deque(maxlen=KEPT)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="stall-monitor")

    def stop(self) -> None:
        """End; harmless when called twice."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(PERIOD)
            now = time.monotonic()
            self._note(int(now), now - begun - PERIOD)

    def _note(self, second: int, late: float) -> None:
        if self._worst and self._worst[-1][0] == second:
            late = max(late, self._worst.pop()[1])
        self._worst.append((second, late))

    @property
    def worst_ms(self) -> float:
        """The longest stall of the last minute, in millisecond."""
        oldest = time.monotonic() - KEPT
        return max((1000 * late for second, late in list(self._worst) if second >= oldest), default=0.0)

    def forget(self) -> None:
        """Start counting anew."""
        self._worst.clear()
