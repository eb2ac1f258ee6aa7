"""Every registered runner keeps the contract."""

import pytest

from firstlight.core import registry
from firstlight.testing.runner import RunnerContract

WORKS_IN_START = {"naive"}


@pytest.mark.parametrize("name", registry.names("runners"))
class TestEveryRunner(RunnerContract):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name
        self.steers = name not in WORKS_IN_START

    def make(self):
        return registry.get("runners", self.name)()
