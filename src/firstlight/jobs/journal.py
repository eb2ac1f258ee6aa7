"""The events of a run as numbered lines: in a file for later, and in memory for those who watch."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from firstlight.core.run import Event, Run

from .messages import event_fields
from .protocol import plain

_KEPT_OUT = frozenset({"view"})
"""Kinds that come many times a second and mean nothing later."""
_LONGEST = 100_000
"""Lines after which only warnings, errors and states are still written: a log may not fill the disk."""


class Journal:
    """Collects the events of one run on a thread of its own.

    Args:
        path: The file, one JSON object a line.
    """

    def __init__(self, path: Path) -> None:
        """Start an empty journal."""
        self._changed = threading.Condition()
        self._lines: list[dict[str, Any]] = []
        self._file = path.open("a", buffering=1, encoding="utf-8")
        self._ended = False
        self._thread: threading.Thread | None = None

    def follow(self, run: Run) -> None:
        """Write down what a run does, until it has ended."""
        self._thread = threading.Thread(target=self._follow, args=(run,), name="run-journal", daemon=True)
        self._thread.start()

    def _follow(self, run: Run) -> None:
        try:
            for event in run.events(follow=True):
                self.add(event)
        except Exception as error:  # the journal must not end in silence
            self.add(Event("log", f"The log ends here: {error}", level="error"))
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def add(self, event: Event) -> None:
        """Write one line."""
        if event.kind in _KEPT_OUT or (
            len(self._lines) >= _LONGEST and event.level == "info" and event.kind != "state"
        ):
            return
        with self._changed:
            line = {"n": len(self._lines), **event_fields(event)}
            self._lines.append(line)
            try:
                self._file.write(json.dumps(plain(line)) + "\n")
            except (OSError, ValueError):
                pass  # a full disk ends the file, not the run
            self._changed.notify_all()

    def after(self, number: int, wait: float) -> tuple[list[dict[str, Any]], bool]:
        """Lines from `number` on that are there within `wait` second, and whether there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or len(self._lines) > max(number, 0), wait)
            return self._lines[max(number, 0) :], self._ended

    def close(self, timeout: float = 60.0) -> None:
        """Wait for the last events of a run that has ended, then close the file."""
        if self._thread is not None:
            self._thread.join(timeout)
        with self._changed:
            self._ended = True
            self._changed.notify_all()
            self._file.close()
