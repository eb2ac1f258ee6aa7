"""Examples of the sources for files that one facility alone writes."""

from pathlib import Path

import numpy as np

from firstlight.core import registry
from firstlight.core.source import Source

from ...connectors.als832_files import write_als832

FRAMES = np.random.default_rng(0).integers(1, 1000, (12, 4, 6)).astype(np.uint16)


def als832(tmp_path: Path) -> Source:
    flats = {0: FRAMES[:2], 6: FRAMES[2:4], 11: FRAMES[4:6]}
    path = write_als832(tmp_path / "scan.h5", FRAMES, flats, {11: FRAMES[:2]}, lacking=(3,))
    return registry.get("sources", "als832")(path=path, chunk=200)


SOURCES = {"als832": als832}
UNLIMITED = {"als832": {"angles"}}
