"""The newest version of every view, for whoever looks; posting never waits for anybody."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace

from firstlight.core.errors import FirstlightError
from firstlight.core.view import Shown, View


class Board:
    """Newest-wins pictures by view name; safe for any number of threads."""

    def __init__(self) -> None:
        """Start with nothing to see."""
        self._changed = threading.Condition()
        self._shown: dict[str, Shown] = {}
        self._closed = False
        self.latency_ms: deque[float] = deque(maxlen=10_000)

    def post(self, name: str, shown: Shown) -> None:
        """Put up a new version; its number is set here."""
        with self._changed:
            before = self._shown.get(name)
            self._shown[name] = replace(shown, version=0 if before is None else before.version + 1)
            if shown.received and (before is None or shown.received > before.received):
                self.latency_ms.append(max((shown.finished - shown.received) * 1e3, 0.0))
            self._changed.notify_all()

    def get(self, name: str, after: int = -1, timeout: float | None = 0.0) -> Shown | None:
        """The newest version, if newer than `after`; waits up to `timeout` second for one."""

        def newer() -> bool:
            return self._closed or (name in self._shown and self._shown[name].version > after)

        with self._changed:
            self._changed.wait_for(newer, timeout)
            found = self._shown.get(name)
            return found if found is not None and found.version > after else None

    def close(self) -> None:
        """Nothing new will come; wakes everybody who waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """True when nothing new will come."""
        return self._closed


class Showing(threading.Thread):
    """Feeds one view plugin from the board, on a thread of its own; what the plugin is too slow for is counted."""

    def __init__(self, view: View, name: str, board: Board, every: float) -> None:
        """Not started yet."""
        super().__init__(name=f"view-{view.use}-{name}", daemon=True)
        self.view = view
        self._view_name = name
        self._board = board
        self._every = every
        self.skipped = 0
        self.error: str | None = None

    def run(self) -> None:
        """Show until the board closes; an error ends this view alone, not the run."""
        last = -1
        try:
            while True:
                shown = self._board.get(self._view_name, last, timeout=None)
                if shown is None:
                    break
                self.skipped += max(shown.version - last - 1, 0)
                last = shown.version
                self.view.show(shown)
                if not self._board.closed:
                    time.sleep(self._every)
        except (FirstlightError, OSError, ValueError, RuntimeError) as error:
            self.error = str(error)
        finally:
            self.view.close()
