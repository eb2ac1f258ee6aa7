"""Examples of the sources for files in the HDF5 family, for arrays and for phantoms."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from firstlight.core import registry
from firstlight.core.source import Source

TESTS = Path(__file__).parents[2]
FRAMES = np.random.default_rng(0).integers(1, 1000, (12, 4, 6)).astype(np.uint16)


def memory(tmp_path: Path) -> Source:
    ids = [0, 1, 2, 5, 6, 7, 8, 9, 10, 11]
    angles = np.linspace(0, 180, 12, endpoint=False)
    return registry.get("sources", "memory").of(
        FRAMES, angles=angles, dark=FRAMES[:2], flat=[FRAMES[:3], FRAMES[3:5]], ids=ids, frames=4
    )


def hdf5(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        file["images"] = FRAMES
    return registry.get("sources", "hdf5")(path=tmp_path / "frames.h5", dataset="images", axes="angle row col")


def dxfile(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["exchange/data"] = FRAMES
        file["exchange/data_dark"] = FRAMES[:2]
        file["exchange/data_white"] = FRAMES[:3]
        file["exchange/theta"] = np.linspace(0, 180, 12, endpoint=False)
        file["exchange/theta"].attrs["units"] = "deg"
    return registry.get("sources", "dxfile")(path=tmp_path / "scan.h5")


def nxtomo(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"], entry["definition"] = "NXentry", "NXtomo"
        detector = entry.create_group("instrument/detector")
        entry["instrument"].attrs["NX_class"], detector.attrs["NX_class"] = "NXinstrument", "NXdetector"
        detector["data"] = FRAMES
        detector["image_key"] = [2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2]
        sample = entry.create_group("sample")
        sample.attrs["NX_class"] = "NXsample"
        sample["rotation_angle"] = np.linspace(0, 180, 12)
        sample["rotation_angle"].attrs["units"] = "deg"
    return registry.get("sources", "nxtomo")(path=tmp_path / "scan.nxs")


SOURCES: dict[str, Callable[[Path], Source]] = {
    "dxfile": dxfile,
    "hdf5": hdf5,
    "memory": memory,
    "nxtomo": nxtomo,
    "phantom": lambda tmp_path: registry.get("sources", "phantom")(columns=16, rows=4, angles=12, sets=2, chunk=400),
    "phantom4d": lambda tmp_path: registry.get("sources", "phantom4d")(
        scan_y=3, scan_x=4, rows=8, columns=8, chunk=600, radius=2
    ),
}
LIVE = {"pva": TESTS / "connectors" / "pva" / "test_source.py"}
"""Sources that need a server of their own: where their tests are."""
UNLIMITED = {
    **{name: {"angles"} for name in ("hdf5", "dxfile", "nxtomo")},
    "phantom": {"start", "center"},
    "phantom4d": {"strength"},
}
