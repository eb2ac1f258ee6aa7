"""How the contract tests make the first sinks, and read what they wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from firstlight.core import registry
from firstlight.core.sink import Sink

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


SINKS: dict[str, Callable[[], Any]] = {
    "dxfile": lambda: Hdf5("dxfile"),
    "hdf5": lambda: Hdf5("hdf5"),
    "memory": Memory,
}
