"""Steps that reconstruct: each with something to work on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.units import Quantity
from firstlight.testing import OperatorExample

from ..scenes import ANGLES, projections

CENTERS = (7.0, 7.5, 7.5, 7.5, 8.25)


def slices(use: str, tolerance: float = 1e-5, **parameters: Any) -> OperatorExample:
    """Five sinograms, three of which share an axis."""
    sizes = {"row": 5, "angle": 24, "col": 16}
    seen = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")}, calibration={"pixel": Quantity(0.65, "um")})
    data = np.moveaxis(projections(rows=5), 1, 0) / 100
    theta = np.broadcast_to(ANGLES, (5, 24))
    chunk = Chunk(data, ("angle", "col"), np.arange(5), coords={"angle": theta, "row": np.arange(5)})
    step = registry.get("operators", use).step(center=CENTERS, **parameters)
    return OperatorExample(step, seen, chunk, unlimited=frozenset({"center"}), tolerance=tolerance)


OPERATORS: dict[str, Callable[[], OperatorExample]] = {
    "backproject": lambda: slices("backproject", filter="hann"),
    "sirt": lambda: slices("sirt", iterations=4, nonnegative=True),
    "sart": lambda: slices("sart", iterations=2),
    "os_sart": lambda: slices("os_sart", iterations=2, subsets=4),
    "cgls": lambda: slices("cgls", 1e-4, iterations=4, start="fbp"),
    "mlem": lambda: slices("mlem", iterations=4),
    "osem": lambda: slices("osem", iterations=2, subsets=4),
    "fista_tv": lambda: slices("fista_tv", iterations=3),
    "pdhg_tv": lambda: slices("pdhg_tv", iterations=3),
    "admm_tv": lambda: slices("admm_tv", 1e-4, iterations=3),
}
