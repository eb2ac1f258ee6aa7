"""What sources, sinks and views say in Python's log, as events of the run."""

from __future__ import annotations

import logging
import threading
from typing import Literal

from firstlight.core.run import Event

from .context import Context

LOGGER = logging.getLogger("firstlight")
_lock = threading.Lock()
_listening: set[EventLog] = set()
"""Runs for which the level was lowered: Python's own lets only warnings pass."""


class EventLog(logging.Handler):
    """Tells a run what is logged under ``firstlight`` while it is attached."""

    def __init__(self, context: Context) -> None:
        """Not attached yet."""
        super().__init__(logging.INFO)
        self._context = context

    def emit(self, record: logging.LogRecord) -> None:
        """Make an event of one message."""
        level: Literal["info", "warning", "error"] = "info"
        if record.levelno >= logging.WARNING:
            level = "error" if record.levelno >= logging.ERROR else "warning"
        self._context.tell(Event("log", record.getMessage(), level, record.created))

    def attach(self) -> None:
        """Listen, also to what is merely said, unless the program has set a level of its own for ``firstlight``."""
        LOGGER.addHandler(self)
        with _lock:
            if _listening or LOGGER.level == logging.NOTSET:
                _listening.add(self)
                LOGGER.setLevel(logging.INFO)

    def detach(self) -> None:
        """Listen no more; harmless when called twice."""
        LOGGER.removeHandler(self)
        with _lock:
            if self in _listening:
                _listening.discard(self)
                LOGGER.setLevel(logging.INFO if _listening else logging.NOTSET)
