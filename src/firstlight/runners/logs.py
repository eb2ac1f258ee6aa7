"""What sources, sinks and views say in Python's log, as events of the run."""

from __future__ import annotations

import logging
from typing import Literal

from firstlight.core.run import Event

from .context import Context

LOGGER = logging.getLogger("firstlight")


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
        """Listen."""
        LOGGER.addHandler(self)

    def detach(self) -> None:
        """Listen no more; harmless when called twice."""
        LOGGER.removeHandler(self)
