"""Long computations pause between their rounds: whoever called them may look how far they are, and end them there.

The caller works within an `Onlooker`, which is told of every pause of its thread; where nobody looks, a pause costs nothing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextvars import ContextVar, Token

LONGEST = 2**31
"""Updates of a number after which work that is one piece of compiled code pauses: about a second of one core."""

_onlooker: ContextVar[Onlooker | None] = ContextVar("onlooker", default=None)


class Onlooker:
    """A context: what works within it, on the same thread, is looked at in its pauses."""

    _before: Token[Onlooker | None]

    @abstractmethod
    def look(self, done: int, of: int) -> None:
        """Learn that so many rounds of so many are done (0 of 0: nothing new); what is raised here ends the work."""

    def __enter__(self) -> None:
        """Begin to look."""
        self._before = _onlooker.set(self)

    def __exit__(self, *error: object) -> None:
        """Look no longer."""
        _onlooker.reset(self._before)


def pause(done: int = 0, of: int = 0) -> None:
    """Let the caller look; raises what the caller ends the work with.

    Args:
        done: rounds that are done.
        of: how many there are at most; 0 within a round, which tells nothing new.
    """
    onlooker = _onlooker.get()
    if onlooker is not None:
        onlooker.look(done, of)


def pieces(count: int, updates: float, multiple: int = 1) -> Iterator[slice]:
    """Parts of a range between which there is a pause.

    Args:
        count: length of the range.
        updates: of numbers, for each place of the range.
        multiple: the length of every part but the last is one of this.
    """
    most = max(int(LONGEST / max(updates, 1)) // multiple, 1) * multiple
    for first in range(0, count, most):
        if first:
            pause()
        yield slice(first, min(first + most, count))
