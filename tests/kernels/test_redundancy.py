"""Weights of rays seen once or twice by a cone beam that is no whole turn: their laws, and slices of an exact phantom."""

import numpy as np
import pytest

from firstlight.core.chunk import MAIN, Chunk, Scan, Stream
from firstlight.kernels.ellipsoids import Ellipsoid, ellipsoid_table, ray_integrals, voxels
from firstlight.kernels.geometry import Motion, Region, rays_of
from firstlight.kernels.redundancy import measured_parts
from firstlight.operators.reconstruct.backproject_volume import backproject_volume
from firstlight.operators.reconstruct.general_backproject import GeneralBackproject

ROWS, COLUMNS, DISTANCE, MIDDLE = 17, 64, 110.0, 8
FAN = 2 * np.rad2deg(np.arctan(COLUMNS / 2 / DISTANCE))
BODY = ellipsoid_table(
    [Ellipsoid(0.02, 0.8, 0.7, 0.2, phi=20), Ellipsoid(0.03, 0.2, 0.2, 0.1, 0.3, 0.25, 0)], COLUMNS / 2
)
TRUTH = voxels(BODY, *Region.whole(ROWS, COLUMNS).axes())[MIDDLE]
DISK = np.hypot(*np.meshgrid(*[np.arange(COLUMNS) - (COLUMNS - 1) / 2] * 2)) < 28
GIVEN = {"source_distance": DISTANCE * 1e-3, "pixel": 1.0, "filter": "hann", "region_z": (MIDDLE, MIDDLE + 1, 1)}


def seen(angles, center=31.5):
    rays = rays_of(angles, Motion(center=center, center_row=MIDDLE, source_distance=DISTANCE))
    return ray_integrals(BODY, rays.source, rays.corner, rays.across, rays.down, (ROWS, COLUMNS), parallel=False)


def slice_error(angles, **more):
    """Relative error of the middle slice, where the cone is a fan and filtered back-projection exact."""
    given = {**GIVEN, **more}
    volume = backproject_volume(seen(angles, given.get("center", 31.5))[None], **given, angle=angles)[0, 0] * 1e-4
    return float(np.sqrt(((volume - TRUTH)[DISK] ** 2).mean() / (TRUTH[DISK] ** 2).mean()))


@pytest.mark.parametrize("extent", [180 + FAN, 180 + FAN + 30, 270.0, 330.0])
def test_less_than_a_turn_is_as_good_as_a_whole_one(extent):
    whole = slice_error(np.arange(0.0, 360.0, 1.5))
    assert slice_error(np.arange(0.0, extent, 1.5)) < 1.05 * whole
    assert slice_error(75.0 - np.arange(0.0, extent, 1.5)) < 1.15 * whole


def test_uneven_angles_and_a_center_off_the_middle():
    whole = slice_error(np.arange(0.0, 360.0, 1.5))
    angles = np.random.default_rng(0).permutation(np.arange(0.0, 180 + FAN, 1.5) ** 1.02)
    assert slice_error(angles) < 1.2 * whole
    assert slice_error(np.arange(0.0, 185 + FAN, 1.5), center=29.0) < 1.05 * whole


def test_every_ray_counts_once_in_all():
    angles = np.arange(0.0, 180 + FAN + 20, 0.25)
    parts, widths = measured_parts(angles, COLUMNS, center=31.5, distance=DISTANCE)
    assert parts.min() >= 0
    assert parts.max() <= 1
    np.testing.assert_allclose(widths, np.deg2rad(0.25))
    for column in (3, 31, 60):
        fan = np.rad2deg(np.arctan((column - 31.5) / DISTANCE))
        there = 180 - 2 * fan  # where the same ray is seen from its other end, by the mirrored column
        for begin in (5.0, 12.5):
            mirrored = parts[:, 63 - column]
            both = parts[round(begin / 0.25), column] + np.interp(begin + there, angles, mirrored)
            assert both == pytest.approx(1.0, abs=2e-3)


def test_whole_turns_and_single_angles_need_none():
    for angles in (np.arange(0.0, 360.0, 2.0), np.arange(0.0, 720.0, 2.0), np.linspace(0, 360, 181), np.zeros(9)):
        assert measured_parts(angles, COLUMNS, center=31.5, distance=DISTANCE) is None


def test_projection_by_projection_gives_the_same():
    angles = np.arange(0.0, 182 + FAN, 3.0)
    data = seen(angles)
    sizes = {"angle": angles.size, "row": ROWS, "col": COLUMNS}
    scan = Scan({MAIN: Stream(tuple(sizes), sizes, "float32")}, coords={"angle": angles})
    step = GeneralBackproject(**GIVEN)
    state = step.empty(scan)
    for part in np.array_split(np.random.default_rng(1).permutation(angles.size), 5):
        step.add(state, Chunk(data[part], ("row", "col"), part, coords={"angle": angles[part]}))
    whole = backproject_volume(data[None], **GIVEN, angle=angles)[0]
    np.testing.assert_allclose(step.result(state)["data"], whole, atol=2e-5 * whole.max())
