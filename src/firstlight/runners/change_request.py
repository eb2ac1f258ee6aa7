"""A change of parameters on its way to the thread that owns what is changed, and the answer to it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from firstlight.core.errors import ChangeRefused
from firstlight.core.step import Step


@dataclass(slots=True)
class ChangeRequest:
    """A change of parameters, and the answer to it."""

    step: Step
    answered: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None
    _taken: threading.Lock = field(default_factory=threading.Lock)

    def take(self) -> bool:
        """True for the one who answers; False if it was withdrawn."""
        return self._taken.acquire(blocking=False)

    def withdraw(self) -> bool:
        """True if nobody will answer any more; False if somebody does just now."""
        return self._taken.acquire(blocking=False)


def refuse_all(requests: deque[ChangeRequest], name: str) -> None:
    """Tell whoever still waits that the step has ended."""
    while requests:
        request = requests.popleft()
        if request.take():
            request.error = ChangeRefused(f"'{name}' has ended.", field="step", value=name)
            request.answered.set()
