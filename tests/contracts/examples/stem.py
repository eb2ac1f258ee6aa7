"""Examples of the steps for scanned diffraction, and of the simulated scan that they are tested with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from firstlight.core import registry
from firstlight.core.chunk import Chunk
from firstlight.core.source import Source
from firstlight.testing import FoldExample, OperatorExample

from ..scenes import folding, per_frame

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


OPERATORS: dict[str, Callable[[], OperatorExample]] = {
    "azimuthal_profile": lambda: rings("azimuthal_profile", bins=5, outer=3.0),
    "count_electrons": lambda: rings("count_electrons", threshold=60.0),
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
    "ssb": lambda: scanned("ssb"),
    "std": lambda: folding("std"),
}

SOURCES: dict[str, Callable[[Path], Source]] = {"phantom_stem": small}
