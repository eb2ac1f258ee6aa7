"""Examples of the sources over files with diffraction patterns and positions."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from firstlight.core import registry
from firstlight.core.source import Source

FRAMES = np.random.default_rng(0).integers(1, 1000, (12, 4, 6)).astype(np.uint16)


def cxi(tmp_path: Path) -> Source:
    with h5py.File(tmp_path / "scan.cxi", "w") as file:
        file["entry_1/data_1/data"] = FRAMES
        file["entry_1/data_1/translation"] = np.random.default_rng(1).normal(size=(12, 3)) * 1e-6
    return registry.get("sources", "cxi")(path=tmp_path / "scan.cxi")


SOURCES: dict[str, Callable[[Path], Source]] = {
    "cxi": cxi,
    "phantom_ptychography": lambda tmp_path: registry.get("sources", "phantom_ptychography")(
        window=16, scan_y=3, scan_x=4
    ),
}
TESTS = Path(__file__).parents[2]
LIVE = {
    "panda": TESTS / "connectors" / "panda" / "test_source.py",
    "together": TESTS / "connectors" / "test_together.py",
}
UNLIMITED = {"cxi": {"angles"}}
