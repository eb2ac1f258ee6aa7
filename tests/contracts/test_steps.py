"""Every registered operator, fold and arrangement keeps its contract. A step without an example fails here."""

from typing import Any

import numpy as np
import pytest

from firstlight.core import registry
from firstlight.core.arrange import Arrange
from firstlight.core.fold import Fold
from firstlight.core.operator import Operator, OperatorFunction
from firstlight.core.solver import Solver
from firstlight.testing import (
    ArrangeContract,
    ArrangeExample,
    FoldContract,
    FoldExample,
    OperatorContract,
    OperatorExample,
    SolverContract,
)

from .examples import FOLDER, gathered
from .scenes import RNG

OPERATORS = gathered("OPERATORS")
FOLDS = gathered("FOLDS")
ARRANGEMENTS = gathered("ARRANGEMENTS")


def kind(name: str) -> type[Any]:
    found = registry.get("operators", name)
    return found.step if isinstance(found, OperatorFunction) else found


def steps(base: type[Any]) -> list[str]:
    return [name for name in registry.names("operators") if issubclass(kind(name), base)]


def test_every_registered_step_has_an_example() -> None:
    without = [n for n in registry.names("operators") if n not in {**OPERATORS, **FOLDS, **ARRANGEMENTS}]
    assert not without, f"Give {without} an example in a file of {FOLDER}."


@pytest.mark.parametrize("name", steps(Operator))
class TestEveryOperator(OperatorContract):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name

    def example(self) -> OperatorExample:
        return OPERATORS[self.name]()


@pytest.mark.parametrize("name", steps(Fold))
class TestEveryFold(FoldContract):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name
        RNG.bit_generator.state = np.random.default_rng(6).bit_generator.state

    def example(self) -> FoldExample:
        RNG.bit_generator.state = np.random.default_rng(6).bit_generator.state
        return FOLDS[self.name]()


@pytest.mark.parametrize("name", steps(Solver))
class TestEverySolver(SolverContract):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name

    def example(self) -> FoldExample:
        return FOLDS[self.name]()


@pytest.mark.parametrize("name", steps(Arrange))
class TestEveryArrangement(ArrangeContract):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name

    def example(self) -> ArrangeExample:
        return ARRANGEMENTS[self.name]()
