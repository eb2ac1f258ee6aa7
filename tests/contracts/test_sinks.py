"""Every registered sink keeps the contract. A sink without an example fails here."""

from pathlib import Path
from typing import Any

import pytest

from firstlight.core import registry
from firstlight.core.sink import Sink
from firstlight.testing import SinkContract

from .examples import FOLDER, gathered

EXAMPLES = gathered("SINKS")
"""Of each sink: an object that makes it, and reads its output, what it lacks and its record."""


def test_every_registered_sink_has_an_example() -> None:
    without = [name for name in registry.names("sinks") if name not in EXAMPLES]
    assert not without, f"Give {without} an example in a file of {FOLDER}."


@pytest.mark.parametrize("name", registry.names("sinks"))
class TestEverySink(SinkContract):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.survives = name != "memory"
        self.example = EXAMPLES[name]()

    def make(self, tmp_path: Path) -> Sink:
        return self.example.make(tmp_path)

    def read(self, sink: Sink) -> Any:
        return self.example.read(sink)

    def missing(self, sink: Sink) -> list[int]:
        return self.example.missing(sink)

    def record(self, sink: Sink) -> dict[str, Any]:
        return self.example.record(sink)
