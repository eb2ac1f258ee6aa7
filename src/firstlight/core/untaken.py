"""Scans that began on a connection, until a reader takes them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .receiving import Receiving

Begun = TypeVar("Begun", bound=Receiving[Any])
_log = logging.getLogger(__name__)
_LOOK = 0.1
"""Seconds between two looks whether waiting has still a sense."""


class Untaken(Generic[Begun]):
    """Handed over from the thread that receives, which calls `add`, to readers.

    Who waits already gets each scan, however slowly that thread wakes; who comes later gets the newest `kept` of them.

    Args:
        changed: Guards this, and is notified when a scan begins.
    """

    def __init__(self, changed: threading.Condition) -> None:
        """None has begun."""
        self.kept = 1
        """Scans that may wait while no reader does; the oldest goes first."""
        self._changed = changed
        self._scans: deque[Begun] = deque()
        self._takers = 0

    def add(self, scan: Begun) -> None:
        """A scan has begun."""
        with self._changed:
            while len(self._scans) >= self.kept and not self._takers:
                self._pass_over(self._scans.popleft())
            self._scans.append(scan)
            self._changed.notify_all()

    def take(
        self, timeout: float | None, stopped: Callable[[], bool], wanted: Callable[[Begun], bool] = lambda scan: True
    ) -> Begun | None:
        """The oldest that is wanted, others are passed over; None at the time-out.

        Args:
            timeout: Seconds to wait at most; None: for ever.
            stopped: Says that waiting has no more sense.
            wanted: Says which will do.
        """
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            self._takers += 1
            try:
                while not stopped():
                    while self._scans:
                        scan = self._scans.popleft()
                        if wanted(scan):
                            return scan
                        self._pass_over(scan)
                    left = _LOOK if end is None else min(_LOOK, end - time.monotonic())
                    if left <= 0:
                        return None
                    self._changed.wait(left)
            finally:
                self._takers -= 1
        return None

    def begun(self, timeout: float) -> bool:
        """True once there is one that nobody has taken; waits up to `timeout` second for it."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._scans), timeout)

    def _pass_over(self, scan: Begun) -> None:
        _log.warning("%s was passed over: nobody took it.", scan.name.capitalize())
        scan.abandon()
