"""Examples of the sources and sinks for files of electron microscopes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from firstlight.connectors.recorded.mapped import read_mask
from firstlight.core import registry
from firstlight.core.sink import Sink
from firstlight.core.source import Source

FRAMES = np.random.default_rng(0).integers(1, 1000, (12, 4, 6)).astype(np.uint16)


def npy(tmp_path: Path) -> Source:
    """The scan begins with the second frame of the file, so that its last point has none."""
    np.save(tmp_path / "scan.npy", FRAMES)
    given = {"scan_y": 3, "scan_x": 4, "sync_offset": 1, "chunk": 200}
    return registry.get("sources", "npy")(path=tmp_path / "scan.npy", **given)


class Npy:
    def make(self, tmp_path: Path) -> Sink:
        return registry.get("sinks", "npy")(path=tmp_path / "out.npy")

    def read(self, sink: Any) -> Any:
        return np.load(sink.path)

    def missing(self, sink: Any) -> list[int]:
        return np.flatnonzero(~read_mask(sink.path, 24)).tolist()

    def record(self, sink: Any) -> dict[str, Any]:
        return json.loads(sink.path.with_name("out.npy.json").read_text())["record"]


class Hspy:
    def make(self, tmp_path: Path) -> Sink:
        return registry.get("sinks", "hspy")(path=tmp_path / "out.hspy")

    def read(self, sink: Any) -> Any:
        with h5py.File(sink.path, locking=False) as file:
            return file["Experiments/scan/data"][()]

    def missing(self, sink: Any) -> list[int]:
        with h5py.File(sink.path, locking=False) as file:
            return np.flatnonzero(file["Experiments/scan/covered"][()] == 0).tolist()

    def record(self, sink: Any) -> dict[str, Any]:
        with h5py.File(sink.path, locking=False) as file:
            return json.loads(file["firstlight/record"].asstr()[()])


SINKS: dict[str, Callable[[], Any]] = {"npy": Npy, "hspy": Hspy}
SOURCES: dict[str, Callable[[Path], Source]] = {"npy": npy}
UNLIMITED = {"npy": {"sync_offset"}}
