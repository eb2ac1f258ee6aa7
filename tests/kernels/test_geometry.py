"""Any geometry: hand-computed positions, the parallel case of independent code, exact phantoms to a fraction of a voxel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from firstlight.kernels.angles import angular_weights
from firstlight.kernels.ellipsoids import (
    SHEPP_LOGAN,
    Ellipsoid,
    ellipsoid_table,
    line_integrals,
    plane_coordinates,
    ray_integrals,
    voxels,
)
from firstlight.kernels.geometry import Motion, Region, rays_of
from firstlight.kernels.iterate import Limits, cgls, sirt
from firstlight.kernels.ramp import RampFilter
from firstlight.kernels.volume import VolumeProjector
from firstlight.kernels.voxel_driven import backproject_voxels

ROWS, COLUMNS = 36, 48
MIDDLE = {"center": (COLUMNS - 1) / 2, "center_row": (ROWS - 1) / 2}
TURN = np.arange(0.0, 360.0, 3.0)
PLACES = ((0, 0, 0), (0.5, 0, 0.3), (-0.3, 0.45, -0.35), (0.1, -0.55, 0.2), (-0.55, -0.2, 0.4), (0.3, 0.3, -0.45))
BALLS = ellipsoid_table([Ellipsoid(1.0, 0.14, 0.14, 0.14, *place) for place in PLACES], COLUMNS / 2)
RNG = np.random.default_rng(4)

GEOMETRIES = {
    "parallel": {},
    "rolled axis": {"roll": 3.0},
    "off-axis": {"center": 20.3, "center_row": 19.0},
    "cone": {"source_distance": 150.0},
    "cone, source and axis aside": {"source_distance": 150.0, "center": 21.0, "source_x": 3.0, "source_z": -4.0},
    "cone, detector askew": {
        "source_distance": 150.0,
        "detector_roll": 2.0,
        "detector_pitch": 5.0,
        "detector_yaw": -4.0,
    },
    "jitter": {
        "center": MIDDLE["center"] + RNG.normal(0, 2, TURN.size),
        "center_row": MIDDLE["center_row"] + RNG.normal(0, 2, TURN.size),
        "roll": RNG.normal(0, 2, TURN.size),
    },
    "cone of changing distance": {"source_distance": 150.0 + 10 * np.sin(np.deg2rad(TURN))},
    "laminography": {"tilt": 30.0},
    "laminography, other side, cone": {"tilt": -25.0, "source_distance": 150.0, "roll": 2.0},
}


def geometry(name, angles=TURN):
    return rays_of(angles, Motion(**{**MIDDLE, **GEOMETRIES[name]}))


def exact(table, rays, shape=(ROWS, COLUMNS), **more):
    return ray_integrals(table, rays.source, rays.corner, rays.across, rays.down, shape, parallel=rays.parallel, **more)


def pixel_of(point, rays, a=0):
    w_col, w_row, w = rays.matrices()[a] @ np.array([*point, 1.0])
    return w_col / w, w_row / w, w


def test_points_project_where_pencil_and_paper_say():
    quarter = rays_of([0.0, 90.0], Motion(center=10.0, center_row=5.0))
    assert pixel_of((3, 1, 2), quarter) == pytest.approx((13, 3, 1))  # x to the right, z up, rows count downwards
    assert pixel_of((3, 1, 2), quarter, 1) == pytest.approx((11, 3, 1))  # x cos 90 + y sin 90 = y
    cone = rays_of([0.0, 180.0], Motion(center=10.0, center_row=5.0, source_distance=100.0))
    assert pixel_of((3, 20, 2), cone) == pytest.approx((10 + 3 / 1.2, 5 - 2 / 1.2, 1.2))  # behind the axis: smaller
    assert pixel_of((3, 20, 2), cone, 1) == pytest.approx(
        (10 - 3 / 0.8, 5 - 2 / 0.8, 0.8)
    )  # half a turn later in front
    tilted = rays_of([0.0], Motion(center=0.0, center_row=0.0, tilt=30.0))
    assert pixel_of((0, 0, 10), tilted)[1] == pytest.approx(-10 * np.cos(np.pi / 6))
    assert pixel_of((0, 10, 0), tilted)[1] == pytest.approx(10 * np.sin(np.pi / 6))  # the far side is seen lower
    leaning = rays_of([0.0], Motion(center=0.0, center_row=0.0, tilt=30.0, source_distance=100.0))
    assert pixel_of((0, 0, 10), leaning)[2] == pytest.approx(
        1 + 10 * np.sin(np.pi / 6) / 100
    )  # top away from the source
    rolled = rays_of([0.0], Motion(center=0.0, center_row=0.0, roll=30.0))
    assert pixel_of((0, 0, 10), rolled)[0] == pytest.approx(10 * np.sin(np.pi / 6))  # the top leans to the right
    aside = rays_of([0.0], Motion(center=10.0, center_row=5.0, source_distance=100.0, source_x=8.0, source_z=4.0))
    assert pixel_of((0, 0, 0), aside)[:2] == pytest.approx((10, 5))
    assert pixel_of((0, 100, 0), aside)[:2] == pytest.approx((10 + 4, 5 - 2))  # half way from source to there
    turned = rays_of([0.0], Motion(center=0.0, center_row=0.0, detector_roll=90.0))
    assert pixel_of((0, 0, 10), turned)[:2] == pytest.approx((-10, 0), abs=1e-9)  # its columns count downwards now
    angle, near = np.deg2rad(20.0), {"center": 0.0, "center_row": 0.0, "source_distance": 100.0}
    pitched = rays_of([0.0], Motion(**near, detector_pitch=20.0))  # its top is farther away
    for z in (10, -10):
        assert pixel_of((0, 0, z), pitched)[1] == pytest.approx(-z / (np.cos(angle) - z / 100 * np.sin(angle)))
    yawed = rays_of([0.0], Motion(**near, detector_yaw=20.0))  # its right side is closer to the source
    for x in (10, -10):
        assert pixel_of((x, 0, 0), yawed)[0] == pytest.approx(x / (np.cos(angle) + x / 100 * np.sin(angle)))


def test_a_detector_that_leans_with_the_axis_sees_no_lean():
    both = rays_of(TURN, Motion(**MIDDLE, roll=7.0, detector_roll=7.0))
    none = rays_of(TURN, Motion(**MIDDLE))
    np.testing.assert_allclose(both.matrices(), none.matrices(), atol=1e-12)


def test_exact_integrals_along_rays_are_those_of_the_parallel_beam_code():
    table = ellipsoid_table(SHEPP_LOGAN, COLUMNS / 2)
    rays = rays_of(TURN, Motion(center=22.2, center_row=(ROWS - 1) / 2))
    expected = line_integrals(
        table, np.deg2rad(TURN), plane_coordinates(ROWS, descending=True), COLUMNS, center=22.2, rays=(2, 2)
    )
    np.testing.assert_allclose(exact(table, rays), expected, atol=2e-5)


def test_a_ball_far_off_the_axis_has_its_diameter_on_the_central_ray():
    ball = ellipsoid_table([Ellipsoid(2.0, 0.5, 0.5, 0.5, x0=1.0, y0=0.2, z0=-0.4)], 10.0)
    rays = rays_of([17.0], Motion(center=12.0, center_row=9.0, tilt=20.0, roll=-4.0, source_distance=60.0))
    col, row, _ = pixel_of((10, 2, -4), rays)
    corner = rays.corner + col * rays.across + row * rays.down
    through = ray_integrals(ball, rays.source, corner, rays.across, rays.down, (1, 1), parallel=False, rays=(1, 1))
    assert through[0, 0, 0] == pytest.approx(20.0, rel=1e-6)  # density 2, diameter 10


def test_a_detector_that_is_magnified_sees_the_same():
    """Twice as far from the source with pixels twice as wide: only the picture at the axis counts."""
    near = geometry("cone, detector askew")
    far = type(near)(
        near.source, near.source + 2 * (near.corner - near.source), 2 * near.across, 2 * near.down, parallel=False
    )
    np.testing.assert_allclose(exact(BALLS, far), exact(BALLS, near), atol=1e-4)
    np.testing.assert_allclose(far.obliquity(4, 5), near.obliquity(4, 5), atol=1e-6)


def reconstructed(name, region=None, window="ram-lak"):
    rays = geometry(name)
    region = region or Region.whole(ROWS, COLUMNS)
    projections = exact(BALLS, rays) * rays.obliquity(ROWS, COLUMNS)
    tilt = GEOMETRIES[name].get("tilt", 0.0)
    out = np.zeros(region.shape, np.float32)
    weights = angular_weights(TURN / 2 if tilt else TURN) * np.cos(np.deg2rad(tilt))
    backproject_voxels(RampFilter(COLUMNS, window)(projections), rays, region, weights, out)
    return out, region


@pytest.mark.parametrize("name", GEOMETRIES)
def test_balls_are_found_within_a_tenth_of_a_voxel(name):
    volume, region = reconstructed(name)
    z, y, x = region.axes()
    lamino = "laminography" in name
    for _, radius, _, _, x0, y0, z0, _ in BALLS:
        dz, dy, dx = z[:, None, None] - z0, y[:, None] - y0, x - x0
        distance = np.sqrt(dz**2 + dy**2 + dx**2)
        above = np.clip(volume - 0.15 * volume.max(), 0, None) * (distance < 1.8 * radius)
        middle = [float((above * way).sum() / above.sum()) for way in (dz, dy, dx)]
        assert np.abs(middle).max() < (0.15 if lamino else 0.05)
        inside = volume[distance < 0.6 * radius].mean()  # laminography lacks a cone of directions
        assert abs(inside - 1.0) < (0.2 if lamino else 0.02)


@pytest.mark.parametrize("name", ["cone, detector askew", "laminography"])
def test_a_region_is_a_part_of_the_whole(name):
    whole, _ = reconstructed(name)
    region = Region((4.0, 10.0, 3.0), (1.0, 2.0, 3.0), (20, 15, 12), COLUMNS, ROWS)
    part, _ = reconstructed(name, region)
    np.testing.assert_allclose(part, whole[4:24, 10:40:2, 3:39:3], atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    tilt=st.floats(-80, 80),
    roll=st.floats(-80, 80),
    yaw=st.floats(-40, 40),
    distance=st.one_of(st.just(np.inf), st.floats(30, 1000)),
    center=st.floats(-5, 15),
    step=st.sampled_from([1.0, 0.7, 2.0]),
    seed=st.integers(0, 100),
)
def test_back_projection_along_rays_is_the_exact_adjoint(tilt, roll, yaw, distance, center, step, seed):
    rng = np.random.default_rng(seed)
    motion = Motion(center, 3.0, tilt=tilt, roll=roll, detector_yaw=yaw, source_distance=distance)
    region = Region((0.5, -1.0, 0.0), (1.0, step, 1.0), (6, 7, 9), 9, 6)
    projector = VolumeProjector(rays_of(rng.random(5) * 360, motion), 7, 8, region)
    volume = rng.standard_normal((6, 7, 9, 1)).astype(np.float32)
    projections = rng.standard_normal((5, 7, 8, 1)).astype(np.float32)
    forth, back = projector.project(volume).astype(float), projector.backproject(projections).astype(float)
    scale = np.linalg.norm(forth) * np.linalg.norm(projections) + 1e-6
    assert abs((forth * projections).sum() - (back * volume).sum()) < 1e-6 * scale


def assert_same_integrals(found, expected, rim, scale):
    """The rim of the body is rounded off by voxels; the scale must be right."""
    assert np.linalg.norm(found - expected) < rim * np.linalg.norm(expected)
    assert abs(found.sum(dtype=float) / expected.sum(dtype=float) - 1) < scale


@pytest.mark.parametrize("name", GEOMETRIES)
def test_projections_of_voxels_are_close_to_exact_integrals(name):
    body = ellipsoid_table([Ellipsoid(1.0, 0.6, 0.45, 0.4, x0=0.1, y0=-0.15, z0=0.05, phi=30)], COLUMNS / 2)
    region = Region.whole(ROWS, COLUMNS)
    rays = geometry(name).take(np.arange(0, TURN.size, 10))
    volume = voxels(body, *region.axes())[..., None]
    found = VolumeProjector(rays, ROWS, COLUMNS, region).project(volume)[..., 0]
    expected = exact(body, rays)
    assert_same_integrals(found, expected, 0.04, 0.003)


def test_coarser_voxels_have_the_same_line_integrals():
    body = ellipsoid_table([Ellipsoid(1.0, 0.6, 0.45, 0.4)], COLUMNS / 2)
    region = Region((0.5, 0.5, 0.5), (2.0, 2.0, 2.0), (ROWS // 2, COLUMNS // 2, COLUMNS // 2), COLUMNS, ROWS)
    z, y, x = region.axes()
    fine = Region.whole(ROWS, COLUMNS)
    volume = voxels(body, *fine.axes()).reshape(ROWS // 2, 2, COLUMNS // 2, 2, COLUMNS // 2, 2).mean(axis=(1, 3, 5))
    assert (z[0], y[0], x[0]) == (ROWS / 2 - 1, COLUMNS / 2 - 1, -COLUMNS / 2 + 1)
    rays = geometry("cone").take(np.arange(0, TURN.size, 10))
    found = VolumeProjector(rays, ROWS, COLUMNS, region).project(volume[..., None])[..., 0]
    expected = exact(body, rays)
    assert_same_integrals(found, expected, 0.08, 0.01)


@pytest.mark.parametrize("name", ["cone", "laminography"])
def test_iteration_beats_filtered_back_projection_from_few_views(name):
    few = np.arange(0, TURN.size, 6)
    rays, region = geometry(name).take(few), Region.whole(ROWS, COLUMNS)
    data = exact(BALLS, rays)
    truth = voxels(BALLS, *region.axes())
    projector = VolumeProjector(rays, ROWS, COLUMNS, region)
    steps = sirt(projector, data[..., None], Limits(25, nonnegative=True))
    least = cgls(projector, data[..., None], Limits(8))
    filtered = np.zeros(region.shape, np.float32)
    weights = np.full(few.size, np.pi / few.size) * np.cos(np.deg2rad(GEOMETRIES[name].get("tilt", 0.0)))
    backproject_voxels(
        RampFilter(COLUMNS, "hann")(data * rays.obliquity(ROWS, COLUMNS)), rays, region, weights, filtered
    )
    errors = [np.linalg.norm(each - truth) for each in (steps.images[..., 0], least.images[..., 0], filtered)]
    assert errors[0] < 0.8 * errors[2]
    assert errors[1] < errors[2]
    assert np.all(np.diff(steps.residual[:, 0]) < 0)
    assert np.all(np.diff(least.residual[:, 0]) < 0)


def test_numbers_that_make_no_geometry_are_refused():
    with pytest.raises(ValueError, match="tilt has 3 numbers"):
        rays_of(np.arange(5.0), Motion(**MIDDLE, tilt=[0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match="source_distance"):
        rays_of([0.0], Motion(**MIDDLE, source_distance=-3.0))
    with pytest.raises(ValueError, match="finite"):
        rays_of([0.0, 1.0], Motion(**MIDDLE, source_distance=[10.0, np.inf]))
    with pytest.raises(ValueError, match="expected float32"):
        backproject_voxels(
            np.zeros((2, 4, 4)), geometry("cone"), Region.whole(4, 4), np.ones(2), np.zeros((4, 4, 4), np.float32)
        )
    with pytest.raises(ValueError, match="volume"):
        VolumeProjector(geometry("cone"), 4, 4, Region.whole(4, 4)).project(np.zeros((4, 4, 4), np.float32))


@settings(max_examples=20, deadline=None)
@given(
    tilt=st.floats(-80, 80),
    roll=st.floats(-80, 80),
    yaw=st.floats(-40, 40),
    distance=st.one_of(st.just(np.inf), st.floats(10, 1000)),
    center=st.floats(-30, 60),
    width=st.sampled_from([5, 16, 77]),
    seed=st.integers(0, 100),
)
def test_each_voxel_gets_what_lies_where_it_is_seen(tilt, roll, yaw, distance, center, width, seed):
    """Against scipy's interpolation in double precision, off the detector, behind the source and at the ends of tiles too."""
    rng = np.random.default_rng(seed)
    motion = Motion(center, 9.3, tilt=tilt, roll=roll, detector_yaw=yaw, source_distance=distance + rng.random(18))
    rays, region = (
        rays_of(rng.random(18) * 360, motion),
        Region((0.5, -1.0, 0.0), (2.0, 1.0, 0.7), (3, 18, width), 40, 20),
    )
    images, weights = rng.random((18, 20, 31)).astype(np.float32), rng.random(18)
    out = rng.random(region.shape).astype(np.float32)
    expected, doubtful = out.astype(float), np.zeros(out.shape, bool)
    iz, iy, ix = np.indices(out.shape)
    for image, m, weight in zip(images, rays.matrices() @ region.frame(), weights, strict=True):
        w_col, w_row, w = np.tensordot(m, np.stack([ix, iy, iz, np.ones_like(ix)]), 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            col, row = np.where(w > 1e-6, w_col / w, -9), np.where(w > 1e-6, w_row / w, -9)
            expected += np.where(w > 1e-6, weight / w**2, 0) * map_coordinates(image.astype(float), (row, col), order=1)
        for place, last in ((col, 30), (row, 19)):  # rounding decides at the very rim
            doubtful |= (np.abs(place) < 1e-3) | (np.abs(place - last) < 1e-3)
        doubtful |= np.abs(w) < 0.05  # beside the source a voxel is wider than the detector
    backproject_voxels(images, rays, region, weights, out)
    np.testing.assert_allclose(out[~doubtful], expected[~doubtful], rtol=1e-4, atol=1e-4)
