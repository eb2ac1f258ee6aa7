"""Examples of the sources over files with diffraction patterns and positions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from firstlight.core import registry
from firstlight.core.sink import Sink
from firstlight.core.source import Source

FRAMES = np.random.default_rng(0).integers(1, 1000, (12, 4, 6)).astype(np.uint16)


def cxi(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "scan.cxi", "w") as file:
        file["entry_1/data_1/data"] = FRAMES
        file["entry_1/data_1/translation"] = np.random.default_rng(1).normal(size=(12, 3)) * 1e-6
    return registry.get("sources", "cxi")(path=tmp_path / "scan.cxi")


def ptyd(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "scan.ptyd", "w") as file:
        file["meta/energy"] = 9.0
        for number in range(3):
            file[f"chunks/{number}/data"] = FRAMES[4 * number : 4 * number + 4]
            file[f"chunks/{number}/positions"] = np.random.default_rng(number).normal(size=(4, 2)) * 1e-6
    return registry.get("sources", "ptyd")(path=tmp_path / "scan.ptyd")


def hxn_file(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "scan_1.h5", "w") as file:
        file["dp"] = FRAMES
        file["points"] = np.random.default_rng(1).normal(size=(2, 12))
    return registry.get("sources", "hxn_file")(path=tmp_path / "scan_1.h5")


def ptychodus(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "ptychodus_dp.hdf5", "w") as file:
        file["dp"] = FRAMES
    with h5py.File(tmp_path / "ptychodus_para.hdf5", "w") as file:
        file["probe_position_x_m"], file["probe_position_y_m"] = np.random.default_rng(1).normal(size=(2, 12)) * 1e-6
    return registry.get("sources", "ptychodus")(path=tmp_path / "ptychodus_dp.hdf5")


SOURCES: dict[str, Callable[[Path], Source]] = {
    "cxi": cxi,
    "ptyd": ptyd,
    "hxn_file": hxn_file,
    "ptychodus": ptychodus,
    "phantom_ptychography": lambda tmp_path: registry.get("sources", "phantom_ptychography")(
        window=16, scan_y=3, scan_x=4
    ),
}


class Cxi:
    """Reads what the sink of CXI files writes."""

    def make(self, tmp_path: Path) -> Sink:
        return registry.get("sinks", "cxi")(path=tmp_path / "out.cxi")

    def read(self, sink: Any) -> Any:
        with h5py.File(sink.path, locking=False) as file:
            return file["entry_1/image_1/data"][()]  # pyright: ignore[reportIndexIssue]

    def missing(self, sink: Any) -> list[int]:
        with h5py.File(sink.path, locking=False) as file:
            return np.flatnonzero(file["entry_1/image_1/covered"][()] == 0).tolist()  # pyright: ignore[reportIndexIssue]

    def record(self, sink: Any) -> dict[str, Any]:
        with h5py.File(sink.path, locking=False) as file:
            group: Any = file["entry_1/image_1"]
            name = "data_record_final" if "data_record_final" in group else "data_record"
            return json.loads(group[name].asstr()[()])


class Ptychodus:
    """Reads what the sink of ptychodus' products writes."""

    def make(self, tmp_path: Path) -> Sink:
        return registry.get("sinks", "ptychodus")(path=tmp_path / "out.ptychodus.h5", pixel=12.0)

    def read(self, sink: Any) -> Any:
        with h5py.File(sink.path, locking=False) as file:
            return file["object"][()]  # pyright: ignore[reportIndexIssue]

    def missing(self, sink: Any) -> list[int]:
        with h5py.File(sink.path, locking=False) as file:
            return np.flatnonzero(file["object_covered"][()] == 0).tolist()  # pyright: ignore[reportIndexIssue]

    def record(self, sink: Any) -> dict[str, Any]:
        with h5py.File(sink.path, locking=False) as file:
            group: Any = file["firstlight"]
            name = "object_record_final" if "object_record_final" in group else "object_record"
            return json.loads(group[name].asstr()[()])


SINKS: dict[str, Callable[[], Any]] = {"cxi": Cxi, "ptychodus": Ptychodus}
TESTS = Path(__file__).parents[2]
LIVE = {
    "tiled": TESTS / "connectors" / "test_tiled_source.py",
    "panda": TESTS / "connectors" / "panda" / "test_source.py",
    "together": TESTS / "connectors" / "test_together.py",
}
UNLIMITED = {name: {"angles"} for name in ("cxi", "ptyd", "hxn_file", "ptychodus")}
