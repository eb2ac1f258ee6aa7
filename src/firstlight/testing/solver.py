"""What every solver must keep: the same frames, seed and schedule give the same; another order gives the same quality."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from firstlight.core.solver import Solver

from .demand import demand, demand_equal
from .fold import FoldExample, final, folded
from .play import recut


class SolverContract(ABC):
    """Inherit, and give `example`; a solver keeps the FoldContract too, as far as its own tolerance reaches."""

    @abstractmethod
    def example(self) -> FoldExample:
        """A solver and something to solve."""

    def test_the_same_schedule_gives_the_same(self) -> None:
        """Bit by bit, with rounds while frames come."""
        first, second = self._scheduled(), self._scheduled()
        for name in first.keys() - self._clocks():
            demand_equal(first[name], second[name], f"{name}: solved twice")

    def _clocks(self) -> frozenset[str]:
        fold = self.example().fold
        demand(isinstance(fold, Solver), "The example holds no solver.")
        return type(fold).clocks if isinstance(fold, Solver) else frozenset()

    def _scheduled(self) -> dict[str, Any]:
        example = self.example()
        state = example.fold.empty(example.scan)
        for chunk in example.chunks:
            example.fold.add(state, example.fold.digest(chunk), *example.held)
            example.fold.advance(state, 1)  # type: ignore[attr-defined]
        return final(example.fold, state)

    def test_another_order_gives_the_same_within_the_tolerance(self) -> None:
        """Rounds visit frames in the order of their ids, whatever the order in which they came."""
        example = self.example()
        wanted = final(example.fold, folded(example, example.chunks))
        shuffled = self.example()
        found = final(shuffled.fold, folded(shuffled, recut(shuffled.chunks, 3, seed=1)))
        for name in found.keys() - self._clocks():
            demand_equal(found[name], wanted[name], f"{name}: shuffled", tolerance=example.fold.tolerance)
