"""A head that turns, seen in three planes: by the fold, and by the direct back-projector."""

import numpy as np
import pytest

from firstlight.core.chunk import Scan, Stream
from firstlight.kernels.radon import backproject_plane, slice_plane
from firstlight.kernels.ramp import ramp_filter
from firstlight.operators.tomography.live_slices import LiveSlices

from .scenes import projections, relative_rms

SIZE, ROWS, CENTER = 96, 20, 45.3
HALF = np.arange(240) * 0.75
SETTINGS = {"center": CENTER, "filter": "hann", "z": 7.0, "y": 60.0, "x": 41.5}
PLANES = {"xy": "z", "xz": "y", "yz": "x"}


def live(**changed):
    return LiveSlices(**{**SETTINGS, **changed})


def endless(rows=ROWS, size=SIZE):
    """A scan of which neither length nor angles are known beforehand."""
    return Scan({"data": Stream(("angle", "row", "col"), {"angle": None, "row": rows, "col": size}, "float32")})


def finish(fold, state):
    for _ in range(10_000):
        if not fold.refine(state):
            return fold.result(state)
    raise AssertionError("refine never ends")


def direct(data, theta, fold):
    """The three planes by the direct back-projector in double precision."""
    filtered = ramp_filter(data, fold.filter, cutoff=fold.cutoff).astype(np.float64)
    planes = {}
    for name, label in PLANES.items():
        position = getattr(fold, label)
        if position is None:
            position = (data.shape[1] if label == "z" else data.shape[2]) // 2
        plane, shape = slice_plane(label, position, data.shape[2], data.shape[1])
        planes[name] = backproject_plane(filtered, theta, plane, shape, center=fold.center)
    return planes


def assert_equals_direct(found, data, theta, fold, within=1e-3):
    for name, expected in direct(data, theta, fold).items():
        assert found[name].shape == expected.shape
        assert np.isfinite(found[name]).all()
        assert relative_rms(found[name], expected) < within, name


@pytest.fixture(scope="module")
def head():
    data, theta = projections(SIZE, ROWS, HALF, CENTER)
    return data, theta
