"""Examples of the steps against stripes and rings."""

from collections.abc import Callable
from typing import Any

import numpy as np

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.testing import OperatorExample

ANGLES, COLUMNS, ROWS = 40, 36, 4


def sinograms(use: str, **parameters: Any) -> OperatorExample:
    """Transmission with a stripe of another response, a dead one, and a NaN."""
    rng = np.random.default_rng(11)
    data = (1 + 0.2 * rng.random((ROWS, ANGLES, COLUMNS))).astype(np.float32)
    data[:, :, 9] *= 1.4
    data[:, :, 20] = 0.5
    data[1, 5, 13] = np.nan
    sizes = {"row": ROWS, "angle": ANGLES, "col": COLUMNS}
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")})
    step = registry.get("operators", use).step(**parameters)
    return OperatorExample(step, scan, Chunk(data, ("angle", "col"), np.arange(ROWS)))


def slices() -> OperatorExample:
    """Slices with a ring."""
    place = np.arange(24) - 11.5
    radius = np.hypot(place[:, None], place)
    data = np.random.default_rng(12).random((3, 24, 24)) + 2.0 * (np.abs(radius - 7) < 0.6)
    sizes = {"z": 3, "y": 24, "x": 24}
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "float32", unit="1/cm")})
    step = registry.get("operators", "remove_rings").step(width=5)
    return OperatorExample(step, scan, Chunk(data.astype(np.float32), ("y", "x"), np.arange(3)))


OPERATORS: dict[str, Callable[[], OperatorExample]] = {
    "remove_small_stripes": lambda: sinograms("remove_small_stripes", size=5),
    "remove_large_stripes": lambda: sinograms("remove_large_stripes", size=11),
    "remove_dead_stripes": lambda: sinograms("remove_dead_stripes", size=11),
    "remove_all_stripes": lambda: sinograms("remove_all_stripes", small=5, large=11),
    "remove_stripes_filtering": lambda: sinograms("remove_stripes_filtering", size=5),
    "remove_stripes_fitting": lambda: sinograms("remove_stripes_fitting", sigma=3),
    "remove_stripes_interpolation": lambda: sinograms("remove_stripes_interpolation", size=11),
    "remove_stripes_wavelet": lambda: sinograms("remove_stripes_wavelet", moments=2),
    "remove_stripes_titarenko": lambda: sinograms("remove_stripes_titarenko", blocks=2),
    "remove_stripes_fourier": lambda: sinograms("remove_stripes_fourier", cutoff=4),
    "remove_stripes_smoothing": lambda: sinograms("remove_stripes_smoothing", sigma=3),
    "remove_rings": slices,
}
