"""Examples of the sources and sinks for image files, and of what the default jobs need."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tifffile

from firstlight.core import registry
from firstlight.core.chunk import Chunk
from firstlight.core.source import Source
from firstlight.testing import OperatorExample

from ..scenes import scan

FRAMES = np.random.default_rng(0).integers(1, 1000, (12, 4, 6)).astype(np.uint16)
ANGLES = "0:180"


def tiff(tmp_path: Path) -> Source:
    for number, frame in enumerate(FRAMES):
        tifffile.imwrite(tmp_path / f"scan_{number}.tif", frame, compression="zlib" if number % 2 else None)
    tifffile.imwrite(tmp_path / "dark.tif", FRAMES[:2])
    given = {"pattern": "scan_*", "darks": tmp_path / "dark.tif", "chunk": 100, "ignore": (2, 3)}
    return registry.get("sources", "tiff")(path=tmp_path, angles=ANGLES, **given)


def nxstxm(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "scan.nxs", "w") as file:
        entry = file.create_group("entry1/stxm_entry")
        entry["definition"] = "NXstxm"
        entry["data/data"] = FRAMES
        entry["data/theta"] = np.roll(np.arange(12) * 15.0, 3)
    return registry.get("sources", "nxstxm")(path=tmp_path / "scan.nxs")


SOURCES: dict[str, Callable[[Path], Source]] = {"tiff": tiff, "nxstxm": nxstxm}
UNLIMITED = {name: {"angles"} for name in SOURCES}


def bright() -> OperatorExample:
    step = registry.get("operators", "normalize_bright").step()
    lines = np.random.default_rng(4).uniform(10, 1000, (7, 6, 16)).astype(np.float32)
    return OperatorExample(step, scan(), Chunk(lines, ("row", "col"), np.arange(7)), {})


OPERATORS: dict[str, Callable[[], Any]] = {"normalize_bright": bright}
