"""Examples of the steps for scanned diffraction, and of the simulated scan that they are tested with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.source import Source
from firstlight.testing import FoldExample, OperatorExample

from ..scenes import RNG, folding, per_frame

UNLIMITED = {"phantom_stem": {"strength", "defocus", "spherical", "rotation"}}


def small(tmp_path: Path | None = None, **parameters: Any) -> Source:
    settings = {"scan_y": 5, "scan_x": 6, "pixels": 16, "field": 0.5, "aperture": 12.0, "chunk": 2000}
    return registry.get("sources", "phantom_stem")(**settings, **parameters)


def scanned(use: str, **parameters: Any) -> FoldExample:
    source = small()
    scan = source.open()
    step = registry.get("operators", use)(**parameters).calibrated(scan)
    return FoldExample(step, scan, [item for item in source.items() if isinstance(item, Chunk)])


def rings(use: str, **parameters: Any) -> OperatorExample:
    return per_frame(use, "uint16", parameters=parameters)


def lattices() -> OperatorExample:
    sizes = {"scan": 5, "disk": 9, "place": 2}
    index = np.array([(i, j) for i in (0, -1, 1) for j in (0, -1, 1)])
    places = 8.0 + index @ np.array([[4.0, 0.0], [0.0, 4.0]]) + RNG.random((5, 9, 2)) * 0.1
    step = registry.get("operators", "strain").step(first=(4.0, 0.0), second=(0.0, 4.0), center=(8.0, 8.0))
    return OperatorExample(
        step, Scan({MAIN: Stream(tuple(sizes), sizes, "float64")}), Chunk(places, ("disk", "place"), np.arange(5))
    )


OPERATORS: dict[str, Callable[[], OperatorExample]] = {
    "azimuthal_profile": lambda: rings("azimuthal_profile", bins=5, outer=3.0),
    "correct_pixels": lambda: rings("correct_pixels", dead=((1, 2), (3, 3))),
    "dose_map": lambda: rings("dose_map", step_y=0.5, step_x=0.2),
    "count_electrons": lambda: rings("count_electrons", threshold=60.0),
    "find_disks": lambda: rings("find_disks", radius=1.0, count=4),
    "hologram": lambda: rings("hologram", fringes=(1.0, 4.0), cut=1.5),
    "strain": lattices,
    "fluctuation": lambda: rings("fluctuation", inner=1.0, outer=3.0),
    "radial_fourier": lambda: rings("radial_fourier", bins=2, orders=3, outer=3.0),
    "radial_profile": lambda: rings("radial_profile", bins=3, outer=3.0),
    "virtual_detectors": lambda: rings("virtual_detectors", edges=(0.0, 2.0, 3.0), sectors=4),
}

FOLDS: dict[str, Callable[[], FoldExample]] = {
    "dpc": lambda: scanned("dpc", rotation=10.0),
    "log_sum": lambda: folding("log_sum"),
    "max": lambda: folding("max"),
    "pick": lambda: scanned("pick", scan_y=1, scan_x=2),
    "parallax": lambda: scanned("parallax", defocus=5.0),
    "ssb": lambda: scanned("ssb"),
    "wdd": lambda: scanned("wdd"),
    "std": lambda: folding("std"),
}

SOURCES: dict[str, Callable[[Path], Source]] = {"phantom_stem": small}
