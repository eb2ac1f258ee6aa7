"""How long the event loop was kept from its work: it must never be longer than 20 ms."""

from __future__ import annotations

import asyncio
import time
from collections import deque

import anyio.to_thread

PERIOD = 0.01
"""Seconds between two looks."""
KEPT = 60
"""Seconds that are remembered."""


class StallMonitor:
    """Wakes up every 10 ms and notes by how much it was late.

    Late may mean that we kept the loop (work on it, or another of our threads that held the interpreter), or that the
    system gave the processor to somebody else. What is ours can not be longer than the processor time that our process
    used meanwhile; both figures are kept, because users feel the first and we can mend the second.
    """

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._worst: deque[tuple[int, float, float]] = deque(maxlen=KEPT)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin, on the running loop."""
        # the first use of a thread imports what asyncio needs for it: before anybody waits, not after
        await anyio.to_thread.run_sync(time.monotonic)
        self._task = asyncio.get_running_loop().create_task(self._watch(), name="stall-monitor")

    def stop(self) -> None:
        """End; harmless when called twice."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self) -> None:
        while True:
            begun, used = time.monotonic(), time.process_time()
            await asyncio.sleep(PERIOD)
            now = time.monotonic()
            late = now - begun - PERIOD
            self._note(int(now), late, min(late, time.process_time() - used))

    def _note(self, second: int, late: float, ours: float) -> None:
        if self._worst and self._worst[-1][0] == second:
            _, other, other_ours = self._worst.pop()
            late, ours = max(late, other), max(ours, other_ours)
        self._worst.append((second, late, ours))

    @property
    def worst_ms(self) -> float:
        """The longest stall of the last minute, in millisecond, whoever's fault it was."""
        return self._max(1)

    @property
    def worst_own_ms(self) -> float:
        """The longest stall of the last minute that may be our own fault, in millisecond."""
        return self._max(2)

    def _max(self, which: int) -> float:
        oldest = time.monotonic() - KEPT
        return max((1000 * item[which] for item in list(self._worst) if item[0] >= oldest), default=0.0)
