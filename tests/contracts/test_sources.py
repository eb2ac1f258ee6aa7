"""Every registered source keeps the contract. A source without an example fails here."""

from pathlib import Path

import pytest

from firstlight.core import registry
from firstlight.core.source import Source
from firstlight.testing import SourceContract

from .examples import FOLDER, gathered

EXAMPLES = gathered("SOURCES")
LIVE = gathered("LIVE")
UNLIMITED = gathered("UNLIMITED")


def test_every_registered_source_has_an_example() -> None:
    without = [
        name
        for name in registry.names("sources")
        if name not in EXAMPLES and not (name in LIVE and LIVE[name].is_file())
    ]
    assert not without, f"Give {without} an example in a file of {FOLDER}."


@pytest.mark.parametrize("name", [name for name in registry.names("sources") if name not in LIVE])
class TestEverySource(SourceContract):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.name = name
        self.in_memory = name == "memory"
        self.unlimited = frozenset(UNLIMITED.get(name, set()))

    def make(self, tmp_path: Path) -> Source:
        return EXAMPLES[self.name](tmp_path)
