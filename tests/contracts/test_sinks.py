"""Every registered sink keeps the contract. A sink without an example fails here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from firstlight.core import registry
from firstlight.core.sink import Sink
from firstlight.testing import SinkContract

DATA = {"hdf5": "entry/data", "dxfile": "exchange"}


class Hdf5:
    """Reads what the sinks over HDF5 write."""

    def __init__(self, use: str) -> None:
        self.use = use

    def make(self, tmp_path: Path) -> Sink:
        return registry.get("sinks", self.use)(path=tmp_path / "out.h5")

    def read(self, sink: Any) -> Any:
        with h5py.File(sink.path, locking=False) as file:
            group = file[DATA[self.use]]
            return group["data" if "data" in group else group.attrs["signal"]][()]

    def missing(self, sink: Any) -> list[int]:
        with h5py.File(sink.path, locking=False) as file:
            covered = file[DATA[self.use]]["covered"][()]
            return np.flatnonzero(~covered.astype(bool)).tolist() + list(range(len(covered), 24))

    def record(self, sink: Any) -> dict[str, Any]:
        found: dict[str, str] = {}

        def look(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and "record" in name.rpartition("/")[2]:
                found[name] = item.asstr()[()]

        with h5py.File(sink.path, locking=False) as file:
            file.visititems(look)
        return json.loads(found[max(found, key=lambda name: ("final" in name, name))])


class Memory:
    def make(self, tmp_path: Path) -> Sink:
        return registry.get("sinks", "memory")()

    def read(self, sink: Any) -> Any:
        return sink.result().data

    def missing(self, sink: Any) -> list[int]:
        if not sink.epochs:
            return list(range(24))
        covered = sink.result().covered
        return [] if covered is None else np.flatnonzero(~covered).tolist()

    def record(self, sink: Any) -> dict[str, Any]:
        return sink.record


EXAMPLES: dict[str, Callable[[], Any]] = {
    "dxfile": lambda: Hdf5("dxfile"),
    "hdf5": lambda: Hdf5("hdf5"),
    "memory": Memory,
}


def test_every_registered_sink_has_an_example() -> None:
    without = [name for name in registry.names("sinks") if name not in EXAMPLES]
    assert not without, f"Give {without} an example in {__file__}."


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
