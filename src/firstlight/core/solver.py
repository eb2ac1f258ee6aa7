"""Solvers: folds that also iterate.

Law: the same frames, seed and schedule give the same result; otherwise the same quality, within `tolerance`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from .fold import Fold, State


class Solver(Fold[State]):
    """Iterates in idle time while frames arrive, and a fixed number of rounds after the last one, on frames sorted by id."""

    clocks: ClassVar[frozenset[str]] = frozenset()
    """Outputs that tell at what time something was done: the law does not hold for them."""

    @abstractmethod
    def advance(self, state: State, rounds: int) -> None:
        """Do so many rounds on the frames in the state, visited in the order of their ids."""

    @property
    @abstractmethod
    def rounds(self) -> int:
        """How many rounds follow the last frame."""

    def complete(self, state: State) -> None:
        """Learn that every frame has come: the rounds that follow are the last."""

    def conclude(self, state: State) -> None:
        """Do what is left to do after the last round."""
