"""How long a detector has been silent, as far as we can know."""

from __future__ import annotations

import time

_LOOK = 0.2
"""Seconds that one look can tell of: who listens looks more often."""


class Silence:
    """Counts for how long nothing has come to somebody who looks again and again.

    Time in which nobody looked says nothing of the detector: a process that the system kept from running, or a computer
    that slept, finds what came meanwhile only at its next look. So one look counts for little, however late it is.
    """

    def __init__(self) -> None:
        """Begin to listen now."""
        self._seconds, self._looked = 0.0, time.monotonic()

    def look(self) -> float:
        """Nothing has come since the last look; for how many seconds by now."""
        now = time.monotonic()
        self._seconds += min(now - self._looked, _LOOK)
        self._looked = now
        return self._seconds

    def broken(self) -> None:
        """Something has come."""
        self._seconds, self._looked = 0.0, time.monotonic()
