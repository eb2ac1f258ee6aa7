"""Arrangements: chunks in, chunks out.

They see ids and gaps, never what pixels mean; they state the ids that they give out, hold a bounded number of frames, and
what they give up becomes a Gap, also in `flush`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Generic

from .chunk import Chunk, Gap, Scan
from .fold import State
from .step import Step


class Arrange(Step, Generic[State]):
    """Join, window, stack, slice, sort, regroup. The state has one owner thread."""

    keeps_ids: ClassVar[bool] = False
    """True if what goes out are the frames that came in, under their own ids."""

    @abstractmethod
    def open(self, scan: Scan) -> State:
        """The state before the first chunk."""

    @abstractmethod
    def push(self, state: State, port: str, item: Chunk | Gap) -> Iterable[Chunk | Gap]:
        """Take one chunk or gap from a port (the name of a data argument); give what became ready."""

    def finish(self, state: State, port: str) -> Iterable[Chunk | Gap]:
        """Learn that a port has ended; give what became ready."""
        return ()

    @abstractmethod
    def flush(self, state: State) -> Iterable[Chunk | Gap]:
        """Give everything that is still held, at the end of all ports."""

    @abstractmethod
    def held_frames(self, state: State) -> int:
        """How many frames are held now; never more than `bound`."""

    @property
    @abstractmethod
    def bound(self) -> int:
        """The largest number of frames ever held."""
