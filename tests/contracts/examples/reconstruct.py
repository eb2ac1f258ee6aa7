"""Steps that reconstruct: each with something to work on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from firstlight.core import registry
from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.core.units import Quantity
from firstlight.testing import FoldExample, OperatorExample, cut

from ..scenes import ANGLES, projections, scan

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


def volumes(use: str, **parameters: Any) -> OperatorExample:
    """Two small scans in cone beam, one after the other."""
    sizes = {"time": 2, "angle": 24, "row": 6, "col": 16}
    seen = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")}, calibration={"pixel": Quantity(0.65, "um")})
    data = np.stack([projections() / 100, projections() / 90])
    theta = np.broadcast_to(ANGLES, (2, 24))
    chunk = Chunk(data, ("angle", "row", "col"), np.arange(2), coords={"angle": theta})
    step = registry.get("operators", use).step(center=7.0, source_distance=0.05, pixel=0.65, **parameters)
    return OperatorExample(step, seen, chunk, unlimited=FREE)


FREE = frozenset({"center", "center_row"})


def of_astra() -> OperatorExample:
    """Skips where the toolbox is not installed."""
    pytest.importorskip("astra", reason="the ASTRA toolbox is not installed")
    return slices("astra", 1e-4, iterations=3)


def of_tigre() -> OperatorExample:
    """Skips where TIGRE is not installed, or has nothing to compute on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports numpy.matlib
        gpu = pytest.importorskip("tigre.utilities.gpu", reason="TIGRE is not installed")
    if not gpu.getGpuNames():
        pytest.skip("TIGRE finds no CUDA device")
    return volumes("tigre", algorithm="cgls", iterations=2)


OPERATORS |= {
    "astra": of_astra,
    "tigre": of_tigre,
    "backproject_volume": lambda: volumes("backproject_volume", roll=3.0, region_y=(2, 14, 2)),
    "sirt_volume": lambda: volumes("sirt_volume", iterations=2, nonnegative=True, region_z=(1, 5, 1)),
    "fista_tv_volume": lambda: volumes("fista_tv_volume", iterations=2, region_z=(1, 5, 1)),
    "pdhg_tv_volume": lambda: volumes("pdhg_tv_volume", iterations=2, tilt=5.0),
    "cgls_volume": lambda: volumes("cgls_volume", iterations=2, tilt=5.0),
}


def folding_in_cone_beam() -> FoldExample:
    """A fold that gets a number for each projection."""
    fold = registry.get("operators", "general_backproject")(
        source_distance=0.05, center=tuple(7.0 + 0.1 * np.arange(24)), tilt=2.0, region_x=(2, 14, 2), pixel=0.65
    )
    frames = projections("float32") / 100
    return FoldExample(fold, scan("float32"), cut(frames, coords={"angle": ANGLES}), unlimited=FREE)


FOLDS: dict[str, Callable[[], FoldExample]] = {"general_backproject": folding_in_cone_beam}
